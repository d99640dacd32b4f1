// SPDX-License-Identifier: BSD-2-Clause
// The delivery `relay`: hands accepted connections to relay/, one relay for each service.
#include <errno.h>
#include <sys/resource.h>

#include "daemon/deliver/delivery.h"
#include "daemon/log.h"
#include "relay/relay.h"

/* The share of the daemon's descriptors that one service's connections may take. */
#define SHARE 2

static struct relay_limits limits(void)
{
	struct rlimit limit = {.rlim_cur = 1024};

	getrlimit(RLIMIT_NOFILE, &limit);
	return relay_limits_for(
		(unsigned)(limit.rlim_cur > 2000000 ? 2000000 : limit.rlim_cur) / SHARE);
}

static void on_room(void *context)
{
	delivery_has_room(context);
}

static void on_say(void *context, const char *text)
{
	const struct delivery *delivery = context;

	log_warning("service '%s': %s", delivery->service->name, text);
}

static int open_relay(struct delivery *delivery, struct err *err)
{
	struct relay_events events = {.room = on_room, .say = on_say, .context = delivery};
	struct relay_limits most = limits();
	struct relay *relay;
	int result =
		relay_new(delivery->base, delivery->service->relay, &most, &events, &relay, err);

	if (!result)
		delivery->object = relay;
	return result;
}

static void configure(struct delivery *delivery)
{
	struct err err;

	if (relay_reconfigure(delivery->object, delivery->service->relay, &err))
		log_error("service '%s' keeps its former backends: %s", delivery->service->name,
			err.text);
}

static void take(struct delivery *delivery, struct arrival *arrival)
{
	relay_prepare(arrival->fd);
	relay_take(delivery->object, arrival->fd, &arrival->local, &arrival->remote, NULL, 0);
}

static bool is_full(const struct delivery *delivery)
{
	return relay_full(delivery->object);
}

static json_t *backends_object(const struct relay *relay)
{
	struct relay_backend_report backend;
	json_t *list = json_array();

	for (size_t i = 0; relay_report_backend(relay, i, &backend); i++)
		json_array_append_new(
			list, json_pack("{s:s, s:I, s:i, s:i}", "backend", backend.text,
				      "connections", (json_int_t)backend.connections, "failures",
				      (int)backend.failures, "skipped_ms", (int)backend.retry_ms));
	return list;
}

static void report(const struct delivery *delivery, json_t *object)
{
	struct relay_report counts = relay_report(delivery->object);

	json_object_set_new(object, "relay",
		json_pack("{s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
			"connecting", (int)counts.connecting, "established",
			(int)counts.established, "waiting", (int)counts.waiting, "taken",
			(json_int_t)counts.taken, "finished", (json_int_t)counts.finished, "reset",
			(json_int_t)counts.reset, "idle", (json_int_t)counts.idle, "failed",
			(json_int_t)counts.failed, "refused", (json_int_t)counts.refused,
			"to_backends", (json_int_t)counts.to_backends, "to_clients",
			(json_int_t)counts.to_clients, "backends",
			backends_object(delivery->object)));
}

static void close_relay(struct delivery *delivery)
{
	relay_free(delivery->object);
}

const struct delivery_kind delivery_relay = {
	.open = open_relay,
	.configure = configure,
	.take = take,
	.full = is_full,
	.report = report,
	.close = close_relay,
};
