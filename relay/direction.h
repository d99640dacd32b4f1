/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One direction of a session: moves bytes from a socket to another, and its end after them. Knows
 * nothing of events: whoever runs it waits until there is something to do.
 */
#ifndef SOCKETBOX_RELAY_DIRECTION_H
#define SOCKETBOX_RELAY_DIRECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/pipes.h"

#define DIRECTION_BUFFER_SIZE (64 * 1024)

/* What directions of one thread share. */
struct direction_shared {
	struct pipes pipes;
	uint8_t buffer[DIRECTION_BUFFER_SIZE]; /* empty between calls */
};

/* What was read and not yet written is in `rest` or in the pipe, never in both, and nothing is read
 * while there is any. */
struct direction {
	struct direction_shared *shared;
	const struct direction *opposite;
	int from, to;	/* non-blocking */
	uint64_t bytes; /* written so far */
	uint8_t *rest;
	size_t rest_at, rest_length;
	struct pipe_pair *pipe;
	size_t piped;
	bool bulk;	/* splices */
	bool no_splice; /* from cannot */
	bool ended;	/* from has sent its end */
	bool shut;	/* which was passed on, or is by closing `to` */
};

/* Whether bytes wait for `to` to take them. */
bool direction_holds(const struct direction *direction);

/* Writes these before anything that is read. 0, or -errno of `to` or -ENOMEM. */
int direction_put(struct direction *direction, const uint8_t *data, size_t length);

/* Moves what can be moved now, or part of it where there is much. 0, or -errno where either socket
 * has failed. */
int direction_run(struct direction *direction);

/* Takes out what it holds: *content is a descriptor to read it from, which is the caller's, or -1
 * for nothing. */
int direction_save(struct direction *direction, int *content);

/* For a new direction: goes on with what direction_save has taken out; content is taken. */
int direction_resume(struct direction *direction, int content);

/* Frees what it holds; the sockets are the caller's. */
void direction_fini(struct direction *direction);

#endif
