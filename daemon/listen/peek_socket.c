// SPDX-License-Identifier: BSD-2-Clause
// SO_PEEK_OFF (for TCP since Linux 6.9) lets each byte be copied once; without it, recv(2) begins
// with the first byte again, and only what is new is returned.
#include "daemon/listen/peek_socket.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72 /* Linux 5.14 */
#endif

static int set_peek_option(const struct peek_socket *socket, int option, int value)
{
	return setsockopt(socket->fd, SOL_SOCKET, option, &value, sizeof(value));
}

/* -1 where the kernel does not know the option. */
static int get_peek_option(const struct peek_socket *socket, int option)
{
	socklen_t length = sizeof(int);
	int value;

	return getsockopt(socket->fd, SOL_SOCKET, option, &value, &length) ? -1 : value;
}

void peek_socket_init(struct peek_socket *socket, int fd)
{
	*socket = (struct peek_socket){.fd = fd, .low_water = 1};
	/* Asked of each connection, and not once: the answer is the protocol's (MPTCP has none),
	 * and an offset may be left over in a descriptor that another process had before. */
	socket->by_offset = !set_peek_option(socket, SO_PEEK_OFF, 0);
}

/* Whether the peer has sent its last byte. */
static bool has_peer_ended(const struct peek_socket *socket)
{
	struct pollfd poll_fd = {.fd = socket->fd, .events = POLLRDHUP};

	return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents;
}

static ssize_t receive_peeked(const struct peek_socket *socket, uint8_t *buffer, size_t size)
{
	ssize_t length = recv(socket->fd, buffer, size, MSG_PEEK | MSG_DONTWAIT);

	if (length >= 0)
		return length;
	return errno == EINTR ? -EAGAIN : -errno;
}

ssize_t peek_socket_read(
	struct peek_socket *socket, uint8_t *buffer, size_t size, const uint8_t **data)
{
	size_t before = socket->by_offset ? 0 : socket->seen;
	ssize_t length = receive_peeked(socket, buffer, size);
	bool ended;

	if (length <= 0)
		return length;
	if ((size_t)length <= before) {
		/* Nothing new, or only the end. poll(2) comes before a second recv(2), since the
		 * last bytes may have come together with the end, after the first. */
		ended = has_peer_ended(socket);
		if (ended)
			length = receive_peeked(socket, buffer, size);
		if (length <= 0)
			return length;
		if ((size_t)length <= before)
			return ended ? 0 : -EAGAIN;
	}
	length -= (ssize_t)before;
	socket->seen += (size_t)length;
	*data = buffer + before;
	return length;
}

void peek_socket_await(struct peek_socket *socket, size_t bytes)
{
	int low_water = (int)(socket->seen + bytes);

	/* tcp_set_rcvlowat makes a smaller buffer large enough, up to half of the largest of
	 * net.ipv4.tcp_rmem, and cuts off what is beyond that. */
	if (low_water != socket->low_water)
		set_peek_option(socket, SO_RCVLOWAT, low_water);
	socket->low_water = low_water;
}

void peek_socket_grow(struct peek_socket *socket, size_t bytes)
{
	/* The kernel doubles what it is asked for, and opens a window of half of what it has
	 * (tcp_win_from_space): the rest is for the overhead of small segments. */
	size_t size = 2 * bytes;

	if (socket->grown || get_peek_option(socket, SO_RCVBUF) >= (int)(2 * size))
		return;
	socket->buffer_lock = get_peek_option(socket, SO_BUF_LOCK);
	set_peek_option(socket, SO_RCVBUF, (int)size);
	socket->grown = true;
	/* The low-water mark may have been cut off by the smaller buffer. */
	set_peek_option(socket, SO_RCVLOWAT, socket->low_water);
}

void peek_socket_reset(struct peek_socket *socket)
{
	/* With an offset, a service that peeks as well would miss what was seen here. */
	if (socket->by_offset)
		set_peek_option(socket, SO_PEEK_OFF, -1);
	if (socket->low_water != 1)
		set_peek_option(socket, SO_RCVLOWAT, 1);
	/* Else the kernel would not tune the buffer any more (SOCK_RCVBUF_LOCK). */
	if (socket->grown && socket->buffer_lock >= 0)
		set_peek_option(socket, SO_BUF_LOCK, socket->buffer_lock);
}
