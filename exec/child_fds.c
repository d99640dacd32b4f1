// SPDX-License-Identifier: BSD-2-Clause
// Keeps two low descriptor numbers, and has the child take them with close_range(2).
#include "exec/child_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"

static struct {
	int socket, error;
	int nothing; /* what they are while nobody is started */
} stage = {-1, -1, -1};

static int reserve_child_fds(void)
{
	cleanup_close int nothing = -1, first = -1, second = -1;

	if (stage.nothing >= 0)
		return 0;
	nothing = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (nothing < 0)
		return -errno;
	first = fcntl(nothing, F_DUPFD_CLOEXEC, SPAWN_LISTEN_FD + 1);
	if (first < 0)
		return -errno;
	second = fcntl(nothing, F_DUPFD_CLOEXEC, SPAWN_LISTEN_FD + 1);
	if (second < 0)
		return -errno;
	stage.nothing = take_fd(&nothing);
	stage.socket = take_fd(&first);
	stage.error = take_fd(&second);
	return 0;
}

void child_fds_clear(void)
{
	dup3(stage.nothing, stage.socket, O_CLOEXEC);
	dup3(stage.nothing, stage.error, O_CLOEXEC);
}

int child_fds_fill(int socket, int error)
{
	int result = reserve_child_fds();

	if (result)
		return result;
	if (dup3(socket, stage.socket, O_CLOEXEC) >= 0 && dup3(error, stage.error, O_CLOEXEC) >= 0)
		return 0;
	result = -errno;
	child_fds_clear();
	return result;
}

IN_CHILD int child_fds_take(int *socket, int *error)
{
	unsigned end = (unsigned)(stage.socket > stage.error ? stage.socket : stage.error) + 1;

	*socket = stage.socket;
	*error = stage.error;
	if (!syscall(SYS_close_range, end, ~0u, CLOSE_RANGE_UNSHARE))
		return 0;
	/* Where a filter knows no close_range: a copy of all. */
	return (int)syscall(SYS_unshare, CLONE_FILES);
}
