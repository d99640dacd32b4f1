/* SPDX-License-Identifier: BSD-2-Clause */
/* A queue of connections that wait, which owns them. */
#ifndef SOCKETBOX_DAEMON_DELIVER_ACCEPTED_QUEUE_H
#define SOCKETBOX_DAEMON_DELIVER_ACCEPTED_QUEUE_H

#include <stddef.h>

#include "daemon/accepted.h"

struct waiting {
	struct accepted accepted;
	struct waiting *next;
};

/* Zeroed, it is empty. */
struct accepted_queue {
	struct waiting *first, *last;
	size_t count;
};

/* Takes the connection; -ENOMEM: it stays the caller's. */
int accepted_queue_append(struct accepted_queue *queue, struct accepted *accepted);

/* Moves all that front has, in its order, before what is there. */
void accepted_queue_put_before(struct accepted_queue *queue, struct accepted_queue *front);

/* The first connection, whose descriptor the caller has taken or closed, is forgotten. */
void accepted_queue_drop_first(struct accepted_queue *queue);

#endif
