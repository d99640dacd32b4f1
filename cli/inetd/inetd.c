// SPDX-License-Identifier: BSD-2-Clause
// socketbox inetd: starts a program for each connection that a socket brings.
#include <errno.h>
#include <event2/event_struct.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "cli/inetd/inetd_options.h"
#include "cli/inetd/inetd_socket.h"
#include "cli/subcommands.h"
#include "exec/exec.h"
#include "exec/spawn.h"

#define MOST_IN_A_ROW 64 /* connections, before programs that ended have their turn */

struct inetd {
	struct event_base *base;
	struct exec *exec;
	struct socket socket;
	struct event readable, retry, terminate, interrupt;
	bool ends_programs, stopping, short_of_something;
};

static void print_inetd(void *context, int priority, const char *text)
{
	char line[1600];
	ssize_t ignored;

	(void)context;
	if (getenv("JOURNAL_STREAM"))
		snprintf(line, sizeof(line), "<%d>%s\n", priority, text);
	else
		snprintf(line, sizeof(line), "socketbox inetd: %s\n", text);
	ignored = write(STDERR_FILENO, line, strlen(line));
	(void)ignored;
}

static void stop_receiving(struct inetd *inetd)
{
	event_del(&inetd->readable);
	evtimer_del(&inetd->retry);
}

/* Something is missing that others may give back. */
static void retry_later(struct inetd *inetd, int code)
{
	struct timeval delay = {.tv_sec = 1};
	char text[128];

	if (!inetd->short_of_something) {
		snprintf(text, sizeof(text), "cannot take connections now, they wait: %s",
			strerror(-code));
		print_inetd(NULL, LOG_ERR, text);
	}
	inetd->short_of_something = true;
	event_del(&inetd->readable);
	evtimer_add(&inetd->retry, &delay);
}

static void receive_inetd(evutil_socket_t fd, short what, void *context)
{
	struct inetd *inetd = context;
	struct err err;

	(void)fd, (void)what;
	for (int i = 0; i < MOST_IN_A_ROW; i++) {
		int connection = -1, result;

		if (exec_full(inetd->exec)) {
			event_del(&inetd->readable);
			return;
		}
		result = socket_next(&inetd->socket, &connection, &err);
		if (!result) {
			inetd->short_of_something = false;
			exec_take(inetd->exec, connection, NULL, NULL);
		} else if (result == -EPROTO) {
			print_inetd(NULL, LOG_WARNING, err.text);
		} else if (result == -EAGAIN) {
			return;
		} else if (result == -EPIPE) {
			event_base_loopbreak(inetd->base);
			return;
		} else {
			retry_later(inetd, result);
			return;
		}
	}
}

static void on_inetd_ready(void *context)
{
	struct inetd *inetd = context;

	if (!inetd->stopping && !event_pending(&inetd->readable, EV_READ, NULL))
		event_add(&inetd->readable, NULL);
}

static void on_inetd_retry(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	on_inetd_ready(context);
}

static void on_inetd_ended(void *context)
{
	struct inetd *inetd = context;
	struct exec_report report;

	if (!inetd->stopping)
		return;
	exec_get_report(inetd->exec, &report);
	if (!report.running)
		event_base_loopbreak(inetd->base);
}

static void on_signal(evutil_socket_t number, short what, void *context)
{
	struct inetd *inetd = context;
	struct exec_report report;

	(void)number, (void)what;
	exec_get_report(inetd->exec, &report);
	stop_receiving(inetd);
	exec_unserve(inetd->exec, inetd->socket.fd);
	/* A second signal does not wait. */
	if (inetd->stopping || !inetd->ends_programs || !report.running) {
		event_base_loopbreak(inetd->base);
		return;
	}
	inetd->stopping = true;
	exec_end(inetd->exec);
}

static int serve_inetd(struct inetd *inetd, const struct inetd_options *options, struct err *err)
{
	char cgroup_name[32];
	const char *program = options->settings->command.list[0], *slash = strrchr(program, '/');
	struct exec_options exec_options = {
		.base = inetd->base,
		.name = slash ? slash + 1 : program,
		.cgroup_name = cgroup_name,
		.log = print_inetd,
		.ready = on_inetd_ready,
		.ended = on_inetd_ended,
		.context = inetd,
	};
	int result;

	snprintf(cgroup_name, sizeof(cgroup_name), "inetd-%d", (int)getpid());
	inetd->ends_programs = options->settings->end_with_us;
	result = exec_new(&exec_options, options->settings, &inetd->exec, err);
	if (result)
		return result;
	event_assign(&inetd->readable, inetd->base, inetd->socket.fd, EV_READ | EV_PERSIST,
		receive_inetd, inetd);
	evtimer_assign(&inetd->retry, inetd->base, on_inetd_retry, inetd);
	evsignal_assign(&inetd->terminate, inetd->base, SIGTERM, on_signal, inetd);
	evsignal_assign(&inetd->interrupt, inetd->base, SIGINT, on_signal, inetd);
	evsignal_add(&inetd->terminate, NULL);
	evsignal_add(&inetd->interrupt, NULL);
	if (options->settings->wait)
		result = exec_serve(inetd->exec, inetd->socket.fd, err);
	else
		event_add(&inetd->readable, NULL);
	if (!result)
		event_base_dispatch(inetd->base);
	stop_receiving(inetd);
	event_del(&inetd->terminate);
	event_del(&inetd->interrupt);
	exec_free(inetd->exec);
	return result;
}

int inetd_main(int argc, char **argv, struct err *err)
{
	struct inetd inetd = {.socket = {.fd = -1}};
	struct inetd_options options;
	int result = EXIT_USAGE;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	if (inetd_options_read(argc, argv, &options, err))
		goto options_read;
	spawn_raise_nofile();
	result = EXIT_FAILED;
	inetd.base = event_base_new();
	if (!inetd.base)
		err_errno(err, -ENOMEM, "event_base_new");
	else if (!socket_open(options.socket, options.mode, options.settings->wait, &inetd.socket,
			 err) &&
		 !serve_inetd(&inetd, &options, err))
		result = EXIT_DONE;
	socket_close(&inetd.socket);
	if (inetd.base)
		event_base_free(inetd.base);
options_read:
	exec_settings_free(options.settings);
	return result;
}
