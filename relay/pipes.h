/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pipes for splice(2), kept for the next user and bounded in number. Whoever gets none copies.
 */
#ifndef SOCKETBOX_RELAY_PIPES_H
#define SOCKETBOX_RELAY_PIPES_H

#include <stdbool.h>

struct pipe_pair {
	int read, write; /* non-blocking */
	struct pipe_pair *next;
};

struct pipes {
	struct pipe_pair *unused;
	unsigned count; /* of pipes, in use or not */
	unsigned most;
};

/* An empty pipe; NULL where `most` are in use, or the process has no descriptors for it. */
struct pipe_pair *pipes_take(struct pipes *pipes);
/* Ends the use of a pipe; one that is not empty is closed. */
void pipes_give(struct pipes *pipes, struct pipe_pair *pair, bool empty);
/* Ends the use of a pipe whose content is to outlive it: the reading end, which is the caller's. */
int pipes_take_out(struct pipes *pipes, struct pipe_pair *pair);
/* Closes all pipes that are not in use; true if there were any. */
bool pipes_trim(struct pipes *pipes);

#endif
