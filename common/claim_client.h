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
struct claim_client_bind {
	uint32_t protocol; /* IPPROTO_TCP, IPPROTO_UDP or IPPROTO_MPTCP */
	uint8_t family;	   /* of the socket: 4 or 6 */
	bool v6only, reuseport;
	struct addr_endpoint endpoint;
};

/* What the program has claimed, once per bind. Of SO_REUSEPORT sockets no copy is kept: one that
 * the program has closed would go on taking its share of the connections. */
struct claim_client_claim {
	struct claim_client_bind bind;
	int fd; /* a copy of a single socket, or -1 */
};

/* A socket that was handed out. */
struct claim_client_issued {
	uint64_t cookie; /* 0: none */
	struct claim_client_bind bind;
};

#define CLAIM_CLIENT_ISSUED 64

struct claim_client {
	const char *path, *service;
	int fd; /* -1 while the daemon is away */
	struct wire_endpoint *endpoints;
	size_t endpoint_count;
	struct claim_client_claim *claims;
	size_t claim_count;
	struct claim_client_issued issued[CLAIM_CLIENT_ISSUED]; /* the last ones, a ring */
	size_t next_issued;
	bool ungranted; /* the daemon had no grant for the last bind with port 0 */
};

/* Connects, says which service this is, and reads what its routes cover. claim_client_close frees.
 */
int claim_client_open(
	struct claim_client *client, const char *path, const char *service, struct err *err);
void claim_client_close(struct claim_client *client);

/* Asks for a socket; *fd is the caller's. *granted tells that it was made under a grant: then it is
 * not remembered, but for claim_client_was_issued, and no copy of it is kept. -EPIPE: the daemon is
 * away (client->fd is -1 then); -ENOENT: neither route nor grant covers it; others are the daemon's
 * refusal. */
int claim_client_claim(struct claim_client *client, const struct claim_client_bind *bind, int *fd,
	bool *granted, struct err *err);

/* True if the socket with this cookie was handed out lately, for the same bind. */
bool claim_client_was_issued(
	const struct claim_client *client, uint64_t cookie, const struct claim_client_bind *bind);

/* The copy that is kept of a single socket which was handed out for the bind; -1: none. The link's.
 */
int claim_client_copy(const struct claim_client *client, const struct claim_client_bind *bind);

/* Connects again and registers all claims; returns how many of them the daemon did not take back,
 * of which `refused` (may be NULL) is told each. -EPIPE: the daemon is away still; others are its
 * refusal of the service. */
int claim_client_restore(struct claim_client *client,
	void (*refused)(const struct claim_client_claim *claim, const struct err *err),
	struct err *err);

#endif
