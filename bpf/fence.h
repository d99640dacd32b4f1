/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The layouts of the maps that the fence's programs and the daemon share. They are pinned beside
 * the engine's: a change changes STEER_LAYOUT, too. */
#ifndef SOCKETBOX_BPF_FENCE_H
#define SOCKETBOX_BPF_FENCE_H

#include <linux/types.h>

/* How many (socket, peer) pairs the UDP sockets remember, those heard last. */
#define FENCE_MAX_PEERS 65536

/* Whom the fence lets pass: one process, and only while it is in this cgroup. */
struct fence_owner {
	__u64 cgroup;
	__u32 tgid; /* as the initial process namespace counts; 0: nobody */
	__u32 unused;
};

/* Somebody from whom a UDP socket has received. */
struct fence_peer {
	__u64 cookie;	  /* of the socket */
	__u8 address[16]; /* IPv4 as ::ffff:a.b.c.d */
	__u16 port;	  /* network order */
	__u16 unused[3];
};

_Static_assert(sizeof(struct fence_owner) == 16, "pinned layout");
_Static_assert(sizeof(struct fence_peer) == 32, "pinned layout");

#endif
