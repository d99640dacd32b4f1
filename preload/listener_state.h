/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What has been set on a listener: that it listens, and its socket options. It has to be where the
 * listener is, in whatever process that came by it, so it is kept in the kernel: as the constants
 * of a socket filter that lets everything pass, which SO_GET_FILTER reads back. Where filters are
 * not to be had, options are forgotten and nothing else is.
 */
#ifndef SOCKETBOX_PRELOAD_LISTENER_STATE_H
#define SOCKETBOX_PRELOAD_LISTENER_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define STATE_MOST_WORDS 192
#define STATE_MOST_DATA	 16 /* bytes of an option */

struct state {
	bool listening;
	unsigned used; /* words */
	uint32_t words[STATE_MOST_WORDS];
};

/* False: nothing has been written on it. */
bool state_read(int fd, struct state *state);
bool state_write(int fd, const struct state *state);

/* Remembers an option instead of what was remembered of it. False: no room, or it is too long. */
bool state_set(struct state *state, int level, int name, const void *data, socklen_t length);

/* Sets one remembered option on a socket; true if there is one. */
bool state_apply_one(const struct state *state, int fd, int level, int name);

/* Sets on a connection what it would have inherited from a TCP listener. */
void state_apply(const struct state *state, int connection);

/* Remembers where the program's own socket differs from a new one, and sets on the listener what
 * Unix sockets have too, such as SO_RCVTIMEO. */
void state_take_over(struct state *state, int fd, int listener);

#endif
