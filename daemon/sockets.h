/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes the sockets that the daemon gives away: where they are bound, and the few things done to
 * them afterwards. TCP sockets listen already, since only listening sockets can be steered to; the
 * program's own listen() then sets its backlog.
 */
#ifndef SOCKETBOX_DAEMON_SOCKETS_H
#define SOCKETBOX_DAEMON_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/err.h"

struct sockets_request {
	uint32_t service; /* picks the placeholder */
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	int domain;	  /* AF_INET or AF_INET6 */
	bool v6only;
	bool reuseport;
	bool transparent; /* IP_TRANSPARENT: takes what TPROXY rules bring (needs CAP_NET_ADMIN) */
	bool at_placeholder; /* bind to a placeholder with the endpoint's port, not to its address
			      */
	bool idle;	     /* TCP: bound, but not listening */
	bool unshared; /* no SO_REUSEADDR, by which two UDP sockets would have the same packets */
	struct addr_endpoint endpoint;
};

/*
 * An placeholder is an address that no packet of the network reaches: 127.77.x.y, as
 * ::ffff:127.77.x.y for an AF_INET6 socket, which then still takes both families; or, for an
 * IPv6-only socket, one in 100::/64 (discard-only, RFC 6666): binding to any other IPv6 address
 * would make it IPv6-only. The address ends in the service's identifier. Steering finds the socket
 * by itself, so the placeholder only keeps unrouted traffic away, which a wildcard bind would let
 * in. Where a placeholder's port is taken, the next of 16 is tried.
 *
 * *fd is the caller's. *bound is where it is. -EADDRINUSE with who may be in the way.
 */
int sockets_make(const struct sockets_request *request, int *fd, struct addr_endpoint *bound,
	struct err *err);

/* Takes a TCP socket back to where it was before listen(2): bound, with all of its options. */
int sockets_stop_listening(int fd, struct err *err);

/* Makes a TCP socket, whoever holds it and whatever they do, drop the connections that others open
 * to it. It can connect out. */
int sockets_refuse_callers(int fd, struct err *err);

/* Makes a socket drop all that comes new, or hear again; established connections are untouched. */
int sockets_set_drop_filter(int fd, bool drops, struct err *err);

/* Makes a TCP socket drop new connections, but not the rest of handshakes that have begun, until
 * sockets_set_drop_filter. */
int sockets_refuse_new(int fd, struct err *err);

/* IP_FREEBIND or IPV6_FREEBIND: a UDP socket that has it may answer (by PKTINFO) from IPv6
 * addresses that are the host's by a route for their prefix only. For IPv4 the kernel asks for no
 * more. */
int sockets_set_freebind(int fd, int domain, bool on, struct err *err);

bool sockets_is_placeholder(const struct addr *addr);
uint64_t sockets_cookie(int fd); /* SO_COOKIE; 0 for what is no socket */
bool sockets_listens(int fd);	 /* SO_ACCEPTCONN: false once a holder has shut it down */
bool sockets_reuseport(int fd);	 /* SO_REUSEPORT is set */
bool sockets_is_connected(int fd);
bool sockets_has_unread(int fd);    /* something to read, or to accept */
bool sockets_tells_address(int fd); /* each packet comes with the address that it was sent to */

#endif
