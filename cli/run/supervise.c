// SPDX-License-Identifier: BSD-2-Clause
// One poll loop over the notifier, signals and the daemon.
#include "cli/run/supervise.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"

#define RETRY_FIRST_MS	 200
#define RETRY_LAST_MS	 1000
#define AWAY_PATIENCE_MS 30000 /* how long a bind waits for a daemon that is away */

/* All signals are passed on, but for those of faults, which are this process's own, and those by
 * which a terminal stops it along with the program. */
static const int own_signals[] = {
	SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGTSTP, SIGTTIN, SIGTTOU};

/* A bind that waits for the daemon. */
struct waiting {
	struct seccomp_notif notification;
	int64_t until_ms;
};

struct supervisor {
	struct bind_context *context;
	pid_t program;
	bool program_ended, childless;
	int status;
	int signals;
	int64_t retry_ms,
		retry_wait_ms; /* next attempt to reach the daemon, and the time between two */
	struct waiting *waiting;
	size_t waiting_count;
};

static int64_t now_supervised_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void supervise_signals(sigset_t *set)
{
	sigfillset(set);
	for (size_t i = 0; i < sizeof(own_signals) / sizeof(*own_signals); i++)
		sigdelset(set, own_signals[i]);
}

/* A program that went into the background has left its children to us (PR_SET_CHILD_SUBREAPER). */
static void signal_children(int number)
{
	char path[64];
	cleanup_fclose FILE *children = NULL;
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	children = fopen(path, "re");
	while (children && fscanf(children, "%d", &pid) == 1)
		kill(pid, number);
}

static void reap_supervised(struct supervisor *supervisor)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != supervisor->program)
			continue;
		supervisor->program_ended = true;
		supervisor->status = status;
	}
	supervisor->childless = pid < 0 && errno == ECHILD;
}

static void take_signal(struct supervisor *supervisor)
{
	struct signalfd_siginfo info;

	if (read(supervisor->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD)
		reap_supervised(supervisor);
	else if (info.ssi_code == SI_KERNEL || info.ssi_pid == (uint32_t)getpid())
		return; /* the terminal has sent it to the program too; SIGPIPE is of our stderr */
	else if (!supervisor->program_ended)
		kill(supervisor->program, (int)info.ssi_signo);
	else
		signal_children((int)info.ssi_signo);
}

static void daemon_is_away(struct supervisor *supervisor)
{
	cleanup_close_fd(&supervisor->context->client->fd);
	supervisor->retry_wait_ms = RETRY_FIRST_MS;
	supervisor->retry_ms = now_supervised_ms() + RETRY_FIRST_MS;
}

static bool is_supervised_away(const struct supervisor *supervisor)
{
	return supervisor->context->client && supervisor->context->client->fd < 0;
}

static void put_aside(struct supervisor *supervisor, const struct seccomp_notif *notification)
{
	struct waiting *list =
		reallocarray(supervisor->waiting, supervisor->waiting_count + 1, sizeof(*list));

	if (!list) {
		bind_answer(supervisor->context, notification, true);
		return;
	}
	supervisor->waiting = list;
	list[supervisor->waiting_count++] =
		(struct waiting){*notification, now_supervised_ms() + AWAY_PATIENCE_MS};
}

static void take_bind(struct supervisor *supervisor)
{
	struct seccomp_notif notification = {0};

	if (ioctl(supervisor->context->notify_fd, SECCOMP_IOCTL_NOTIF_RECV, &notification))
		return;
	if (bind_answer(supervisor->context, &notification, false) != -EAGAIN)
		return;
	put_aside(supervisor, &notification);
	if (!supervisor->retry_ms)
		daemon_is_away(supervisor);
}

/* Answers the binds that wait: all if the daemon is back, else those whose time is up. */
static void take_waiting(struct supervisor *supervisor)
{
	size_t kept = 0;

	for (size_t i = 0; i < supervisor->waiting_count; i++) {
		struct waiting *waiting = &supervisor->waiting[i];
		bool over = now_supervised_ms() >= waiting->until_ms;

		if ((is_supervised_away(supervisor) && !over) ||
			bind_answer(supervisor->context, &waiting->notification, over) == -EAGAIN)
			supervisor->waiting[kept++] = *waiting;
	}
	supervisor->waiting_count = kept;
}

static void say_supervised_refused(const struct claim_client_claim *claim, const struct err *err)
{
	char text[ADDR_TEXT_SIZE];

	fprintf(stderr, "socketbox run: the new socketboxd did not take %s back: %s\n",
		addr_endpoint_format(&claim->bind.endpoint, text), err->text);
}

static void try_daemon(struct supervisor *supervisor)
{
	struct err err;
	int result;

	if (!is_supervised_away(supervisor) || now_supervised_ms() < supervisor->retry_ms)
		return;
	result = claim_client_restore(supervisor->context->client, say_supervised_refused, &err);
	if (result >= 0) {
		supervisor->retry_ms = 0;
		return;
	}
	if (result != -EPIPE)
		warn_once(&supervisor->context->warned, err.text);
	supervisor->retry_wait_ms *= 2;
	if (supervisor->retry_wait_ms > RETRY_LAST_MS)
		supervisor->retry_wait_ms = RETRY_LAST_MS;
	supervisor->retry_ms = now_supervised_ms() + supervisor->retry_wait_ms;
}

static int poll_timeout(const struct supervisor *supervisor)
{
	int64_t left;

	if (!is_supervised_away(supervisor))
		return -1;
	left = supervisor->retry_ms - now_supervised_ms();
	return left < 0 ? 0 : (int)left;
}

/* One round. False once nothing is left to do. */
static bool step_supervised(struct supervisor *supervisor)
{
	struct bind_context *context = supervisor->context;
	struct pollfd fds[] = {
		{.fd = supervisor->signals, .events = POLLIN},
		{.fd = context->notify_fd, .events = POLLIN},
		{.fd = context->client ? context->client->fd : -1, .events = POLLIN},
	};

	if (poll(fds, 3, poll_timeout(supervisor)) < 0)
		return errno == EINTR;
	if (fds[0].revents)
		take_signal(supervisor);
	if (fds[1].revents & POLLIN)
		take_bind(supervisor);
	else if (fds[1].revents & (POLLHUP | POLLERR))
		cleanup_close_fd(&context->notify_fd); /* no process uses the filter any more */
	/* The daemon only ever speaks when asked: what is readable now is its end. */
	if (fds[2].revents && context->client && context->client->fd == fds[2].fd)
		daemon_is_away(supervisor);
	try_daemon(supervisor);
	take_waiting(supervisor);
	return !(supervisor->childless && context->notify_fd < 0);
}

int supervise(pid_t program, struct bind_context *context)
{
	struct supervisor supervisor = {.context = context, .program = program};
	sigset_t set;

	supervise_signals(&set);
	supervisor.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	reap_supervised(&supervisor);
	while (step_supervised(&supervisor))
		;
	cleanup_close_fd(&supervisor.signals);
	free(supervisor.waiting);
	return supervisor.status;
}
