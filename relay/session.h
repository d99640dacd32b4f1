/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Forwards bytes between two connected stream sockets, both ways, until both have ended.
 *
 * An end of one direction (half-close) is passed on as that; a reset of one socket resets the other
 * (TCP; Unix sockets have no resets to send). A socket that cannot take more stops the reading of
 * the other: at most a pipe's content or 64 KiB wait in between, in each direction.
 *
 * All calls for one pool come from its event loop's thread. SIGPIPE must be ignored, since
 * splice(2) cannot be told not to raise it.
 */
#ifndef SOCKETBOX_RELAY_SESSION_H
#define SOCKETBOX_RELAY_SESSION_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

enum session_end {
	SESSION_FINISHED, /* both directions ended, and all bytes were passed on */
	SESSION_RESET,	  /* one socket failed; the other was reset */
	SESSION_IDLE,	  /* nothing moved for the idle timeout; both were reset */
};

struct session;
struct session_pool; /* what the sessions of an event loop share */

struct session_counts {
	uint64_t to_backends, to_clients; /* bytes, by all sessions so far */
	unsigned pipes;			  /* that exist, two descriptors each */
};

/* A pool that makes at most `most_pipes` pipes; sessions that get none copy through memory. NULL
 * out of memory. To be freed after its sessions and before its event loop. */
struct session_pool *session_pool_new(struct event_base *base, unsigned most_pipes);
void session_pool_free(struct session_pool *pool); /* NULL is allowed */
struct session_counts session_pool_counts(const struct session_pool *pool);
/* Closes the pipes that no session uses now; true if there were any. */
bool session_pool_trim(struct session_pool *pool);

/* What a session was at, for another one to go on with. */
struct session_saved {
	int client, backend;
	/* To read from what waits for the other side; -1: nothing does. */
	int to_backend, to_client;
	unsigned ended; /* the directions that have, as session_save writes them */
};

struct session_request {
	int client, backend; /* connected and non-blocking */
	const void *first;   /* goes to the backend before what the client sends; copied */
	size_t first_length;
	/* NULL, or with the same sockets: goes on where that session was, in place of what is
	 * first; takes to_backend and to_client. */
	const struct session_saved *kept;
	uint32_t idle_timeout_ms; /* 0: none */
	/* Called once, from the event loop, after both sockets are closed and the session is freed.
	 */
	void (*ended)(void *context, enum session_end end);
	void *context;
};

/* On success the sockets are the session's. On failure they stay the caller's, nothing has been
 * read from the client, and the errno is the backend's (or -ENOMEM). */
int session_start(struct session_pool *pool, const struct session_request *request,
	struct session **out, struct err *err);

/* Resets both sockets and frees the session; `ended` is not called. */
void session_stop(struct session *session);

/* Frees the session; `ended` is not called. On success all descriptors in *out are the caller's;
 * otherwise both sockets have been reset. */
int session_save(struct session *session, struct session_saved *out);

/* Closes a socket so that a TCP peer sees a reset, not an end. */
void session_reset_socket(int fd);

#endif
