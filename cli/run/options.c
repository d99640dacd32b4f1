// SPDX-License-Identifier: BSD-2-Clause
// Copies socket options by a table.
#include "cli/run/options.h"

#include <fcntl.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

/* Names that glibc 2.36 does not have, or has only in headers that cannot stand beside its own. */
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#define SEND_BUFFER_LOCKED    1
#define RECEIVE_BUFFER_LOCKED 2

/*
 * Not here: SO_REUSEPORT and IPV6_V6ONLY, which the daemon has set before it bound the socket;
 * SO_REUSEADDR, without which what is left of a claim would keep its successor away;
 * SO_BINDTODEVICE, whose device is one of the program's namespace; filters, which cannot be read.
 */
static const struct option {
	int level, name;
} table[] = {
	{SOL_SOCKET, SO_KEEPALIVE},
	{SOL_SOCKET, SO_BROADCAST},
	{SOL_SOCKET, SO_LINGER},
	{SOL_SOCKET, SO_OOBINLINE},
	{SOL_SOCKET, SO_MARK},
	{SOL_SOCKET, SO_RCVLOWAT},
	{SOL_SOCKET, SO_RCVTIMEO},
	{SOL_SOCKET, SO_SNDTIMEO},
	{SOL_SOCKET, SO_TIMESTAMP},
	{SOL_SOCKET, SO_TIMESTAMPNS},
	{SOL_SOCKET, SO_TIMESTAMPING},
	{SOL_SOCKET, SO_RXQ_OVFL},
	{SOL_SOCKET, SO_BUSY_POLL},
	{SOL_SOCKET, SO_ZEROCOPY},
	{SOL_SOCKET, SO_BUSY_POLL_BUDGET},
	{SOL_SOCKET, SO_PREFER_BUSY_POLL},
	{SOL_SOCKET, SO_DONTROUTE},
	{SOL_SOCKET, SO_NO_CHECK},
	{IPPROTO_IP, IP_TOS},
	{SOL_SOCKET, SO_PRIORITY}, /* after IP_TOS, which sets it */
	{IPPROTO_IP, IP_TTL},
	{IPPROTO_IP, IP_MINTTL},
	{IPPROTO_IP, IP_TRANSPARENT},
	{IPPROTO_IP, IP_PKTINFO},
	{IPPROTO_IP, IP_RECVTTL},
	{IPPROTO_IP, IP_RECVTOS},
	{IPPROTO_IP, IP_RECVERR},
	{IPPROTO_IP, IP_RECVOPTS},
	{IPPROTO_IP, IP_RETOPTS},
	{IPPROTO_IP, IP_RECVFRAGSIZE},
	{IPPROTO_IP, IP_RECVORIGDSTADDR},
	{IPPROTO_IP, IP_MTU_DISCOVER},
	{IPPROTO_IP, IP_MULTICAST_TTL},
	{IPPROTO_IP, IP_MULTICAST_LOOP},
	{IPPROTO_IP, IP_MULTICAST_ALL},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS},
	{IPPROTO_IPV6, IPV6_TCLASS},
	{IPPROTO_IPV6, IPV6_TRANSPARENT},
	{IPPROTO_IPV6, IPV6_RECVPKTINFO},
	{IPPROTO_IPV6, IPV6_RECVHOPLIMIT},
	{IPPROTO_IPV6, IPV6_RECVTCLASS},
	{IPPROTO_IPV6, IPV6_RECVERR},
	{IPPROTO_IPV6, IPV6_RECVORIGDSTADDR},
	{IPPROTO_IPV6, IPV6_RECVRTHDR},
	{IPPROTO_IPV6, IPV6_RECVHOPOPTS},
	{IPPROTO_IPV6, IPV6_RECVDSTOPTS},
	{IPPROTO_IPV6, IPV6_RECVPATHMTU},
	{IPPROTO_IPV6, IPV6_RECVFRAGSIZE},
	{IPPROTO_IPV6, IPV6_MTU_DISCOVER},
	{IPPROTO_IPV6, IPV6_DONTFRAG},
	{IPPROTO_IPV6, IPV6_MINHOPCOUNT},
	{IPPROTO_IPV6, IPV6_MULTICAST_HOPS},
	{IPPROTO_IPV6, IPV6_MULTICAST_LOOP},
	{IPPROTO_IPV6, IPV6_MULTICAST_ALL},
	{IPPROTO_TCP, TCP_NODELAY},
	{IPPROTO_TCP, TCP_CORK},
	{IPPROTO_TCP, TCP_KEEPIDLE},
	{IPPROTO_TCP, TCP_KEEPINTVL},
	{IPPROTO_TCP, TCP_KEEPCNT},
	{IPPROTO_TCP, TCP_USER_TIMEOUT},
	{IPPROTO_TCP, TCP_SYNCNT},
	{IPPROTO_TCP, TCP_LINGER2},
	{IPPROTO_TCP, TCP_MAXSEG},
	{IPPROTO_TCP, TCP_QUICKACK},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT},
	{IPPROTO_TCP, TCP_FASTOPEN},
	{IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE},
	{IPPROTO_TCP, TCP_WINDOW_CLAMP},
	{IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT},
	{IPPROTO_TCP, TCP_SAVE_SYN},
	{IPPROTO_TCP, TCP_CONGESTION},
	{IPPROTO_UDP, UDP_GRO},
	{IPPROTO_UDP, UDP_SEGMENT},
	{IPPROTO_UDP, UDP_NO_CHECK6_TX},
	{IPPROTO_UDP, UDP_NO_CHECK6_RX},
};

/* What the program has not set, the daemon may have. */
static const struct option only_set[] = {
	{IPPROTO_IP, IP_FREEBIND},
	{IPPROTO_IPV6, IPV6_FREEBIND},
};

int options_get(int fd, int level, int name, int fallback)
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

/* The kernel doubles what is set (socket(7)), and only FORCE passes the system's limit. */
static void copy_buffer(int from, int to, int name, int force)
{
	int size = options_get(from, SOL_SOCKET, name, 0) / 2;

	if (setsockopt(to, SOL_SOCKET, force, &size, sizeof(size)))
		setsockopt(to, SOL_SOCKET, name, &size, sizeof(size));
}

void options_copy(int from, int to)
{
	/* Before Linux 5.14 it cannot be told; a buffer that was not set then stays automatic. */
	int locked = options_get(from, SOL_SOCKET, SO_BUF_LOCK, 0);

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		copy_option(from, to, table[i].level, table[i].name);
	for (size_t i = 0; i < sizeof(only_set) / sizeof(*only_set); i++) {
		if (options_get(from, only_set[i].level, only_set[i].name, 0))
			copy_option(from, to, only_set[i].level, only_set[i].name);
	}
	if (locked & SEND_BUFFER_LOCKED)
		copy_buffer(from, to, SO_SNDBUF, SO_SNDBUFFORCE);
	if (locked & RECEIVE_BUFFER_LOCKED)
		copy_buffer(from, to, SO_RCVBUF, SO_RCVBUFFORCE);
	fcntl(to, F_SETFL, fcntl(from, F_GETFL));
}
