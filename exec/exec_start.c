// SPDX-License-Identifier: BSD-2-Clause
// Gathers what one program needs, and starts it.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <syslog.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "exec/environment.h"
#include "exec/exec_private.h"
#include "exec/spawn.h"

/* What a later time may mend, unlike, say, a program that cannot be executed. */
static int exec_start_shortage(int code)
{
	return code == -ENOMEM || code == -EMFILE || code == -ENFILE ? -EAGAIN : code;
}

/* The file that the command's first word names, as execvp(3) finds it. */
static const char *find_exec_start_program(const char *word, char path[PATH_MAX])
{
	const char *list = getenv("PATH");

	if (strchr(word, '/'))
		return word;
	for (list = list ? list : "/usr/local/bin:/usr/bin:/bin"; *list;) {
		size_t length = strcspn(list, ":");

		if (length &&
			snprintf(path, PATH_MAX, "%.*s/%s", (int)length, list, word) < PATH_MAX &&
			!access(path, X_OK))
			return path;
		list += length + (list[length] == ':');
	}
	return word;
}

static int open_netns(const char *netns, int *fd_out, struct err *err)
{
	char path[300];
	int fd;

	if (!netns)
		return 0;
	if (strchr(netns, '/'))
		snprintf(path, sizeof(path), "%s", netns);
	else if (netns[strspn(netns, "0123456789")])
		snprintf(path, sizeof(path), "/run/netns/%s", netns);
	else
		snprintf(path, sizeof(path), "/proc/%s/ns/net", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, exec_start_shortage(-errno),
			"opening network namespace %s (%s)", netns, path);
	*fd_out = fd;
	return 0;
}

static int open_stderr(struct exec_child *child, int *fd_out, struct err *err)
{
	const struct exec_settings *settings = child->exec->settings;
	int result = 0, given = 0;

	switch (settings->stderr_to) {
	case EXEC_STDERR_LOG:
		result = exec_lines_open(child, fd_out);
		/* So that the program may open /dev/stderr. Who may not give it away may not become
		 * that user either, which spawn says better. */
		if (!result && settings->uid != (uid_t)-1)
			given = fchown(*fd_out, settings->uid, (gid_t)-1);
		break;
	case EXEC_STDERR_NULL:
		*fd_out = open("/dev/null", O_WRONLY | O_CLOEXEC);
		result = *fd_out < 0 ? -errno : 0;
		break;
	case EXEC_STDERR_SOCKET:
		break;
	}
	(void)given;
	return result ? err_errno(err, exec_start_shortage(result), "opening its stderr") : 0;
}

/* Addresses of a socket that a program gets as it is. */
static void describe_socket(int fd, struct environment_of *of, struct addr_endpoint *local)
{
	struct sockaddr_storage address = {0};
	socklen_t length = sizeof(address), type_length = sizeof(int);
	int type = SOCK_STREAM;

	getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_length);
	of->udp = type == SOCK_DGRAM;
	if (!getsockname(fd, (struct sockaddr *)&address, &length) &&
		!addr_from_sockaddr(&address, length, local))
		of->local = local;
}

static int run_exec_start(struct exec_child *child, struct spawn *what,
	struct exec_words *environment, bool *no_cgroup, struct err *err)
{
	const struct exec_settings *settings = child->exec->settings;
	struct environment_of of = {.name = child->exec->options.name};
	struct addr_endpoint local;

	if (child->socket)
		describe_socket(what->socket, &of, &local);
	else
		of.client = &child->client;
	if (environment_make(settings, &of, environ, environment, &what->pid_text))
		return err_errno(err, -EAGAIN, "its environment");
	what->environment = environment->list;
	return spawn(what, &child->pid, &child->pidfd, no_cgroup, err);
}

static int start_exec_start(struct exec_child *child, int fd, struct err *err)
{
	const struct exec_settings *settings = child->exec->settings;
	cleanup_close int error = -1, netns = -1;
	struct exec_words environment = {0};
	char path[PATH_MAX];
	struct spawn what = {
		.settings = settings,
		.path = find_exec_start_program(settings->command.list[0], path),
		.socket = fd,
		.banner = settings->banner_start,
		.stderr_fd = -1,
		.listen = child->socket,
		.netns = -1,
		.cgroup = child->exec->cgroup,
	};
	bool no_cgroup = false;
	int result = open_netns(settings->netns, &netns, err);

	if (!result)
		result = open_stderr(child, &error, err);
	if (!result) {
		what.netns = netns;
		what.stderr_fd = error;
		ioctl(fd, FIONBIO, &(int){0});
		result = run_exec_start(child, &what, &environment, &no_cgroup, err);
	}
	environment_free(&environment);
	/* Somebody may have removed the directory while it was empty: made anew for the next. */
	if (no_cgroup) {
		exec_log(child->exec, LOG_WARNING, child->pid, "is not in the service's cgroup %s",
			child->exec->cgroup_path);
		exec_open_cgroup(child->exec);
	}
	return result;
}

struct start {
	struct exec_child *child;
	int fd;
	struct err *err;
	int result;
};

static void start_there(void *argument)
{
	struct start *what = argument;

	what->result = start_exec_start(what->child, what->fd, what->err);
}

static int fail_exec_start(struct exec *exec, const struct client *client, const struct err *err)
{
	uint64_t now = exec_now_ns(), left_out;

	if (err->code == -EAGAIN) {
		if (!exec->paused_until_ns)
			exec_log(exec, LOG_ERR, 0,
				"cannot start programs now, connections wait: %s", err->text);
		exec->paused_until_ns = now + EXEC_PAUSE_MS * EXEC_NS_PER_MS;
		return -EAGAIN;
	}
	exec->report.failed++;
	if (exec_may_log(&exec->refusals, now, &left_out))
		exec_log(exec, LOG_ERR, 0, "cannot start a program%s%s: %s", client ? " for " : "",
			client ? client->text : "", err->text);
	return err->code;
}

static void note_start(struct exec_child *child)
{
	struct exec *exec = child->exec;
	char local[ADDR_TEXT_SIZE];

	exec->report.started++;
	if (exec->paused_until_ns)
		exec_log(exec, LOG_NOTICE, 0, "programs can be started again");
	exec->paused_until_ns = 0;
	if (exec->log_failures_only)
		return;
	if (child->socket)
		exec_log(exec, LOG_INFO, child->pid, "started, with the listening socket");
	else if (child->client.is_unix)
		exec_log(exec, LOG_INFO, child->pid, "started for %s", child->client.text);
	else
		exec_log(exec, LOG_INFO, child->pid, "started for %s at %s", child->client.text,
			addr_endpoint_format(&child->client.local, local));
}

static struct exec_child *new_child(
	struct exec *exec, const struct client *client, struct exec_socket *socket)
{
	struct exec_child *child = calloc(1, sizeof(*child));
	struct quota_source source;

	if (!child)
		return NULL;
	*child = (struct exec_child){
		.exec = exec,
		.pidfd = -1,
		.started_ns = exec_now_ns(),
		.socket = socket,
		.lines = {.fd = -1},
	};
	if (client) {
		child->client = *client;
		source = client_source(client);
	}
	if (quota_enter(
		    &exec->quota, client ? &source : NULL, child->started_ns, &child->counted)) {
		free(child);
		return NULL;
	}
	LIST_INSERT_HEAD(&exec->children, child, entry);
	return child;
}

int exec_start(struct exec *exec, int fd, const struct client *client, struct exec_socket *socket)
{
	struct exec_child *child = new_child(exec, client, socket);
	struct err err = {0};
	struct start what = {.child = child, .fd = fd, .err = &err};

	if (!child) {
		err_errno(&err, -EAGAIN, "noting a process");
		return fail_exec_start(exec, client, &err);
	}
	exec_run(start_there, &what);
	if (what.result) {
		quota_leave(&exec->quota, child->counted);
		exec_child_free(child);
		return fail_exec_start(exec, client, &err);
	}
	note_start(child);
	exec_child_watch(child);
	return 0;
}
