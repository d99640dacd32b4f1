/* SPDX-License-Identifier: BSD-2-Clause */
/* One listener, shared by listeners.c and listeners_drain.c only. */
#ifndef SOCKETBOX_DAEMON_LISTEN_LISTENERS_PRIVATE_H
#define SOCKETBOX_DAEMON_LISTEN_LISTENERS_PRIVATE_H

#include "daemon/listen/listen_spec.h"
#include "daemon/listen/listeners.h"

struct listener {
	struct listeners *set;
	struct listen_spec spec;
	int fd;
	struct event *readable;
	bool accepting;		   /* committed, and not paused */
	struct delivery *given_to; /* which uses the socket itself; NULL: none does */
	bool drops;		   /* takes nothing new, see follow_served */
	bool is_new, is_kept;
	uint32_t next_service; /* spec.service as of the next commit */
	/* The next `old` connections waited in the backlog when an generation ended, and came in
	 * old_generation at the latest. */
	unsigned old;
	uint32_t old_generation;
	struct listener *next;
};

struct listeners {
	struct event_base *base;
	struct engine *engine;
	struct dispatcher *dispatcher;
	struct deliveries *deliveries;
	struct confinement *confinement;
	const struct drains *drains;
	uint32_t generation;
	struct fdstore *fdstore;
	struct listener *first;
	struct event *wake;    /* pending while accepting rests */
	bool out_of_resources; /* said already */
};

/* Of the one service whose connections these are; NULL: there are several. */
struct delivery *listener_delivery(const struct listener *listener);

/* Holds a UDP socket to what the routes give to its service. */
int listener_guard(struct listener *listener, const struct config *config, struct err *err);

/* How many connections wait to be accepted. */
int listener_backlog(int fd);

/* Accepts where there is room, unless accepting rests. */
void listeners_wake(struct listeners *listeners);

/* In which generation the next connection of the backlog came; to be called once for each. */
uint32_t listener_take_generation(struct listener *listener);

/* True where all that is accepted will be refused, which takes no room. */
bool listener_only_refuses(const struct listener *listener);

#endif
