/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The registry of claims: which socket each service holds, who holds it, and how long it is kept
 * for a successor. Two kinds:
 *
 * - single: one socket, of which the registry keeps a copy. While the service restarts, connections
 *   wait in its backlog, and the next claim gets the same socket.
 * - group: SO_REUSEPORT. Every claim gets a socket of its own, of which no copy is kept (a copy
 *   would go on taking its share of connections after the program closed its own). The registry
 *   adds a standby to the group: it gets connections and packets, and the backlogs of closing
 *   members, only while no member lives, and becomes the first member of the next start.
 */
#ifndef SOCKETBOX_DAEMON_CLAIMS_H
#define SOCKETBOX_DAEMON_CLAIMS_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/confinement/confinement.h"
#include "daemon/control/peer.h"
#include "daemon/drains.h"
#include "daemon/engine.h"
#include "daemon/fdstore/fdstore.h"
#include "daemon/routes/coverage.h"

struct claims;

struct issued_socket {
	int fd; /* the caller's to close */
	uint64_t cookie;
	struct addr_endpoint bound;
	bool shared; /* the socket existed before */
};

/* A program on the wildcard learns the address that a UDP packet came to, and can answer from it,
 * only by IP_PKTINFO or IPV6_RECVPKTINFO. Of SO_REUSEPORT sockets no copy is kept to ask. */
enum claims_pktinfo {
	CLAIMS_PKTINFO_NOT_NEEDED,
	CLAIMS_PKTINFO_UNKNOWN,
	CLAIMS_PKTINFO_OFF,
	CLAIMS_PKTINFO_ON,
};

/* What status shows of one claim. Pointers are valid during the visit. */
struct claims_view {
	uint32_t service;
	struct coverage_bind bind;
	struct addr_endpoint bound;
	bool group;
	uint64_t cookie;  /* of a single socket, else 0 */
	uint32_t members; /* living sockets */
	const struct peer *const *claimants;
	size_t claimant_count;
	int64_t hold_left_ms; /* -1: claimed */
	int32_t backlog;      /* TCP: connections that wait to be accepted; -1: not known */
	bool unread;	      /* UDP: there are packets that nobody has read */
	enum claims_pktinfo pktinfo;
};

/* Nothing is owned. confinement and fdstore may be NULL; every kept socket is kept in the fdstore
 * too. NULL out of memory. */
struct claims *claims_new(struct event_base *base, struct engine *engine,
	struct confinement *confinement, const struct drains *drains, struct fdstore *fdstore);

/* Closes every kept socket. */
void claims_free(struct claims *claims);

/* Tells which configuration is in force; it must outlive the registry or the next call. Sockets
 * that are really bound to addresses which their service no longer has go drops until it has them
 * again. */
void claims_configure(struct claims *claims, const struct config *config);

/* A drain of the service has begun or ended. Where no engine refuses what is new, its sockets drop
 * it meanwhile. On failure, some of them do. */
int claims_follow(struct claims *claims, uint32_t service, struct err *err);

/*
 * Gives the claimant the socket that bind asks for. The claimant is known by its peer record, which
 * stays the caller's and must live until claims_release. -ENOENT: no route covers it (the text has
 * the line that would); -EADDRINUSE, -EMFILE and others from the kernel.
 */
int claims_claim(struct claims *claims, const struct config_service *service,
	const struct peer *claimant, const struct coverage_bind *bind, bool reuseport,
	struct issued_socket *issued, struct err *err);

/* Takes over a claim that a claimant got from an earlier daemon; fd is the single socket or, for a
 * group, -1. The grant's fd is -1. -ESTALE if the socket is not, or no longer, the one in force. */
int claims_register(struct claims *claims, const struct config_service *service,
	const struct peer *claimant, const struct coverage_bind *bind, int fd,
	struct issued_socket *issued, struct err *err);

/* Takes what an earlier daemon kept, after the first claims_configure: each socket is held for its
 * service's hold time, and no less than a launcher needs to register. */
void claims_restore(struct claims *claims);

/* The claimant is gone: what nobody else claims is kept for the service's hold time. */
void claims_release(struct claims *claims, const struct peer *claimant);

/* Shows the claims of one service, or all. */
void claims_visit_service(struct claims *claims, uint32_t service,
	void (*visit)(const struct claims_view *view, void *context), void *context);
void claims_visit(struct claims *claims,
	void (*visit)(const struct claims_view *view, void *context), void *context);

#endif
