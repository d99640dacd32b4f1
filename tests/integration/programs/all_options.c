// SPDX-License-Identifier: BSD-2-Clause
// all_options tcp|udp: sets many options on a socket, binds it, and prints each that reads
// otherwise afterwards, or that could not be set in the first place.
#include <fcntl.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>

#include "serve.h"

struct option {
	const char *text;
	int level, name, value;
};

#define OPTION(level, name, value)        \
	{                                 \
#name, level, name, value \
	}

static const struct option common[] = {
	OPTION(SOL_SOCKET, SO_REUSEADDR, 1),
	OPTION(SOL_SOCKET, SO_BROADCAST, 1),
	OPTION(SOL_SOCKET, SO_OOBINLINE, 1),
	OPTION(SOL_SOCKET, SO_RCVLOWAT, 7),
	OPTION(SOL_SOCKET, SO_MARK, 5),
	OPTION(SOL_SOCKET, SO_SNDBUF, 40000),
	OPTION(SOL_SOCKET, SO_RCVBUF, 50000),
	OPTION(SOL_SOCKET, SO_TIMESTAMPNS, 1),
	OPTION(IPPROTO_IP, IP_TOS, 0x10),
	OPTION(SOL_SOCKET, SO_PRIORITY, 3),
	OPTION(IPPROTO_IP, IP_TTL, 33),
	OPTION(IPPROTO_IP, IP_FREEBIND, 1),
	OPTION(IPPROTO_IP, IP_TRANSPARENT, 1),
	OPTION(IPPROTO_IP, IP_PKTINFO, 1),
	OPTION(IPPROTO_IP, IP_RECVTTL, 1),
	OPTION(IPPROTO_IP, IP_RECVTOS, 1),
	OPTION(IPPROTO_IP, IP_RECVERR, 1),
	OPTION(IPPROTO_IP, IP_RECVORIGDSTADDR, 1),
	OPTION(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO),
	OPTION(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 44),
	OPTION(IPPROTO_IPV6, IPV6_TCLASS, 0x20),
	OPTION(IPPROTO_IPV6, IPV6_RECVPKTINFO, 1),
	OPTION(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1),
	OPTION(IPPROTO_IPV6, IPV6_RECVTCLASS, 1),
	OPTION(IPPROTO_IPV6, IPV6_RECVERR, 1),
	OPTION(IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1),
	OPTION(IPPROTO_IPV6, IPV6_RECVPATHMTU, 1),
	OPTION(IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO),
	{0},
};

static const struct option tcp[] = {
	OPTION(SOL_SOCKET, SO_KEEPALIVE, 1),
	OPTION(IPPROTO_TCP, TCP_NODELAY, 1),
	OPTION(IPPROTO_TCP, TCP_KEEPIDLE, 77),
	OPTION(IPPROTO_TCP, TCP_KEEPINTVL, 11),
	OPTION(IPPROTO_TCP, TCP_KEEPCNT, 3),
	OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT, 12345),
	OPTION(IPPROTO_TCP, TCP_SYNCNT, 4),
	OPTION(IPPROTO_TCP, TCP_LINGER2, 30),
	OPTION(IPPROTO_TCP, TCP_MAXSEG, 1000),
	OPTION(IPPROTO_TCP, TCP_DEFER_ACCEPT, 5),
	OPTION(IPPROTO_TCP, TCP_FASTOPEN, 33),
	OPTION(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384),
	OPTION(IPPROTO_TCP, TCP_SAVE_SYN, 1),
	{0},
};

static const struct option udp[] = {
	OPTION(IPPROTO_UDP, UDP_GRO, 1),
	OPTION(IPPROTO_UDP, UDP_SEGMENT, 1200),
	OPTION(IPPROTO_IP, IP_MULTICAST_TTL, 9),
	OPTION(IPPROTO_IP, IP_MULTICAST_LOOP, 0),
	OPTION(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 9),
	OPTION(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0),
	{0},
};

#define MOST 64

static int get(int fd, const struct option *option)
{
	int value = -1;
	socklen_t length = sizeof(value);

	getsockopt(fd, option->level, option->name, &value, &length);
	return value;
}

/* Sets the options and notes how they read then. */
static int set_all(int fd, const struct option *options, int *before)
{
	int count = 0;

	for (; options->text; options++, count++) {
		if (setsockopt(fd, options->level, options->name, &options->value,
			    sizeof(options->value)))
			printf("cannot set %s: %s\n", options->text, strerror(errno));
	}
	for (int i = 0; i < count; i++)
		before[i] = get(fd, options - count + i);
	return count;
}

static void compare_all(int fd, const struct option *options, const int *before)
{
	for (; options->text; options++, before++) {
		int after = get(fd, options);

		if (after != *before)
			printf("%s was %d, is %d\n", options->text, *before, after);
	}
}

int main(int argc, char **argv)
{
	int stream = argc > 1 && !strcmp(argv[1], "tcp"), before[2][MOST], count;
	int fd = socket(AF_INET6, stream ? SOCK_STREAM : SOCK_DGRAM, 0);
	const struct option *own = stream ? tcp : udp;
	struct sockaddr_in6 bound;
	socklen_t length = sizeof(bound);

	count = set_all(fd, common, before[0]) + set_all(fd, own, before[1]);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (bind_wildcard(fd, AF_INET6, PORT))
		die("bind");
	compare_all(fd, common, before[0]);
	compare_all(fd, own, before[1]);
	getsockname(fd, (struct sockaddr *)&bound, &length);
	printf("compared %d, flags %s, port %d\n", count,
		fcntl(fd, F_GETFL) & O_NONBLOCK ? "kept" : "lost", ntohs(bound.sin6_port));
	return 0;
}
