/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Forwards bytes between two connected stream sockets, both ways, until both have ended.
 *
 * An end of one direction (half-close) is passed on as that; a reset of one socket resets the other
 * (TCP; Unix sockets have no resets to send). A socket that cannot take more stops the reading of
 * the other: at most a pipe's content or 64 KiB wait in between, in each direction.
 *
 * All calls for one hub come from its event loop's thread. SIGPIPE must be ignored, since splice(2)
 * cannot be told not to raise it.
 */
#ifndef SOCKETBOX_RELAY_SESSION_H
#define SOCKETBOX_RELAY_SESSION_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

enum pump_end {
	PUMP_FINISHED, /* both directions ended, and all bytes were passed on */
	PUMP_RESET,    /* one socket failed; the other was reset */
	PUMP_IDLE,     /* nothing moved for the idle timeout; both were reset */
};

struct pump;
struct pump_hub; /* what the pumps of an event loop share */

struct pump_counts {
	uint64_t to_backends, to_clients; /* octets, by all pumps so far */
	unsigned pipes;			  /* that exist, two descriptors each */
};

/* A hub that makes at most `most_pipes` pipes; pumps that get none copy through memory. NULL
 * without memory. To be freed after its pumps and before its event loop. */
struct pump_hub *pump_hub_new(struct event_base *base, unsigned most_pipes);
void pump_hub_free(struct pump_hub *hub); /* NULL is allowed */
struct pump_counts pump_hub_counts(const struct pump_hub *hub);
/* Closes the pipes that no pump uses now; true if there were any. */
bool pump_hub_trim(struct pump_hub *hub);

/* What a pump was at, for another one to go on with. */
struct pump_kept {
	int client, backend;
	/* To read from what waits for the other side; -1: nothing does. */
	int to_backend, to_client;
	unsigned ended; /* the directions that have, as pump_keep writes them */
};

struct pump_request {
	int client, backend; /* connected and non-blocking */
	const void *first;   /* goes to the backend before what the client sends; copied */
	size_t first_length;
	/* NULL, or with the same sockets: goes on where that pump was, in place of what is first;
	 * takes to_backend and to_client. */
	const struct pump_kept *kept;
	uint32_t idle_timeout_ms; /* 0: none */
	/* Called once, from the event loop, after both sockets are closed and the pump is freed. */
	void (*ended)(void *context, enum pump_end end);
	void *context;
};

/* On success the sockets are the pump's. On failure they stay the caller's, nothing has been read
 * from the client, and the errno is the backend's (or -ENOMEM). */
int pump_start(struct pump_hub *hub, const struct pump_request *request, struct pump **out,
	struct err *err);

/* Resets both sockets and frees the pump; `ended` is not called. */
void pump_stop(struct pump *pump);

/* Frees the pump; `ended` is not called. On success all descriptors in *out are the caller's;
 * otherwise both sockets have been reset. */
int pump_keep(struct pump *pump, struct pump_kept *out);

/* Closes a socket so that a TCP peer sees a reset, not an end. */
void pump_reset_socket(int fd);

#endif
