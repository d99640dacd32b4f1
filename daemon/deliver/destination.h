/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where connections of a handoff service wait: a bounded queue, and the receivers that take from
 * it. A receiver that is down is waited for, one that is replaced is followed, and what one leaves
 * unacknowledged goes to the next.
 */
#ifndef SOCKETBOX_DAEMON_DESTINATION_H
#define SOCKETBOX_DAEMON_DESTINATION_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/accepted.h"
#include "daemon/config/config.h"
#include "daemon/fdstore/fdstore.h"

struct destination;

struct destination_counts {
	uint64_t delivered;   /* taken by a receiver, or on the way to it */
	uint64_t redelivered; /* left unacknowledged by a receiver that died, and sent again */
	uint64_t lost;	      /* used, but not served, by a receiver that died */
	uint64_t refused;     /* nobody was there for `hold`, or the queue was full */
	size_t waiting;	      /* in the queues of all that share the counts */
};

struct destination_view {
	const char *path; /* NULL: only opened receivers */
	size_t receivers, waiting, unacknowledged;
	bool down;
};

/* path is copied; NULL: only receivers that destination_open gives. ready is called whenever fewer
 * connections wait than before. counts is the caller's and outlives the object. NULL out of memory.
 */
struct destination *destination_new(struct event_base *base, const char *path,
	const struct config_handoff *config, struct destination_counts *counts,
	void (*ready)(void *context), void *context);

/* New settings; the path stays. */
void destination_configure(struct destination *destination, const struct config_handoff *config);

/* Takes the connection, which is sent as soon as a receiver has room. Where the queue is full, or
 * nobody has been there for too long, it is refused. */
void destination_take(struct destination *destination, struct accepted *accepted);

/* True while nobody waits here, and no receiver is there: nothing is lost by closing it. */
bool destination_is_idle(const struct destination *destination);

bool destination_full(const struct destination *destination);

/* Takes the daemon's end of a pair, whose other end is a receiver's, and keeps it under a name that
 * begins with prefix. */
int destination_open(struct destination *destination, int *fd, struct fdstore *fdstore,
	const char *prefix, struct err *err);

/* Gives the fdstore what waits and what is unacknowledged, and keeps the receivers that have not
 * taken all under names that begin with prefix. */
void destination_save_in_flight(struct destination *destination, struct fdstore *fdstore,
	const char *prefix, uint32_t service);

/* Takes a receiver that an earlier daemon kept; rest is what follows the prefix in its name. */
int destination_restore(struct destination *destination, int *fd, struct fdstore *fdstore,
	const char *prefix, const char *rest, struct err *err);

/* Takes a connection that was sent to the receiver of that cookie, but not taken yet. False, and
 * the connection stays the caller's, if it is not here. */
bool destination_retake(
	struct destination *destination, uint64_t receiver, struct accepted *accepted);

void destination_see(const struct destination *destination, struct destination_view *view);

/* Refuses what waits, and closes. NULL is allowed. */
void destination_free(struct destination *destination);

#endif
