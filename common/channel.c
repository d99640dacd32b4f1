// SPDX-License-Identifier: BSD-2-Clause
// Messages with descriptors over Unix sockets.
#include "common/channel.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_FDS = 16 }; /* that are taken out of a message; the kernel closes what does not fit */

int channel_address(
	const char *path, const char *what, struct sockaddr_un *address, struct err *err)
{
	if (strlen(path) >= sizeof(address->sun_path))
		return err_set(err, -ENAMETOOLONG, "%s %s has more than %zu characters", what, path,
			sizeof(address->sun_path) - 1);
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	strcpy(address->sun_path, path);
	return 0;
}

int channel_send(int channel, const void *message, size_t length, int fd, int flags)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec data = {.iov_base = (void *)message, .iov_len = length};
	struct msghdr envelope = {.msg_iov = &data, .msg_iovlen = 1};

	if (fd >= 0) {
		envelope.msg_control = &control;
		envelope.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	while (sendmsg(channel, &envelope, flags | MSG_NOSIGNAL) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static void take_fds(struct cmsghdr *item, int *fd)
{
	size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	bool wanted = *fd < 0;

	for (size_t i = 0; i < count; i++) {
		int received;

		memcpy(&received, CMSG_DATA(item) + i * sizeof(int), sizeof(received));
		if (wanted && !i)
			*fd = received;
		else
			close(received);
	}
}

ssize_t channel_receive(int channel, void *message, size_t size, int *fd, int flags)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(MOST_FDS * sizeof(int))];
	} control;
	struct iovec data = {.iov_base = message, .iov_len = size};
	struct msghdr envelope = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t length;

	do {
		length = recvmsg(channel, &envelope, flags | MSG_CMSG_CLOEXEC);
	} while (length < 0 && errno == EINTR);
	if (length < 0)
		return -errno;
	for (struct cmsghdr *item = CMSG_FIRSTHDR(&envelope); item;
		item = CMSG_NXTHDR(&envelope, item)) {
		if (item->cmsg_level == SOL_SOCKET && item->cmsg_type == SCM_RIGHTS)
			take_fds(item, fd);
	}
	return length;
}
