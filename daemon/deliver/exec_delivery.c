// SPDX-License-Identifier: BSD-2-Clause
// The delivery `exec`: programs are started by exec/, for each connection or, with `wait`, for the
// listening socket.
#include "exec/exec.h"

#include <syslog.h>

#include "daemon/deliver/delivery.h"
#include "daemon/log.h"

static void on_log(void *context, int priority, const char *text)
{
	(void)context;
	if (priority <= LOG_ERR)
		log_error("%s", text);
	else if (priority == LOG_WARNING)
		log_warning("%s", text);
	else if (priority == LOG_DEBUG)
		log_debug("%s", text);
	else
		log_info("%s", text);
}

static void on_exec_ready(void *context)
{
	delivery_ready(context);
}

static int open_exec(struct delivery *delivery, struct err *err)
{
	struct exec_options options = {
		.base = delivery->base,
		.name = delivery->service->name,
		.log = on_log,
		.ready = on_exec_ready,
		.context = delivery,
	};
	struct exec *exec;
	int result = exec_new(&options, delivery->service->exec, &exec, err);

	if (!result)
		delivery->object = exec;
	return result;
}

static void configure_exec(struct delivery *delivery)
{
	exec_reconfigure(delivery->object, delivery->service->exec);
}

static void take_exec(struct delivery *delivery, struct accepted *accepted)
{
	exec_take(delivery->object, accepted->fd, &accepted->local, &accepted->remote);
	accepted->fd = -1;
}

static void keep_exec(struct delivery *delivery, struct fdstore *fdstore)
{
	struct fdstore_connection connection = {.service = delivery->id};
	struct accepted *accepted = &connection.accepted;

	while (exec_give_back(
		delivery->object, &accepted->fd, &accepted->local, &accepted->remote)) {
		accepted->service_port = accepted->local.port;
		fdstore_put_connection(fdstore, &connection);
	}
}

static bool is_exec_full(const struct delivery *delivery)
{
	return exec_full(delivery->object);
}

static bool serves_exec(const struct delivery *delivery)
{
	return delivery->service->exec->wait;
}

static int serve_exec(struct delivery *delivery, int fd, struct err *err)
{
	return exec_serve(delivery->object, fd, err);
}

static void unserve_exec(struct delivery *delivery, int fd)
{
	exec_unserve(delivery->object, fd);
}

static void report_exec(const struct delivery *delivery, json_t *object)
{
	struct exec_report counts;

	exec_get_report(delivery->object, &counts);
	json_object_set_new(object, "exec",
		json_pack("{s:i, s:i, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I}, s:s}", "running",
			(int)counts.running, "waiting", (int)counts.waiting, "started",
			(json_int_t)counts.started, "ended", (json_int_t)counts.ended, "failed",
			(json_int_t)counts.failed, "gone", (json_int_t)counts.gone, "refused",
			"address", (json_int_t)counts.refused[EXEC_BY_ADDRESS], "per_source",
			(json_int_t)counts.refused[EXEC_BY_SOURCE], "instances",
			(json_int_t)counts.refused[EXEC_BY_INSTANCES], "rate",
			(json_int_t)counts.refused[EXEC_BY_RATE], "cgroup", counts.cgroup));
}

static struct delivery_load load_exec(const struct delivery *delivery)
{
	struct exec_report counts;

	exec_get_report(delivery->object, &counts);
	return (struct delivery_load){.waiting = counts.waiting, .running = counts.running};
}

static void close_exec(struct delivery *delivery)
{
	if (delivery->ends_with_daemon)
		exec_free(delivery->object);
	else
		exec_retire(delivery->object);
}

const struct delivery_kind delivery_exec = {
	.open = open_exec,
	.configure = configure_exec,
	.take = take_exec,
	.full = is_exec_full,
	.wants_listener = serves_exec,
	.give_listener = serve_exec,
	.take_listener = unserve_exec,
	.report = report_exec,
	.load = load_exec,
	.close = close_exec,
	.keep = keep_exec,
};
