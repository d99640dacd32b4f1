/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A claimant's connection to the daemon, and the claims made over it. It outlives a daemon: after
 * a restart it connects again and registers what it holds.
 */
#ifndef SOCKETBOX_COMMON_CLAIM_CLIENT_H
#define SOCKETBOX_COMMON_CLAIM_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/wire.h"

/* A bind(2) that becomes a claim. */
struct link_bind {
	uint32_t protocol; /* IPPROTO_TCP, IPPROTO_UDP or IPPROTO_MPTCP */
	uint8_t family;	   /* of the socket: 4 or 6 */
	bool v6only, reuseport;
	struct addr_endpoint endpoint;
};

/* What the program has claimed, once per bind. Of SO_REUSEPORT sockets no copy is kept: one that
 * the program has closed would go on taking its share of the connections. */
struct link_claim {
	struct link_bind bind;
	int fd; /* a copy of a lone socket, or -1 */
};

/* A socket that was handed out. */
struct link_gift {
	uint64_t cookie; /* 0: none */
	struct link_bind bind;
};

#define LINK_GIFTS 64

struct link {
	const char *path, *service;
	int fd; /* -1 while the daemon is away */
	struct wire_endpoint *endpoints;
	size_t endpoint_count;
	struct link_claim *claims;
	size_t claim_count;
	struct link_gift gifts[LINK_GIFTS]; /* the last ones, a ring */
	size_t next_gift;
	bool ungranted; /* the daemon had no grant for the last bind with port 0 */
};

/* Connects, says which service this is, and reads what its routes cover. link_close frees. */
int link_open(struct link *link, const char *path, const char *service, struct err *err);
void link_close(struct link *link);

/* Asks for a socket; *fd is the caller's. *granted tells that it was made under a grant: then it is
 * not remembered, but for link_knows, and no copy of it is kept. -EPIPE: the daemon is away
 * (link->fd is -1 then); -ENOENT: neither route nor grant covers it; others are the daemon's
 * refusal. */
int link_claim(
	struct link *link, const struct link_bind *bind, int *fd, bool *granted, struct err *err);

/* True if the socket with this cookie was handed out lately, for the same bind. */
bool link_knows(const struct link *link, uint64_t cookie, const struct link_bind *bind);

/* The copy that is kept of a lone socket which was handed out for the bind; -1: none. The link's.
 */
int link_copy(const struct link *link, const struct link_bind *bind);

/* Connects again and registers all claims; returns how many of them the daemon did not take back,
 * of which `refused` (may be NULL) is told each. -EPIPE: the daemon is away still; others are its
 * refusal of the service. */
int link_restore(struct link *link,
	void (*refused)(const struct link_claim *claim, const struct err *err), struct err *err);

#endif
