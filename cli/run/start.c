// SPDX-License-Identifier: BSD-2-Clause
// Forks, and prepares the child step by step; a close-on-exec socket carries back the notifier and
// any failure, and its end of file the success.
#include "cli/run/start.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/run/isolate.h"
#include "cli/run/notify_filter.h"
#include "common/channel.h"
#include "common/cleanup.h"

/* What the child tells: a failure, or that it is ready to become the program. */
struct message {
	struct err err; /* code 0: none */
	ino_t netns;
};

static ino_t own_netns(void)
{
	struct stat file;

	return stat("/proc/self/ns/net", &file) ? 0 : file.st_ino;
}

static int prepare_program_start(const struct start *start, int *channel, struct err *err)
{
	int result = 0;

	if (start->isolate)
		result = isolate_enter(start->addresses, start->address_count, err);
	if (!result && start->sockets->count) {
		/* Its number may be one that a socket has to have. */
		int moved = fcntl(*channel, F_DUPFD_CLOEXEC,
			LISTEN_FDS_FIRST + 2 * (int)start->sockets->count);

		if (moved < 0)
			return err_errno(err, -errno, "passing sockets");
		*channel = moved;
		result = listen_fds_to_program(start->sockets, err);
	}
	if (!result && start->filter) {
		cleanup_close int notify_fd = -1;

		result = filter_install(&notify_fd, err);
		if (!result) {
			struct message ready = {.netns = own_netns()};

			channel_send(*channel, &ready, sizeof(ready), notify_fd, 0);
		}
	}
	return result;
}

static _Noreturn void be_child(const struct start *start, int channel)
{
	struct message failure = {0};

	if (!prepare_program_start(start, &channel, &failure.err)) {
		sigprocmask(SIG_SETMASK, start->mask, NULL);
		execvp(start->command[0], start->command);
		err_errno(&failure.err, -errno, "cannot execute %s", start->command[0]);
	}
	channel_send(channel, &failure, sizeof(failure), -1, 0);
	_exit(127);
}

/* Reads one message of the child. 1: there is one; 0: the program runs; or negative errno. */
static int listen_to(int channel, struct message *what, int *notify_fd)
{
	ssize_t length = channel_receive(channel, what, sizeof(*what), notify_fd, 0);

	if (length <= 0)
		return (int)length;
	return 1;
}

int start_program(const struct start *start, struct started *started, struct err *err)
{
	cleanup_close int notify_fd = -1;
	int channel[2], result;
	ino_t netns = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel))
		return err_errno(err, -errno, "socketpair");
	pid = fork();
	if (!pid) {
		close(channel[0]);
		be_child(start, channel[1]);
	}
	close(channel[1]);
	if (pid < 0) {
		close(channel[0]);
		return err_errno(err, -errno, "fork");
	}
	do {
		struct message what = {0};

		result = listen_to(channel[0], &what, &notify_fd);
		if (result > 0 && what.netns)
			netns = what.netns;
		if (result > 0 && what.err.code) {
			*err = what.err;
			result = what.err.code;
		}
	} while (result > 0);
	close(channel[0]);
	if (result) {
		waitpid(pid, NULL, 0);
		return result;
	}
	*started = (struct started){
		.pid = pid,
		.netns = netns,
		.notify_fd = take_fd(&notify_fd),
	};
	return 0;
}
