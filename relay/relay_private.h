/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the relay share: the relay, and a connection on its way to a backend. */
#ifndef SOCKETBOX_RELAY_PRIVATE_H
#define SOCKETBOX_RELAY_PRIVATE_H

#include <event2/event_struct.h>

#include "relay/connect.h"
#include "relay/health.h"
#include "relay/relay.h"
#include "relay/session.h"

struct connection {
	struct relay *relay;
	struct connection *next, **link;
	int client;
	bool addressed; /* local and remote are known */
	struct addr_endpoint local, remote;
	struct backend_set *backends; /* NULL once connected */
	uint8_t *first;		      /* goes to the backend first: PROXY header, initial bytes */
	size_t first_length;
	struct tried tried;
	int backend; /* index; -1: none chosen */
	struct connect_target target;
	int64_t give_up_ms; /* on this backend; 0: never */
	int connecting;	    /* the backend's socket, until it is the session's */
	struct event event; /* on it, or a timer */
	bool waiting;	    /* for a descriptor */
	struct session *session;
};

struct relay {
	struct event_base *base;
	struct relay_limits limits;
	struct relay_events events;
	struct backend_set *backends;
	struct session_pool *pool;
	struct connection *connections;
	unsigned count;
	bool was_full;
	int64_t say_starved_ms; /* not before */
	int64_t said_since_ms;
	unsigned said, unsaid;	    /* lines, since then */
	struct relay_report report; /* but for what others count */
};

int64_t relay_now_ms(void); /* monotonic */

/* Before the other two; what is not initialised cannot be dropped. */
void attempt_init(struct connection *connection);

/* For a connection that has been linked: chooses backends until one is connected, and then hands it
 * to a session; or drops it. The connection may be gone afterwards. */
void attempt_start(struct connection *connection);

/* For a connection that has been linked, with its client's socket: starts the session where another
 * was; or drops it. */
void attempt_resume(struct connection *connection, const struct session_saved *kept);

/* Ends the attempt of a connection that has no session, whose client is the caller's from now on;
 * the connection is forgotten. */
void attempt_give_up(struct connection *connection);

/* Resets and forgets a connection that has no session; the caller counts why. */
void attempt_drop(struct connection *connection);

/* Takes a connection out of its relay and frees it, and tells whoever waits for that. */
void connection_forget(struct connection *connection);

/* relay_full() has perhaps become false: tells whoever waits for that. */
void relay_tell_room(struct relay *relay);

#endif
