/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's own listening sockets: accepts on them for the services whose connections it
 * delivers, and pauses where these, or the machine, have no room.
 */
#ifndef SOCKETBOX_DAEMON_LISTEN_LISTENERS_H
#define SOCKETBOX_DAEMON_LISTEN_LISTENERS_H

#include <event2/event.h>
#include <jansson.h>

#include "daemon/confinement/confinement.h"
#include "daemon/drains.h"
#include "daemon/engine.h"
#include "daemon/fdstore/fdstore.h"
#include "daemon/listen/dispatcher.h"

struct acceptors;

/* Nothing is owned. fence and handover may be NULL; sockets that the handover has are used again,
 * and every socket is kept there. NULL without memory. */
struct acceptors *acceptors_new(struct event_base *base, struct engine *engine, struct fence *fence,
	struct judge *judge, struct deliveries *deliveries, const struct drains *drains,
	struct handover *handover);

/* Opens what the configuration needs beside what is open. On failure, with at least one error among
 * the complaints, nothing is changed. Then one of the other two. */
int acceptors_prepare(
	struct acceptors *acceptors, const struct config *config, struct complaints *complaints);

/* Begins to accept on the new sockets, and closes what is not needed any more. */
void acceptors_commit(struct acceptors *acceptors, const struct config *config);
void acceptors_abandon(struct acceptors *acceptors);

/* A drain has begun or ended. What waits in the backlogs when one begins came before it. On
 * failure, some sockets of programs go on taking what is new. */
int acceptors_follow(struct acceptors *acceptors, const struct config *config, struct err *err);

/* What waits in backlogs for a service that is being drained, or may be for it: connections that
 * came before, and UDP sockets with something unread. */
struct acceptors_waiting {
	unsigned connections, datagrams;
};
struct acceptors_waiting acceptors_waiting(const struct acceptors *acceptors, uint32_t service);

/* The service's delivery has room again. */
void acceptors_resume(struct acceptors *acceptors, uint32_t service);

/* [{service, family, address, paused, backlog}] */
json_t *acceptors_report(const struct acceptors *acceptors, const struct config *config);

void acceptors_free(struct acceptors *acceptors); /* NULL is allowed */

#endif
