/* SPDX-License-Identifier: BSD-2-Clause */
/* One claim, shared by claims.c (the registry), claims_single.c and claims_group.c only. */
#ifndef SOCKETBOX_DAEMON_CLAIMS_CLAIMS_PRIVATE_H
#define SOCKETBOX_DAEMON_CLAIMS_CLAIMS_PRIVATE_H

#include <sys/queue.h>
#define HASH_NONFATAL_OOM 1 /* out of memory, an element has no hh.tbl */
#include <uthash.h>

#include "daemon/claims/claims.h"
#include "daemon/claims/socket_queues.h"

struct drop_group;
struct claim_holding;

/* Where packets look for a claim's sockets: claims of one place may have the same packets. There
 * are few of them, since they differ in family, V6ONLY and kind alone. No padding: it is a key of
 * uthash. */
struct claims_place_key {
	uint32_t service;
	uint16_t port;
	uint8_t protocol;
	uint8_t zero;
	uint8_t address[16]; /* all zero for the wildcard of either family */
};

struct claims_place {
	struct claims_place_key key;
	LIST_HEAD(, claim) claims;
	UT_hash_handle hh;
};

struct claims_service {
	uint32_t id;
	LIST_HEAD(, claim) claims;
	UT_hash_handle hh;
};

struct claims_claimant {
	const struct peer *peer;
	LIST_HEAD(, claim_holding) holdings;
	UT_hash_handle hh;
};

/* That a claimant holds a claim. */
struct claim_holding {
	struct claim *claim;
	struct claims_claimant *claimant;
	size_t index; /* in the claim's claimants and holdings */
	LIST_ENTRY(claim_holding) entry;
};

struct claim {
	struct claims *claims;
	struct claims_place *at;
	struct claims_service *of;
	LIST_ENTRY(claim) entry, entry_at, entry_of; /* of all, of its place, of its service */
	uint32_t service;
	struct coverage_bind bind;
	struct addr_endpoint bound;
	bool group;
	bool drops;
	int fd; /* the single socket, or a group's standby; -1: none */
	uint64_t cookie;
	const struct peer **claimants;
	struct claim_holding **holdings; /* in the same order */
	size_t claimant_count, claimant_capacity;
	struct event *hold;			 /* pending while nobody claims it */
	int64_t hold_until_ms;			 /* CLOCK_MONOTONIC; while hold is pending */
	uint64_t guarded[STEER_MAX_MEMBERS + 1]; /* a UDP group's sockets, by slot; 0: none */
	struct drop_group *drop_group;		 /* NULL: the group may take what is new */
	uint64_t kept;	 /* cookie of the socket that the fdstore has, 0: none */
	bool kept_group; /* as it has it */
};

struct claims {
	struct event_base *base;
	struct engine *engine;
	struct confinement *confinement;
	const struct drains *drains;
	struct fdstore *fdstore;
	const struct config *config;
	LIST_HEAD(, claim) all;
	/* Hash tables. */
	struct claims_place *places;
	struct claims_service *services;
	struct claims_claimant *claimants;
	int deaths; /* epoll: single sockets that stopped listening */
	struct event *death;
};

/* The steering key of a claim for packets of a family (4 or 6), slot 0. */
void claims_key(const struct claim *claim, int family, struct steer_key *key);

/* A claim that is not recorded yet; NULL with the error. */
struct claim *claims_add(struct claims *claims, uint32_t service, const struct coverage_bind *bind,
	bool group, struct err *err);

/* Keeps the claim for a claimant for so long, or forgets it. */
void claims_hold(struct claim *claim, unsigned least_ms);

/* Where the claim with the place is kept; NULL: there is none. */
struct claims_place *claims_find_place(
	struct claims *claims, uint32_t service, const struct coverage_bind *bind);

/* Makes a socket that is really bound drops or hear, as the configuration says. */
void claims_restrict(struct claim *claim);

/* Has the fdstore keep what the claim keeps now; to be called whenever that may have changed. */
void claims_store(struct claim *claim);

/* Closes what the claim keeps. */
void claims_close(struct claim *claim);

/* Removes the claim and closes what is kept of it. */
void claims_forget(struct claim *claim);

/* Gives a copy of the single socket, which is made first if there is none that lives. The caller
 * steers. */
int claims_single_issue(struct claim *claim, const struct config_service *service,
	struct issued_socket *issued, struct err *err);

/* Without steering: keeps a socket that is bound to more than its routes to these. service may be
 * NULL: it hears nothing more. */
int claims_filter(struct claim *claim, const struct config_service *service, struct err *err);

/* Makes a new socket in place of a single TCP one that was shut down, if it was; the caller steers.
 */
int claims_single_replace(
	struct claim *claim, const struct config_service *service, struct err *err);

/* The set of single TCP sockets whose end is noticed, by claims_single_replace. */
int claims_watch_init(struct claims *claims);
void claims_watch_fini(struct claims *claims);

/* Adds the claim's socket, or takes it out, as is due before the daemon's copy is closed. */
void claims_watch(struct claim *claim);
void claims_unwatch(const struct claim *claim);

/* Steers the claim's packets to the best single socket that there is for them. */
int claims_single_steer(struct claim *claim, struct err *err);

/* Takes a copy of the socket, which a claimant has from an earlier daemon, and steers to it.
 * -ESTALE if it cannot serve the claim, or another one does. */
int claims_single_adopt(struct claim *claim, int fd, struct err *err);

/* Fits a UDP socket of the claim's to the routes in force: it is guarded unless nothing else can
 * reach it, and on the IPv6 wildcard may answer from all of a prefix that the service has. It may
 * send first where a grant to connect says so, and otherwise answer whom the service has heard. */
int claims_udp_fit(struct claim *claim, int fd, struct err *err);

/* Whether the claim's socket tells its program which address was asked. */
enum claims_pktinfo claims_udp_pktinfo(const struct claim *claim);

/* Gives the next socket of the group. */
int claims_group_issue(struct claim *claim, struct issued_socket *issued, struct err *err);

/* Makes a standby for a group that has none and steers to it. */
int claims_group_make_standby(struct claim *claim, struct err *err);

/* Takes a copy of a standby of an earlier daemon and steers to it. */
int claims_group_adopt(struct claim *claim, int fd, struct err *err);

/* Turns a single claim into a group: its socket becomes a member, or the standby if nobody claims
 * it.
 */
int claims_group_from_single(struct claim *claim, struct err *err);

/* Turns a group without living members into a single claim with the standby's socket; the caller
 * steers. */
int claims_group_to_single(struct claim *claim, struct err *err);

/* Without steering: makes the group take nothing new while its service is being drained. */
int claims_group_follow(struct claim *claim, struct err *err);

/* Ends that. */
void claims_group_admit(struct claim *claim);

/* What waits in the sockets of the group, the standby's included. Negative errno. */
int claims_group_queues(const struct claim *claim, struct queues *queues);

/* How many members of the group live. */
uint32_t claims_group_living(const struct claim *claim);

/* Stops steering to the group. */
void claims_group_drop(struct claim *claim);

#endif
