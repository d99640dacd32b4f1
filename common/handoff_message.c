// SPDX-License-Identifier: BSD-2-Clause
// One message of the "A" protocol, there or back.
#include "common/handoff_message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_FDS = 16 }; /* that are taken out of a message; the kernel closes what does not fit */

static void keep_first(const struct cmsghdr *item, int *fd)
{
	size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < count; i++) {
		int received;

		memcpy(&received, CMSG_DATA(item) + i * sizeof(int), sizeof(received));
		if (*fd < 0)
			*fd = received;
		else
			close(received);
	}
}

int handoff_recv(int channel, int flags, int *fd_out)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(MOST_FDS * sizeof(int))];
	} control;
	char byte;
	struct iovec data = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t length = recvmsg(channel, &message, flags);
	int fd = -1;

	if (length < 0)
		return -errno;
	for (struct cmsghdr *item = CMSG_FIRSTHDR(&message); item;
		item = CMSG_NXTHDR(&message, item)) {
		if (item->cmsg_level == SOL_SOCKET && item->cmsg_type == SCM_RIGHTS)
			keep_first(item, &fd);
	}
	if (fd < 0)
		return length ? -EBADMSG : -ENODATA;
	*fd_out = fd;
	return 0;
}

int handoff_send(int channel, int connection, int flags)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	char byte = 'A';
	struct iovec data = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &connection, sizeof(connection));
	return sendmsg(channel, &message, flags | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void handoff_fill_port(char *path, size_t size, uint16_t port)
{
	char *mark = memmem(path, size, HANDOFF_PORT_MARK, strlen(HANDOFF_PORT_MARK));
	unsigned rest = port;

	if (!mark)
		return;
	for (size_t digit = strlen(HANDOFF_PORT_MARK); digit--; rest /= 10)
		mark[digit] = (char)('0' + rest % 10);
}
