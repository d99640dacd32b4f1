// SPDX-License-Identifier: BSD-2-Clause
// socketbox_receive and socketbox_send: the "A" protocol for programs.
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "build_info.h"
#include "common/cleanup.h"
#include "common/handoff_message.h"
#include "common/receiver_path.h"
#include "common/socket_file.h"
#include "include/socketbox.h"

/* That leave room for a number in hexadecimal. */
#define LONGEST_PATH 95

const char *socketbox_version(void)
{
	return SOCKETBOX_BUILD_VERSION;
}

static int number_of(int fd, int name)
{
	int value = -1;
	socklen_t length = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &length) ? -1 : value;
}

static bool is_connection(int fd)
{
	int domain = number_of(fd, SO_DOMAIN);

	return (domain == AF_INET || domain == AF_INET6 || domain == AF_UNIX) &&
	       number_of(fd, SO_TYPE) == SOCK_STREAM && !number_of(fd, SO_ACCEPTCONN);
}

int socketbox_receive(int channel, int flags)
{
	cleanup_close int fd = -1;
	int wait = flags & SOCK_NONBLOCK ? MSG_DONTWAIT : 0;
	int result;

	if (flags & ~SOCK_NONBLOCK)
		return -EINVAL;
	result = handoff_recv(channel, wait | MSG_CMSG_CLOEXEC, &fd);
	if (result)
		return result;
	return is_connection(fd) ? take_fd(&fd) : -EPROTOTYPE;
}

/* Binds under a temporary name beside path, with the mode. */
static int bind_beside(int fd, const char *path, unsigned mode, struct sockaddr_un *temporary)
{
	unsigned number;
	int result;

	if (strlen(path) > LONGEST_PATH)
		return -ENAMETOOLONG;
	temporary->sun_family = AF_UNIX;
	/* At random: threads of containers that share the directory have the same numbers. */
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -errno;
	snprintf(temporary->sun_path, sizeof(temporary->sun_path), "%s.%x", path, number);
	result = socket_file_bind(fd, temporary, mode);
	if (result && result != -EADDRINUSE)
		unlink(temporary->sun_path);
	return result;
}

int socketbox_receiver_open(const char *path, unsigned mode)
{
	cleanup_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un temporary = {0};
	int result;

	if (fd < 0)
		return -errno;
	result = bind_beside(fd, path, mode, &temporary);
	if (!result)
		result = receiver_publish(temporary.sun_path, path, false);
	return result ? result : take_fd(&fd);
}

int socketbox_sender_open(const char *path)
{
	cleanup_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	return take_fd(&fd);
}

static long now_lib_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int socketbox_send_to(int channel, int connection, int timeout_ms)
{
	struct pollfd writable = {.fd = channel, .events = POLLOUT};
	long left = timeout_ms, end = now_lib_ms() + timeout_ms;
	int result;

	if (!is_connection(connection))
		return -EPROTOTYPE;
	/* A datagram socket is writable when its peer's queue has room; others may fill it first.
	 */
	while ((result = handoff_send(channel, connection, MSG_DONTWAIT)) == -EAGAIN) {
		if (timeout_ms >= 0 && left <= 0)
			return -ETIMEDOUT;
		if (poll(&writable, 1, timeout_ms < 0 ? -1 : (int)left) < 0)
			return -errno;
		left = end - now_lib_ms();
	}
	return result;
}

int socketbox_send(const char *path, int connection, int timeout_ms)
{
	cleanup_close int channel = socketbox_sender_open(path);

	return channel < 0 ? channel : socketbox_send_to(channel, connection, timeout_ms);
}
