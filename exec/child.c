// SPDX-License-Identifier: BSD-2-Clause
// Programs that run: their end by pidfd, their time limit, and what they write to stderr.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "exec/exec_private.h"

#define MOST_READS     64 /* of stderr in a row: others have their turn too */
#define WATCH_AGAIN_MS 200

static void tell_child(struct exec_child *child, int number)
{
	/* Its process group, as it leads its session; or at least itself, where it has left that.
	 */
	if (child->pidfd >= 0 && kill(-child->pid, number))
		syscall(SYS_pidfd_send_signal, child->pidfd, number, NULL, 0);
}

void exec_child_end(struct exec_child *child)
{
	struct timeval delay = exec_timeval(child->exec->stop_timeout_ms * EXEC_NS_PER_MS);

	if (child->pidfd < 0)
		return;
	tell_child(child, child->told ? SIGKILL : child->exec->kill_signal);
	child->told = true;
	if (event_initialized(&child->timer))
		evtimer_add(&child->timer, &delay);
}

static void on_child_timer(evutil_socket_t fd, short what, void *context)
{
	struct exec_child *child = context;

	(void)fd, (void)what;
	if (child->unwatched) {
		exec_child_watch(child);
		return;
	}
	if (!child->told)
		exec_log(child->exec, LOG_NOTICE, child->pid, "has run for max-time, is ended");
	exec_child_end(child);
}

static void say_end(struct exec_child *child, const siginfo_t *info, uint64_t ran_ns)
{
	bool clean = info->si_code == CLD_EXITED && !info->si_status;
	const char *whom = child->client.text;
	struct exec *exec = child->exec;
	double seconds = (double)ran_ns / 1e9;

	if (clean && exec->log_failures_only)
		return;
	if (info->si_code == CLD_EXITED)
		exec_log(exec, LOG_INFO, child->pid, "exited with status %d after %.3f s%s%s",
			info->si_status, seconds, *whom ? ", " : "", whom);
	else
		exec_log(exec, LOG_NOTICE, child->pid,
			"killed by signal %d (SIG%s) after %.3f s%s%s", info->si_status,
			sigabbrev_np(info->si_status), seconds, *whom ? ", " : "", whom);
}

static void on_exit_of(evutil_socket_t fd, short what, void *context)
{
	struct exec_child *child = context;
	struct exec *exec = child->exec;
	uint64_t ran_ns = exec_now_ns() - child->started_ns;
	struct exec_socket *socket = child->socket;
	siginfo_t info = {0};

	(void)what;
	if (waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG))
		exec_log(exec, LOG_WARNING, child->pid, "ended, somebody else has its status: %s",
			strerror(errno));
	else if (!info.si_pid)
		return;
	exec_lines_read(child);
	if (info.si_pid)
		say_end(child, &info, ran_ns);
	event_del(&child->exited);
	event_del(&child->timer);
	if (child->unwatched)
		exec_lines_close(child);
	cleanup_close_fd(&child->pidfd);
	quota_leave(&exec->quota, child->counted);
	exec->report.ended++;
	if (exec->options.ended)
		exec->options.ended(exec->options.context);
	if (socket)
		exec_socket_done(socket, ran_ns);
	if (!exec->retired)
		exec_advance(exec);
	if (child->lines.fd < 0)
		exec_child_free(child);
}

static void on_child_readable(evutil_socket_t fd, short what, void *context)
{
	struct exec_child *child = context;

	(void)fd, (void)what;
	exec_lines_read(child);
	if (child->lines.fd < 0 && child->pidfd < 0)
		exec_child_free(child);
}

/* Out of memory for its events the child is looked after from the next try on: its end is not
 * missed, since the pidfd stays readable. */
void exec_child_watch(struct exec_child *child)
{
	const struct exec *exec = child->exec;
	struct event_base *base = exec->options.base;
	uint64_t wait_ms = child->told	   ? exec->stop_timeout_ms
			   : exec->retired ? 0
					   : exec->settings->max_time_ms;
	bool has_lines = child->lines.fd >= 0;
	struct timeval delay;

	if (!event_initialized(&child->exited)) {
		event_assign(&child->exited, base, child->pidfd, EV_READ | EV_PERSIST, on_exit_of,
			child);
		evtimer_assign(&child->timer, base, on_child_timer, child);
	}
	if (has_lines && !event_initialized(&child->lines.readable))
		event_assign(&child->lines.readable, base, child->lines.fd, EV_READ | EV_PERSIST,
			on_child_readable, child);
	child->unwatched = event_add(&child->exited, NULL) ||
			   (has_lines && event_add(&child->lines.readable, NULL));
	if (child->unwatched)
		wait_ms = WATCH_AGAIN_MS;
	delay = exec_timeval(wait_ms * EXEC_NS_PER_MS);
	if (wait_ms)
		evtimer_add(&child->timer, &delay);
}

int exec_lines_open(struct exec_child *child, int *write_end)
{
	int ends[2];

	/* Only our end does not block: the program's is a file description of its own. */
	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	child->lines.fd = ends[0];
	*write_end = ends[1];
	return 0;
}

void exec_lines_close(struct exec_child *child)
{
	if (event_initialized(&child->lines.readable))
		event_del(&child->lines.readable);
	cleanup_close_fd(&child->lines.fd);
}

static void say_line(struct exec_child *child, const char *text, size_t length)
{
	struct exec *exec = child->exec;
	uint64_t left_out;

	if (length && text[length - 1] == '\r')
		length--;
	if (!length || !exec_may_log(&exec->stderr_lines, exec_now_ns(), &left_out))
		return;
	if (left_out)
		exec_log(exec, LOG_WARNING, 0, "%llu lines of stderr were too many",
			(unsigned long long)left_out);
	exec_log(exec, LOG_INFO, child->pid, "stderr: %.*s", (int)length, text);
}

/* Says the whole lines that are there; all of it, if there is no room or nothing will follow. */
static void say_lines(struct exec_child *child, bool all)
{
	struct exec_lines *lines = &child->lines;
	size_t start = 0;
	char *end;

	while ((end = memchr(lines->text + start, '\n', lines->used - start))) {
		say_line(child, lines->text + start, (size_t)(end - lines->text) - start);
		start = (size_t)(end - lines->text) + 1;
	}
	lines->used -= start;
	memmove(lines->text, lines->text + start, lines->used);
	if (all || lines->used == sizeof(lines->text)) {
		say_line(child, lines->text, lines->used);
		lines->used = 0;
	}
}

void exec_lines_read(struct exec_child *child)
{
	struct exec_lines *lines = &child->lines;

	for (int i = 0; lines->fd >= 0 && i < MOST_READS; i++) {
		ssize_t got = read(
			lines->fd, lines->text + lines->used, sizeof(lines->text) - lines->used);

		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			say_lines(child, true);
			exec_lines_close(child);
			return;
		}
		lines->used += (size_t)got;
		say_lines(child, false);
	}
}
