/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The layouts of the maps that the confinement's programs and the daemon share. They are pinned
 * beside the engine's: a change changes STEER_LAYOUT, too. */
#ifndef SOCKETBOX_BPF_CONFINEMENT_MAPS_H
#define SOCKETBOX_BPF_CONFINEMENT_MAPS_H

#include <linux/types.h>

/* How many (listener, peer) pairs are remembered, those heard last. */
#define CONFINEMENT_MAX_PEERS 65536

#define CONFINEMENT_MAX_SERVICES 65535

/* Whom the confinement lets pass: one process, and only while it is in this cgroup. */
struct confinement_owner {
	__u64 cgroup;
	__u32 tgid; /* as the initial process namespace counts; 0: nobody */
	__u32 unused;
};

/* Somebody from whom a UDP socket has received. */
struct confinement_peer {
	__u64 listener;	  /* CONFINEMENT_SERVICE and the socket's service, or the socket's cookie */
	__u32 address[4]; /* network order; IPv4 as ::ffff:a.b.c.d */
	__u16 port;	  /* network order */
	__u16 unused[3];
};

/* Cookies are counted from 1, and never get there. */
#define CONFINEMENT_SERVICE (1ull << 63)

_Static_assert(sizeof(struct confinement_owner) == 16, "pinned layout");
_Static_assert(sizeof(struct confinement_peer) == 32, "pinned layout");

#endif
