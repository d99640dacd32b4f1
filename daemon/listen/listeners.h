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

struct listeners;

/* Nothing is owned. confinement and fdstore may be NULL; sockets that the fdstore has are used
 * again, and every socket is kept there. NULL out of memory. */
struct listeners *listeners_new(struct event_base *base, struct engine *engine,
	struct confinement *confinement, struct dispatcher *dispatcher,
	struct deliveries *deliveries, const struct drains *drains, struct fdstore *fdstore);

/* Opens what the configuration needs beside what is open. On failure, with at least one error among
 * the diagnostics, nothing is changed. Then one of the other two. */
int listeners_prepare(
	struct listeners *listeners, const struct config *config, struct diagnostics *diagnostics);

/* Takes sockets back from deliveries that the configuration does not have any more; to be called
 * before deliveries_commit. */
void listeners_release(struct listeners *listeners, const struct config *config);

/* True if a listener's socket is in the socket map under this key. Walks all listeners. */
bool listeners_have_key(const struct listeners *listeners, const struct steer_key *key);

/* Begins to accept on the new sockets, and closes what is not needed any more. */
void listeners_commit(struct listeners *listeners, const struct config *config);
void listeners_abandon(struct listeners *listeners);

/* A drain has begun or ended. What waits in the backlogs when one begins came before it. On
 * failure, some sockets of programs go on taking what is new. */
int listeners_follow(struct listeners *listeners, const struct config *config, struct err *err);

/* What waits in backlogs for a service that is being drained, or may be for it: connections that
 * came before, and UDP sockets with something unread. */
struct listeners_waiting {
	unsigned connections, datagrams;
};
struct listeners_waiting listeners_waiting(const struct listeners *listeners, uint32_t service);

/* The service's delivery has room again. */
void listeners_resume(struct listeners *listeners, uint32_t service);

/* [{service, family, address, paused, backlog}] */
json_t *listeners_report(const struct listeners *listeners, const struct config *config);

void listeners_free(struct listeners *listeners); /* NULL is allowed */

#endif
