/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The layouts of the maps that the kernel engine's programs and the daemon share. They are pinned
 * and outlive the daemon: a change to any of them changes STEER_LAYOUT, and with it the pin
 * directory.
 */
#ifndef SOCKETBOX_BPF_STEER_MAPS_H
#define SOCKETBOX_BPF_STEER_MAPS_H

#include <linux/types.h>

#define STEER_LAYOUT	  "v2"
#define STEER_MAX_SOCKETS 131072
#define STEER_MAX_GROUPS  16384
#define STEER_MAX_MEMBERS 64 /* sockets of a SO_REUSEPORT group that take part in balancing */

/* Which socket of a key: a single socket has slot 0, the members of a group have 1 to
 * STEER_MAX_MEMBERS. The standby is the daemon's own socket: it takes connections while a group has
 * no living member. */
#define STEER_SLOT_SINGLE  0u
#define STEER_SLOT_STANDBY 0xffffffffu
#define STEER_SLOT_GRANTED \
	0xfffffffeu /* in verdicts only: made under a grant; no route was asked */

/* Placeholder addresses: 127.77.x.y to 127.92.x.y. TCP packets to them, and to 100::/64, are
 * refused in every network namespace that a daemon steers. */
#define STEER_PLACEHOLDER_V4_FIRST  127u
#define STEER_PLACEHOLDER_V4_SECOND 77u
#define STEER_PLACEHOLDERS	    16u

/* The port of the sockets by which the daemon accepts for a service, whatever the port. */
#define STEER_ANY_PORT 0

/* In place of a service, in keys and routes: the listeners that look for a TLS name. No service's
 * identifier is so low. They differ in what they make of IPv4 connections. */
#define STEER_NAMED	    1u /* AF_INET sockets */
#define STEER_NAMED_MAPPED  2u /* AF_INET6 sockets */
#define STEER_FIRST_SERVICE 16u

/*
 * Key of the socket map. Service 0 has the sockets that belong to no route: the one that swallows
 * packets for silent refusals (no port, no address), and those made under grants, which are really
 * bound to the key's address and port. The latter stay in the map when they stop listening, and are
 * found there when they listen again.
 */
#define STEER_NO_SERVICE 0u

struct steer_key {
	__u32 service;
	__u32 slot;
	__u16 port;	  /* host order: the route's target port, or the packet's */
	__u8 protocol;	  /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 family;	  /* of the packets it takes: 4 or 6 */
	__u8 address[16]; /* IPv4 as ::ffff:a.b.c.d; all zero: any address */
};

/* Where the sockets of a SO_REUSEPORT group are bound, by which a closing one's group is found. */
struct steer_group_address {
	__u8 address[16]; /* IPv4 as ::ffff:a.b.c.d */
	__u16 port;	  /* host order */
	__u16 family;	  /* AF_INET or AF_INET6, of the socket */
};

struct steer_count {
	__u64 lookups;	 /* new TCP connections, or UDP packets, that the route decided */
	__u64 no_socket; /* of these, refused because the service had no socket */
};

/* What the explain program found. */
struct steer_verdict {
	__u32 route;  /* number, or MATCH_NONE */
	__u32 action; /* enum match_action */
	__u32 service;
	__u32 slot;
	__u32 found;	/* 1: a socket was found; its cookie is in the program's context */
	__u32 wildcard; /* 1: found under the wildcard address */
	__u32 generation;
	__u32 listener; /* 1: found under any port: the daemon's listener */
};

_Static_assert(sizeof(struct steer_key) == 28, "pinned layout");
_Static_assert(sizeof(struct steer_group_address) == 20, "pinned layout");
_Static_assert(sizeof(struct steer_count) == 16, "pinned layout");
_Static_assert(sizeof(struct steer_verdict) == 32, "pinned layout");

#endif
