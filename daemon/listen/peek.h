/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waits for the ClientHello of a connection and reads the server name in it, without taking it out
 * of the socket, so that the service gets the whole handshake.
 */
#ifndef SOCKETBOX_DAEMON_LISTEN_PEEK_H
#define SOCKETBOX_DAEMON_LISTEN_PEEK_H

#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/accepted.h"
#include "daemon/fdstore/fdstore.h"

/* A client that sends nothing for so long is waited for no more. Bytes are looked for at the end of
 * this time, so one that stops in between is kept for up to twice as long. */
#define PEEK_IDLE_MS 5000

/* As long as a client may take that sends something all the time. */
#define PEEK_MOST_MS 60000

/* How many connections may wait at a time, and how many of one source (an IPv4 address, an IPv6
 * /64): fewer where the process may have few descriptors. Beyond that the oldest goes of the
 * source, or the network, that has the most. */
#define PEEK_MOST	    8192u
#define PEEK_MOST_OF_SOURCE 1024u

struct peeks;

/* The end of a wait: the connection, which is the callee's now, and the name that it asked for,
 * NULL if it sent none, or no TLS, or not in time. */
typedef void peek_done(void *context, struct accepted *accepted, const char *name);

/* All waits of the daemon. NULL without memory. */
struct peeks *peeks_new(struct event_base *base, peek_done *done, void *context);

/* Takes the connection. done may be called before this returns. Without memory, it is called at
 * once. */
void peeks_add(struct peeks *peeks, struct accepted *accepted);

size_t peeks_count(const struct peeks *peeks);
uint64_t peeks_displaced(const struct peeks *peeks); /* refused because there were too many */
size_t peeks_count_before(const struct peeks *peeks, uint32_t generation);

/* Gives all to the fdstore, to be judged anew. */
void peeks_save_in_flight(struct peeks *peeks, struct fdstore *fdstore);

/* Refuses those that wait; done is not called. NULL is allowed. */
void peeks_free(struct peeks *peeks);

#endif
