// SPDX-License-Identifier: BSD-2-Clause
// Copies socket options, by the table of common/sockopts.c.
#include "cli/run/sockopt_copy.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "common/sockopts.h"

/* glibc 2.36 has no name for it. */
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#define SEND_BUFFER_LOCKED    1
#define RECEIVE_BUFFER_LOCKED 2

int sockopt_get(int fd, int level, int name, int fallback)
{
	int value = 0;
	socklen_t length = sizeof(value);

	return getsockopt(fd, level, name, &value, &length) ? fallback : value;
}

static void copy_option(int from, int to, int level, int name)
{
	char wanted[64] = {0}, present[64] = {0};
	socklen_t wanted_length = sizeof(wanted), present_length = sizeof(present);

	if (getsockopt(from, level, name, wanted, &wanted_length) ||
		getsockopt(to, level, name, present, &present_length) ||
		(wanted_length == present_length && !memcmp(wanted, present, wanted_length)))
		return;
	setsockopt(to, level, name, wanted, wanted_length);
}

/* What the program has not set, the daemon may have. */
static bool is_daemons(const struct sockopt *option)
{
	return (option->level == IPPROTO_IP && option->name == IP_FREEBIND) ||
	       (option->level == IPPROTO_IPV6 && option->name == IPV6_FREEBIND);
}

/* The kernel doubles what is set (socket(7)), and only FORCE passes the system's limit. */
static void copy_buffer(int from, int to, int name, int force)
{
	int size = sockopt_get(from, SOL_SOCKET, name, 0) / 2;

	if (setsockopt(to, SOL_SOCKET, force, &size, sizeof(size)))
		setsockopt(to, SOL_SOCKET, name, &size, sizeof(size));
}

void sockopt_copy(int from, int to)
{
	/* Before Linux 5.14 it cannot be told; a buffer that was not set then stays automatic. */
	int locked = sockopt_get(from, SOL_SOCKET, SO_BUF_LOCK, 0);

	for (size_t i = 0; i < sockopts_count; i++) {
		if (!is_daemons(&sockopts[i]) ||
			sockopt_get(from, sockopts[i].level, sockopts[i].name, 0))
			copy_option(from, to, sockopts[i].level, sockopts[i].name);
	}
	if (locked & SEND_BUFFER_LOCKED)
		copy_buffer(from, to, SO_SNDBUF, SO_SNDBUFFORCE);
	if (locked & RECEIVE_BUFFER_LOCKED)
		copy_buffer(from, to, SO_RCVBUF, SO_RCVBUFFORCE);
	fcntl(to, F_SETFL, fcntl(from, F_GETFL));
}
