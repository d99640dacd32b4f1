// SPDX-License-Identifier: BSD-2-Clause
// Handles, and whose turn it is: connections get a process, wait in order, or are refused.
#include "exec/exec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <syslog.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "exec/cgroup.h"
#include "exec/exec_private.h"

/* Handles whose processes still run when the event base has ended stay known here. */
static LIST_HEAD(, exec) retired = LIST_HEAD_INITIALIZER(retired);

static void (*runner)(void (*function)(void *argument), void *argument);

void exec_set_runner(void (*run)(void (*function)(void *argument), void *argument))
{
	runner = run;
}

void exec_run(void (*function)(void *argument), void *argument)
{
	if (runner)
		runner(function, argument);
	else
		function(argument);
}

enum exec_reason exec_blocked(struct exec *exec, uint64_t now_ns, uint64_t *wait_ns)
{
	if (exec->paused_until_ns > now_ns) {
		*wait_ns = exec->paused_until_ns - now_ns;
		return EXEC_BY_INSTANCES;
	}
	return quota_full(&exec->quota, now_ns, wait_ns);
}

/* Has exec_advance called when room comes by itself. */
static void arm_timer(struct exec *exec, uint64_t wait_ns)
{
	struct timeval delay = exec_timeval(wait_ns);

	if (wait_ns != QUOTA_FOREVER)
		evtimer_add(exec->timer, &delay);
}

void exec_refuse_client(int fd, const char *banner)
{
	char rest[4096];

	if (banner) {
		send(fd, banner, strlen(banner), MSG_DONTWAIT | MSG_NOSIGNAL);
		shutdown(fd, SHUT_WR);
		/* Closed with something unread, TCP would reset, and the banner might be lost. */
		for (int i = 0; i < 16 && recv(fd, rest, sizeof(rest), MSG_DONTWAIT) > 0; i++)
			continue;
	}
	close(fd);
}

static const char *explain_exec(
	const struct exec_bounds *bounds, enum exec_reason reason, char text[80])
{
	switch (reason) {
	case EXEC_BY_ADDRESS:
		return "its address is not allowed";
	case EXEC_BY_SOURCE:
		snprintf(text, 80, "%u processes run for its address (per-source)",
			bounds->per_source);
		return text;
	case EXEC_BY_RATE:
		snprintf(text, 80, "there are more connections than %u per %u s (rate)",
			bounds->rate.count, (unsigned)(bounds->rate.interval_ns / 1000000000u));
		return text;
	default:
		snprintf(text, 80, "%u processes run (instances)", bounds->instances);
		return text;
	}
}

static void refuse_exec(
	struct exec *exec, int fd, const struct client *client, enum exec_reason reason)
{
	uint64_t left_out;
	char text[80];

	exec->report.refused[reason]++;
	if (exec_may_log(&exec->refusals, exec_now_ns(), &left_out)) {
		if (left_out)
			exec_log(exec, LOG_NOTICE, 0, "%llu more were refused",
				(unsigned long long)left_out);
		exec_log(exec, LOG_NOTICE, 0, "refused %s: %s", client->text,
			explain_exec(&exec->settings->bounds, reason, text));
	}
	exec_refuse_client(fd, exec->settings->banner);
}

static void enqueue_exec(struct exec *exec, int fd, const struct client *client)
{
	struct exec_waiting *turn = malloc(sizeof(*turn));

	if (!turn) {
		refuse_exec(exec, fd, client, EXEC_BY_INSTANCES);
		return;
	}
	turn->fd = fd;
	turn->client = *client;
	TAILQ_INSERT_TAIL(&exec->queue, turn, entry);
	exec->report.waiting++;
	exec->was_full = true;
}

void exec_take(struct exec *exec, int fd, const struct addr_endpoint *local,
	const struct addr_endpoint *remote)
{
	struct client client;
	struct quota_source source;
	uint64_t now = exec_now_ns(), wait_ns = 0;
	enum exec_reason reason, blocked;
	int result = client_init(&client, fd, local, remote);

	if (result) {
		exec->report.gone++;
		close(fd);
		return;
	}
	source = client_source(&client);
	reason = quota_check(&exec->quota, &source);
	blocked = exec_blocked(exec, now, &wait_ns);
	if (!reason && blocked && exec->settings->bounds.refuse && exec->paused_until_ns <= now)
		reason = blocked;
	if (!reason && exec->report.waiting >= EXEC_MOST_WAIT)
		reason = blocked ? blocked : EXEC_BY_INSTANCES;
	if (reason) {
		refuse_exec(exec, fd, &client, reason);
		return;
	}
	if (!blocked && TAILQ_EMPTY(&exec->queue) &&
		exec_start(exec, fd, &client, NULL) != -EAGAIN) {
		close(fd);
		return;
	}
	enqueue_exec(exec, fd, &client);
	if (exec_blocked(exec, now, &wait_ns))
		arm_timer(exec, wait_ns);
}

bool exec_give_back(
	struct exec *exec, int *fd, struct addr_endpoint *local, struct addr_endpoint *remote)
{
	struct exec_waiting *turn = TAILQ_FIRST(&exec->queue);

	if (!turn || turn->client.is_unix)
		return false;
	*fd = turn->fd;
	*local = turn->client.local;
	*remote = turn->client.remote;
	TAILQ_REMOVE(&exec->queue, turn, entry);
	exec->report.waiting--;
	free(turn);
	return true;
}

/* True if the first who waits has had his turn. */
static bool give_turn(struct exec *exec)
{
	struct exec_waiting *turn = TAILQ_FIRST(&exec->queue);
	struct quota_source source = client_source(&turn->client);
	enum exec_reason reason = quota_check(&exec->quota, &source);

	if (!reason && exec_start(exec, turn->fd, &turn->client, NULL) == -EAGAIN)
		return false;
	if (reason)
		refuse_exec(exec, turn->fd, &turn->client, reason);
	else
		close(turn->fd);
	TAILQ_REMOVE(&exec->queue, turn, entry);
	exec->report.waiting--;
	free(turn);
	return true;
}

void exec_advance(struct exec *exec)
{
	uint64_t wait_ns;

	if (exec->retired)
		return;
	while (!TAILQ_EMPTY(&exec->queue) && !exec_blocked(exec, exec_now_ns(), &wait_ns)) {
		if (!give_turn(exec))
			break;
	}
	exec_sockets_update(exec);
	if (exec_blocked(exec, exec_now_ns(), &wait_ns)) {
		arm_timer(exec, wait_ns);
	} else if (exec->was_full && TAILQ_EMPTY(&exec->queue)) {
		exec->was_full = false;
		if (exec->options.ready)
			exec->options.ready(exec->options.context);
	}
}

bool exec_full(struct exec *exec)
{
	uint64_t wait_ns = QUOTA_FOREVER, now = exec_now_ns();
	enum exec_reason blocked = exec_blocked(exec, now, &wait_ns);

	if (exec->settings->bounds.refuse && exec->paused_until_ns <= now)
		blocked = EXEC_ALLOWED;
	if (!blocked && TAILQ_EMPTY(&exec->queue))
		return false;
	exec->was_full = true;
	arm_timer(exec, wait_ns);
	return true;
}

static void on_exec_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	exec_advance(context);
}

static void adopt_settings(struct exec *exec, const struct exec_settings *settings)
{
	exec->settings = settings;
	exec->kill_signal = settings->kill_signal;
	exec->stop_timeout_ms = settings->stop_timeout_ms;
	exec->log_failures_only = settings->log_failures_only;
}

static void destroy_exec(struct exec *exec)
{
	while (!LIST_EMPTY(&exec->children))
		exec_child_free(LIST_FIRST(&exec->children));
	exec_sockets_free(exec);
	while (!TAILQ_EMPTY(&exec->queue)) {
		struct exec_waiting *turn = TAILQ_FIRST(&exec->queue);

		TAILQ_REMOVE(&exec->queue, turn, entry);
		close(turn->fd);
		free(turn);
	}
	if (exec->timer)
		event_free(exec->timer);
	cleanup_close_fd(&exec->cgroup);
	/* Where a program has left something running, the directory stays. */
	if (exec->cgroup_path[0])
		rmdir(exec->cgroup_path);
	quota_fini(&exec->quota);
	free((char *)exec->options.name);
	free((char *)exec->options.cgroup_parent);
	free((char *)exec->options.cgroup_name);
	free(exec);
}

static void open_cgroup(void *argument)
{
	struct exec *exec = argument;
	const struct exec_options *options = &exec->options;
	struct err why;

	cleanup_close_fd(&exec->cgroup);
	if (!exec->settings->no_cgroup && cgroup_open(options->cgroup_parent, options->cgroup_name,
						  exec->cgroup_path, &exec->cgroup, &why))
		exec_log(exec, LOG_INFO, 0, "programs have no cgroup of their own: %s", why.text);
}

void exec_open_cgroup(struct exec *exec)
{
	exec_run(open_cgroup, exec);
}

int exec_new(const struct exec_options *options, const struct exec_settings *settings,
	struct exec **out, struct err *err)
{
	struct exec *exec = calloc(1, sizeof(*exec));
	uint64_t seed = 0;

	if (!exec)
		return err_errno(err, -ENOMEM, "exec");
	exec->options = *options;
	exec->cgroup = -1;
	TAILQ_INIT(&exec->queue);
	LIST_INIT(&exec->children);
	LIST_INIT(&exec->sockets);
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) < 0)
		seed = exec_now_ns();
	quota_init(&exec->quota, &settings->bounds, seed);
	adopt_settings(exec, settings);
	exec->options.name = strdup(options->name);
	exec->options.cgroup_parent =
		options->cgroup_parent ? strdup(options->cgroup_parent) : NULL;
	exec->options.cgroup_name =
		strdup(options->cgroup_name ? options->cgroup_name : options->name);
	exec->timer = evtimer_new(options->base, on_exec_timer, exec);
	if (!exec->options.name || !exec->options.cgroup_name || !exec->timer ||
		(options->cgroup_parent && !exec->options.cgroup_parent)) {
		destroy_exec(exec);
		return err_errno(err, -ENOMEM, "exec");
	}
	exec_open_cgroup(exec);
	*out = exec;
	return 0;
}

void exec_reconfigure(struct exec *exec, const struct exec_settings *settings)
{
	adopt_settings(exec, settings);
	quota_set(&exec->quota, &settings->bounds);
	if (settings->no_cgroup != (exec->cgroup < 0))
		exec_open_cgroup(exec);
	exec_advance(exec);
}

void exec_end(struct exec *exec)
{
	struct exec_child *child;

	LIST_FOREACH(child, &exec->children, entry)
	exec_child_end(child);
}

void exec_child_free(struct exec_child *child)
{
	struct exec *exec = child->exec;

	LIST_REMOVE(child, entry);
	exec_lines_close(child);
	if (event_initialized(&child->exited))
		event_del(&child->exited);
	if (event_initialized(&child->timer))
		event_del(&child->timer);
	cleanup_close_fd(&child->pidfd);
	free(child);
	if (exec->retired && LIST_EMPTY(&exec->children)) {
		LIST_REMOVE(exec, retired_entry);
		exec->retired = false;
		destroy_exec(exec);
	}
}

void exec_retire(struct exec *exec)
{
	static const struct exec_bounds none = {.source_length = 128};

	if (exec->settings->end_with_us)
		exec_end(exec);
	exec_sockets_free(exec);
	while (!TAILQ_EMPTY(&exec->queue)) {
		struct exec_waiting *turn = TAILQ_FIRST(&exec->queue);

		TAILQ_REMOVE(&exec->queue, turn, entry);
		exec_refuse_client(turn->fd, exec->settings->banner);
		free(turn);
	}
	evtimer_del(exec->timer);
	quota_set(&exec->quota, &none);
	exec->settings = NULL;
	if (LIST_EMPTY(&exec->children)) {
		destroy_exec(exec);
		return;
	}
	exec->options.ready = exec->options.ended = NULL;
	exec->retired = true;
	LIST_INSERT_HEAD(&retired, exec, retired_entry);
}

void exec_free(struct exec *exec)
{
	if (!exec)
		return;
	if (exec->settings->end_with_us)
		exec_end(exec);
	destroy_exec(exec);
}

void exec_get_report(const struct exec *exec, struct exec_report *report)
{
	*report = exec->report;
	report->running = exec->quota.running;
	snprintf(report->cgroup, sizeof(report->cgroup), "%s",
		exec->cgroup < 0 ? "" : exec->cgroup_path);
}
