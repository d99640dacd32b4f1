/* SPDX-License-Identifier: BSD-2-Clause */
/* One acceptor, shared by acceptors.c and acceptors_drain.c only. */
#ifndef SOCKETBOX_DAEMON_LISTEN_LISTENERS_PRIVATE_H
#define SOCKETBOX_DAEMON_LISTEN_LISTENERS_PRIVATE_H

#include "daemon/listen/listen_spec.h"
#include "daemon/listen/listeners.h"

struct acceptor {
	struct acceptors *set;
	struct wanted wanted;
	int fd;
	struct event *readable;
	bool accepting; /* committed, and not paused */
	bool served;	/* the delivery uses the socket itself */
	bool deaf;	/* takes nothing new, see follow_served */
	bool is_new, is_kept;
	uint32_t next_service; /* wanted.service as of the next commit */
	/* The next `old` connections waited in the backlog when an era ended, and came in old_era
	 * at the latest. */
	unsigned old;
	uint32_t old_era;
	struct acceptor *next;
};

struct acceptors {
	struct event_base *base;
	struct engine *engine;
	struct judge *judge;
	struct deliveries *deliveries;
	struct fence *fence;
	const struct drains *drains;
	uint32_t era;
	struct handover *handover;
	struct acceptor *first;
	struct event *wake; /* pending while accepting rests */
	bool starving;	    /* said already */
};

/* Of the one service whose connections these are; NULL: there are several. */
struct delivery *acceptor_delivery(const struct acceptor *acceptor);

/* Holds a UDP socket to what the routes give to its service. */
int acceptor_guard(struct acceptor *acceptor, const struct config *config, struct err *err);

/* How many connections wait to be accepted. */
int acceptor_backlog(int fd);

/* Accepts where there is room, unless accepting rests. */
void acceptors_wake(struct acceptors *acceptors);

/* In which era the next connection of the backlog came; to be called once for each. */
uint32_t acceptor_take_era(struct acceptor *acceptor);

/* True where all that is accepted will be refused, which takes no room. */
bool acceptor_only_refuses(const struct acceptor *acceptor);

#endif
