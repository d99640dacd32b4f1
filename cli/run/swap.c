// SPDX-License-Identifier: BSD-2-Clause
// SECCOMP_IOCTL_NOTIF_ADDFD with SETFD for each descriptor, EPOLL_CTL_ADD for each registration.
#include "cli/run/swap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"

#define MAX_COPIES 64
#define MAX_EPOLLS 256

/* The descriptors of the process that matter here. */
struct found {
	char link[64]; /* what /proc shows for the socket */
	int sockets[MAX_COPIES];
	size_t socket_count;
	int epolls[MAX_EPOLLS];
	size_t epoll_count;
};

static void note_fd(int fd, const char *link, void *context)
{
	struct found *found = context;

	if (!strcmp(link, found->link) && found->socket_count < MAX_COPIES)
		found->sockets[found->socket_count++] = fd;
	else if (!strcmp(link, "anon_inode:[eventpoll]") && found->epoll_count < MAX_EPOLLS)
		found->epolls[found->epoll_count++] = fd;
}

static bool closes_on_exec(const struct tracee *tracee, int fd)
{
	cleanup_free char *info = NULL;
	const char *line;

	if (tracee_fd_info(tracee, fd, &info))
		return false;
	line = strstr(info, "flags:");
	return line && strtol(line + strlen("flags:"), NULL, 8) & O_CLOEXEC;
}

static int put_swap(int notify_fd, uint64_t id, const struct tracee *tracee, int fd, int socket)
{
	struct seccomp_notif_addfd add = {
		.id = id,
		.flags = SECCOMP_ADDFD_FLAG_SETFD,
		.srcfd = (uint32_t)socket,
		.newfd = (uint32_t)fd,
		.newfd_flags = closes_on_exec(tracee, fd) ? O_CLOEXEC : 0,
	};

	return ioctl(notify_fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0 ? -errno : 0;
}

/* An epoll registration is known by file and number, so it has to be made with the socket at the
 * very number that the program knows: in a child, whose descriptors do not matter. */
static void register_at(int epoll, int number, int socket, struct epoll_event *event)
{
	pid_t child = fork();

	if (!child) {
		/* Out of the way, should it be at that number itself. */
		int moved = fcntl(epoll, F_DUPFD, number + 1);

		if (moved < 0 || (socket != number && dup2(socket, number) < 0))
			_exit(1);
		_exit(epoll_ctl(moved, EPOLL_CTL_ADD, number, event) && errno != EEXIST);
	}
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Renews what one epoll instance has on the old socket. */
static void renew_epoll(const struct tracee *tracee, int epoll, ino_t inode, int socket)
{
	cleanup_free char *info = NULL;
	cleanup_close int copy = -1;
	char *line, *rest;

	if (tracee_fd_info(tracee, epoll, &info))
		return;
	for (line = strtok_r(info, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		unsigned long long data;
		unsigned long registered;
		unsigned events;
		int number;

		if (sscanf(line, "tfd: %d events: %x data: %llx pos:%*i ino:%lx", &number, &events,
			    &data, &registered) != 4 ||
			registered != inode)
			continue;
		if (copy < 0)
			copy = tracee_get_fd(tracee, epoll);
		if (copy >= 0)
			register_at(copy, number, socket,
				&(struct epoll_event){.events = events, .data.u64 = data});
	}
}

int swap_socket(int notify_fd, uint64_t id, const struct tracee *tracee, int fd, ino_t inode,
	int socket, struct err *err)
{
	struct found found = {0};
	int result = 0;

	snprintf(found.link, sizeof(found.link), "socket:[%lu]", (unsigned long)inode);
	tracee_each_fd(tracee, note_fd, &found);
	for (size_t i = 0; i < found.epoll_count; i++)
		renew_epoll(tracee, found.epolls[i], inode, socket);
	/* The one that bind names goes last: should a signal interrupt this, bind is called again,
	 * and finds what is still to be done by the old socket there. */
	for (size_t i = 0; !result && i < found.socket_count; i++) {
		if (found.sockets[i] != fd)
			result = put_swap(notify_fd, id, tracee, found.sockets[i], socket);
	}
	if (!result)
		result = put_swap(notify_fd, id, tracee, fd, socket);
	return result ? err_errno(err, result, "putting the socket in place") : 0;
}
