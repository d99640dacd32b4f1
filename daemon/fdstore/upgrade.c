// SPDX-License-Identifier: BSD-2-Clause
// Checks the new program in a child, then becomes it.
#include "daemon/fdstore/upgrade.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/fdstore/systemd_notify.h"
#include "daemon/log.h"
#include "daemon/privileges/agent.h"
#include "daemon/state.h"
#include "exec/spawn.h"

/* A check that takes longer will not end. */
static const struct timeval patience = {.tv_sec = 60};

/* A program that this process started when it was an earlier daemon. */
struct inherited_child {
	pid_t pid;
	int pidfd;
	struct event *ended;
	struct inherited_child *next, **link;
};

struct upgrade {
	struct event_base *base;
	struct daemon_state *state;
	char **argv;
	char *program; /* its path; NULL: it is not known */
	pid_t child;   /* that checks; 0: there is none */
	int pidfd;
	int error; /* of starting it, or of executing the program */
	struct event *ended, *late;
	struct inherited_child *inherited_children;
};

/* The path as the daemon was started by, so that a link to the newest version is followed anew. */
static char *find_upgrade_program(const char *name)
{
	char link[PATH_MAX];
	cleanup_free char *directory = NULL;
	char *path = NULL;
	ssize_t length;

	if (name[0] == '/')
		return strdup(name);
	if (strchr(name, '/')) {
		directory = getcwd(NULL, 0);
		return directory && asprintf(&path, "%s/%s", directory, name) >= 0 ? path : NULL;
	}
	length = readlink("/proc/self/exe", link, sizeof(link));
	return length > 0 && length < (ssize_t)sizeof(link) ? strndup(link, (size_t)length) : NULL;
}

static void end_check(struct upgrade *upgrade)
{
	if (upgrade->ended)
		event_free(take_ptr(&upgrade->ended));
	cleanup_close_fd(&upgrade->pidfd);
	event_del(upgrade->late);
	upgrade->child = 0;
}

static void refuse_upgrade(const struct upgrade *upgrade, const char *why)
{
	log_error("upgrade refused: %s %s; this daemon goes on",
		upgrade->program ? upgrade->program : "the program", why);
}

static sigset_t own_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGUSR2);
	return signals;
}

void upgrade_block_signals(int how)
{
	sigset_t signals = own_signals();

	pthread_sigmask(how, &signals, NULL);
}

/* Returns if the program cannot be executed. It gets the mask of whoever executes it, and the agent
 * has all signals blocked. */
static void execute_upgrade(void *argument)
{
	struct upgrade *upgrade = argument;
	sigset_t signals = own_signals(), before;

	pthread_sigmask(SIG_SETMASK, &signals, &before);
	spawn_restore_nofile();
	execv(upgrade->program, upgrade->argv);
	upgrade->error = errno;
	spawn_raise_nofile();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void become_upgrade(struct upgrade *upgrade)
{
	struct fdstore *fdstore = upgrade->state->fdstore;
	char value[32];
	struct err err;
	int result;

	log_info("becoming %s", upgrade->program);
	systemd_notify_reloading();
	state_save_in_flight(upgrade->state);
	result = fdstore_pass(fdstore, value, &err);
	if (!result) {
		upgrade_block_signals(SIG_BLOCK);
		setenv(FDSTORE_VARIABLE, value, 1);
		agent_run(execute_upgrade, upgrade);
		err_errno(&err, -upgrade->error, "executing it");
		unsetenv(FDSTORE_VARIABLE);
		upgrade_block_signals(SIG_UNBLOCK);
		fdstore_unpass(fdstore);
	}
	state_take_back(upgrade->state);
	systemd_notify_ready();
	refuse_upgrade(upgrade, err.text);
}

static void on_upgrade_ended(evutil_socket_t fd, short what, void *context)
{
	struct upgrade *upgrade = context;
	int status = 0;
	pid_t ended = waitpid(upgrade->child, &status, 0);
	char why[64];

	(void)fd;
	(void)what;
	end_check(upgrade);
	if (ended > 0 && WIFEXITED(status) && !WEXITSTATUS(status)) {
		become_upgrade(upgrade);
		return;
	}
	if (WIFSIGNALED(status))
		snprintf(why, sizeof(why), "cannot start: its --check ended by signal %d",
			WTERMSIG(status));
	else
		snprintf(why, sizeof(why), "cannot start: its --check exited with %d",
			WEXITSTATUS(status));
	refuse_upgrade(upgrade, why);
}

static void on_late(evutil_socket_t fd, short what, void *context)
{
	struct upgrade *upgrade = context;

	(void)fd;
	(void)what;
	kill(upgrade->child, SIGKILL);
}

/* The same arguments, and that it be this engine: the other one could not go on with what there is.
 */
static int spawn_check(struct upgrade *upgrade)
{
	struct engine_info info;
	cleanup_free const char **words = NULL;
	posix_spawnattr_t attributes;
	sigset_t none;
	size_t count = 0;
	int result;

	while (upgrade->argv[count])
		count++;
	words = calloc(count + 4, sizeof(*words));
	if (!words || posix_spawnattr_init(&attributes))
		return -ENOMEM;
	engine_info(upgrade->state->engine, &info);
	memcpy(words, upgrade->argv, count * sizeof(*words));
	words[count] = "--engine";
	words[count + 1] = info.name;
	words[count + 2] = "--check";
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	result = posix_spawn(
		&upgrade->child, upgrade->program, NULL, &attributes, (char **)words, environ);
	posix_spawnattr_destroy(&attributes);
	if (result)
		upgrade->child = 0;
	return -result;
}

static void start_check(void *argument)
{
	struct upgrade *upgrade = argument;

	upgrade->error = -spawn_check(upgrade);
}

static int watch_check(struct upgrade *upgrade)
{
	upgrade->pidfd = pidfd_open(upgrade->child, 0);
	if (upgrade->pidfd < 0)
		return -errno;
	upgrade->ended =
		event_new(upgrade->base, upgrade->pidfd, EV_READ, on_upgrade_ended, upgrade);
	if (!upgrade->ended || event_add(upgrade->ended, NULL) ||
		evtimer_add(upgrade->late, &patience))
		return -ENOMEM;
	return 0;
}

void upgrade_begin(struct upgrade *upgrade)
{
	int result;

	if (upgrade->child)
		return;
	if (!upgrade->program || !upgrade->state->fdstore) {
		refuse_upgrade(upgrade, "cannot be found");
		return;
	}
	agent_run(start_check, upgrade);
	if (upgrade->error) {
		refuse_upgrade(upgrade, strerror(upgrade->error));
		return;
	}
	result = watch_check(upgrade);
	if (!result)
		return;
	kill(upgrade->child, SIGKILL);
	waitpid(upgrade->child, NULL, 0);
	end_check(upgrade);
	refuse_upgrade(upgrade, strerror(-result));
}

static void free_inherited_child(struct inherited_child *inherited_child)
{
	*inherited_child->link = inherited_child->next;
	if (inherited_child->next)
		inherited_child->next->link = inherited_child->link;
	if (inherited_child->ended)
		event_free(inherited_child->ended);
	cleanup_close_fd(&inherited_child->pidfd);
	free(inherited_child);
}

static void on_heir_ended(evutil_socket_t fd, short what, void *context)
{
	struct inherited_child *inherited_child = context;

	(void)fd;
	(void)what;
	waitpid(inherited_child->pid, NULL, WNOHANG);
	free_inherited_child(inherited_child);
}

static void add_heir(struct upgrade *upgrade, pid_t pid)
{
	struct inherited_child *inherited_child = calloc(1, sizeof(*inherited_child));

	if (!inherited_child)
		return;
	inherited_child->pid = pid;
	inherited_child->pidfd = pidfd_open(pid, 0);
	inherited_child->next = upgrade->inherited_children;
	inherited_child->link = &upgrade->inherited_children;
	if (inherited_child->next)
		inherited_child->next->link = &inherited_child->next;
	upgrade->inherited_children = inherited_child;
	if (inherited_child->pidfd >= 0)
		inherited_child->ended = event_new(upgrade->base, inherited_child->pidfd, EV_READ,
			on_heir_ended, inherited_child);
	if (inherited_child->ended)
		event_add(inherited_child->ended, NULL);
}

/* Children stay this process's, whatever it executes, and somebody has to wait for them. */
static void find_inherited_children(struct upgrade *upgrade)
{
	char path[64];
	cleanup_fclose FILE *file = NULL;
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	file = fopen(path, "re");
	while (file && fscanf(file, "%d", &pid) == 1)
		add_heir(upgrade, pid);
}

struct upgrade *upgrade_new(struct event_base *base, struct daemon_state *state, char **argv)
{
	struct upgrade *upgrade = calloc(1, sizeof(*upgrade));

	if (!upgrade)
		return NULL;
	*upgrade = (struct upgrade){
		.base = base,
		.state = state,
		.argv = argv,
		.program = find_upgrade_program(argv[0]),
		.pidfd = -1,
		.late = evtimer_new(base, on_late, upgrade),
	};
	if (!upgrade->late) {
		upgrade_free(upgrade);
		return NULL;
	}
	find_inherited_children(upgrade);
	return upgrade;
}

void upgrade_free(struct upgrade *upgrade)
{
	if (!upgrade)
		return;
	if (upgrade->child) {
		kill(upgrade->child, SIGKILL);
		waitpid(upgrade->child, NULL, 0);
	}
	if (upgrade->late)
		end_check(upgrade);
	if (upgrade->late)
		event_free(upgrade->late);
	while (upgrade->inherited_children)
		free_inherited_child(upgrade->inherited_children);
	free(upgrade->program);
	free(upgrade);
}
