/* SPDX-License-Identifier: BSD-2-Clause */
/* A queue of connections that wait, which owns them. */
#ifndef SOCKETBOX_DAEMON_DELIVER_ACCEPTED_QUEUE_H
#define SOCKETBOX_DAEMON_DELIVER_ACCEPTED_QUEUE_H

#include <stddef.h>

#include "daemon/accepted.h"

struct waiting {
	struct arrival arrival;
	struct waiting *next;
};

/* Zeroed, it is empty. */
struct arrivals {
	struct waiting *first, *last;
	size_t count;
};

/* Takes the connection; -ENOMEM: it stays the caller's. */
int arrivals_append(struct arrivals *arrivals, struct arrival *arrival);

/* Moves all that front has, in its order, before what is there. */
void arrivals_put_before(struct arrivals *arrivals, struct arrivals *front);

/* The first connection, whose descriptor the caller has taken or closed, is forgotten. */
void arrivals_drop_first(struct arrivals *arrivals);

#endif
