/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One way to one receiver of connections: a connected Unix socket on which each message is one
 * byte and exactly one connected stream socket. Every connection is kept until the receiver has
 * taken its message out of the socket, so that those in the queue of a receiver that dies are not
 * lost with it.
 *
 * SIOCOUTQ tells how much of what was sent nobody has taken yet (unix(7), as memory charged to the
 * sender, which is the same for each of our messages); a receiver's death empties its queue too,
 * and is told apart by sock_diag(7), which knows no peer of a socket whose peer is gone.
 */
#ifndef SOCKETBOX_DAEMON_RECEIVER_H
#define SOCKETBOX_DAEMON_RECEIVER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/err.h"
#include "daemon/accepted.h"
#include "daemon/fdstore/fdstore.h"

struct receiver;

struct receiver_events {
	/* There may be room again, or less is unacknowledged. */
	void (*progress)(struct receiver *receiver, void *context);
	/* The receiver is gone. receiver_requeue tells what it left; then receiver_free. */
	void (*dead)(struct receiver *receiver, void *context);
	void *context;
};

/* Connects to the datagram socket at path, whose file loses what write permission is not in `most`:
 * another user could pass anything off as a connection. A symbolic link is not followed (-ELOOP).
 * -ECONNREFUSED, -ENOENT: no receiver is there; others with the path and the remedy. */
int receiver_connect(struct event_base *base, const char *path, mode_t most,
	const struct receiver_events *events, struct receiver **out, struct err *err);

/* Takes the daemon's end of a socket pair, which is closed with the receiver. -ENOMEM. */
int receiver_adopt(struct event_base *base, int *fd, const struct receiver_events *events,
	struct receiver **out, struct err *err);

/* What it is known by: the cookie of the daemon's end. */
uint64_t receiver_cookie(const struct receiver *receiver);

/* Keeps the way to it beyond this process; the name is prefix and what receiver_restore needs. */
void receiver_store(struct receiver *receiver, struct fdstore *fdstore, const char *prefix);

/* Takes the way to a receiver that an earlier daemon kept; rest is what follows the prefix. If it
 * is gone by now, events->dead will tell. -EINVAL, -ENOMEM. */
int receiver_restore(struct event_base *base, int *fd, const char *rest,
	const struct receiver_events *events, struct receiver **out, struct err *err);

/* The earlier daemon's unacknowledged connections, in their order. Without room it is closed. */
void receiver_restore_unacknowledged(struct receiver *receiver, struct accepted *accepted);

/* Gives the unacknowledged connections to the fdstore. */
void receiver_save_unacknowledged(
	struct receiver *receiver, struct fdstore *fdstore, uint32_t service);

/* Sends the connection, which is the receiver's then. -EAGAIN: there is no room; events->progress
 * will tell. -ECONNREFUSED: the receiver is gone; events->dead tells too. Other errors: the
 * connection cannot be sent. On any error it stays the caller's. */
int receiver_send(struct receiver *receiver, struct accepted *accepted);

size_t receiver_unacknowledged(const struct receiver *receiver);

/* Gives back the next connection that was never taken, in order; false when there are no more. For
 * a receiver that is dead. Those that the receiver has used after all (read from, or written to)
 * are closed and counted in *used. */
bool receiver_requeue(struct receiver *receiver, struct accepted *accepted, size_t *used);

/* True if the socket file at the path is still the one that was connected to. */
bool receiver_is_at(const struct receiver *receiver, const char *path);

/* Closes the way to it and what is unacknowledged. NULL is allowed. */
void receiver_free(struct receiver *receiver);

#endif
