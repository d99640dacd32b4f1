/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads a TCP connection without taking anything out of it (MSG_PEEK), and tells new bytes, none,
 * and the end of the stream apart. When to read is the caller's affair.
 */
#ifndef SOCKETBOX_DAEMON_LISTEN_PEEK_SOCKET_H
#define SOCKETBOX_DAEMON_LISTEN_PEEK_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct peek_socket {
	int fd; /* borrowed, non-blocking */
	size_t seen;
	int low_water;	 /* SO_RCVLOWAT as set */
	bool by_offset;	 /* SO_PEEK_OFF works: the kernel leaves out what was seen */
	bool grown;	 /* SO_RCVBUF was set */
	int buffer_lock; /* SO_BUF_LOCK before that; negative where the kernel has none */
};

void peek_socket_init(struct peek_socket *socket, int fd);

/* How many bytes are new, which *data points to, within the buffer; 0 at the end of the stream;
 * -EAGAIN if there is nothing new; another negative errno of recv(2). The buffer has to have room
 * for all that was seen and something more. */
ssize_t peek_socket_read(
	struct peek_socket *socket, uint8_t *buffer, size_t size, const uint8_t **data);

/* The socket shall be readable when so many new bytes are there. The kernel says so earlier at the
 * end of the stream, when memory is short, and when the receive buffer is nearly full. */
void peek_socket_await(struct peek_socket *socket, size_t bytes);

/* Makes a small receive buffer large enough for `bytes` in segments of any size, as far as
 * net.core.rmem_max allows. */
void peek_socket_grow(struct peek_socket *socket, size_t bytes);

/* Undoes what the next owner of the connection would notice. */
void peek_socket_reset(struct peek_socket *socket);

#endif
