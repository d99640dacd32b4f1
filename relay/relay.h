/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The relay delivery: takes accepted connections and forwards each to one of its backends. Whoever
 * accepts asks relay_full() before, and stops accepting while it is true, so that connections wait
 * in the kernel's backlog.
 *
 * A backend that cannot be reached is skipped for a second, then for twice as long at each failure,
 * up to half a minute; the connection goes to the next one. When all have failed it, the
 * client is reset. Nothing is read from a client before its backend is connected.
 *
 * All calls for a relay come from its event loop's thread. SIGPIPE must be ignored.
 */
#ifndef SOCKETBOX_RELAY_RELAY_H
#define SOCKETBOX_RELAY_RELAY_H

#include <event2/event.h>

#include "relay/relay_settings.h"
#include "relay/session.h"

struct relay;

struct relay_limits {
	unsigned connections; /* at once, with two descriptors each */
	unsigned pipes;	      /* with two descriptors each; 0: all bytes are copied */
};

/* Called from the event loop; each may be NULL. They may call the relay, but not free it. */
struct relay_events {
	void (*ready)(void *context);		      /* relay_full() has become false */
	void (*empty)(void *context);		      /* the last connection has ended */
	void (*say)(void *context, const char *text); /* for the log; no newline */
	void *context;
};

struct relay_report {
	unsigned connecting, established; /* now */
	unsigned waiting;		  /* now, of those connecting: for a descriptor */
	unsigned pipes;			  /* that exist now */
	uint64_t taken;			  /* so far; all that follow are numbers of these */
	uint64_t finished, reset, idle;
	uint64_t failed;  /* no backend could be reached */
	uint64_t refused; /* an address could not be mapped, or must not be reached */
	uint64_t to_backends, to_clients; /* bytes so far */
};

struct relay_backend_report {
	char text[RELAY_BACKEND_TEXT_SIZE];
	uint64_t connections; /* that it accepted since it is among the backends */
	unsigned failures;    /* since it last accepted one */
	uint32_t retry_ms;    /* for so long it is skipped */
};

/* settings, which must have passed relay_settings_check, are copied. -ENOMEM. *out is to be freed
 * before its event loop. */
int relay_new(struct event_base *base, const struct relay_settings *settings,
	const struct relay_limits *limits, const struct relay_events *events, struct relay **out,
	struct err *err);

/* Resets all connections. NULL is allowed. */
void relay_free(struct relay *relay);

/* Limits for a process that has this many descriptors to spend on the relay. */
struct relay_limits relay_limits_for(unsigned descriptors);

/*
 * Takes an accepted, non-blocking stream socket, whatever becomes of it. local and remote are the
 * addresses that backends shall be told and that mappings go by: the socket's own, or what a PROXY
 * header said; both NULL for a connection without. initial are bytes that were read from it
 * already; copied. The relay takes it even when it is full.
 */
void relay_take(struct relay *relay, int fd, const struct addr_endpoint *local,
	const struct addr_endpoint *remote, const void *initial, size_t initial_length);

/* A connection that a relay has given up, for another to go on with, of another process perhaps. */
struct relay_saved {
	struct session_saved session; /* backend -1: it has none yet, and relay_take is for it */
	bool addressed;		      /* local and remote are known */
	struct addr_endpoint local, remote;
};

/* Gives up all connections: each is shown to give, which takes its descriptors. Those that cannot
 * be kept, for want of descriptors or memory, are reset. */
void relay_save(struct relay *relay, void (*give)(void *context, const struct relay_saved *kept),
	void *context);

/* Goes on with a connection that has a backend; takes its descriptors, whatever becomes of it. */
void relay_resume(struct relay *relay, const struct session_saved *kept);

/* Sets TCP_NODELAY, SO_KEEPALIVE and SO_OOBINLINE, as relayed connections should have them. Set on
 * a listening socket they are inherited; what comes otherwise needs the call for each. */
void relay_prepare(int fd);

/* False while addresses are of no use to the relay, so that nobody has to look for them. */
bool relay_wants_addresses(const struct relay *relay);

/* True while there are as many connections as may be, or one waits for a descriptor. */
bool relay_full(const struct relay *relay);

struct relay_report relay_report(const struct relay *relay);
/* False past the last backend. */
bool relay_report_backend(
	const struct relay *relay, size_t index, struct relay_backend_report *out);

/* New settings for connections from now on; those that are being made or are made keep theirs. What
 * is known of backends that stay is kept. On -ENOMEM nothing has changed. */
int relay_reconfigure(struct relay *relay, const struct relay_settings *settings, struct err *err);

#endif
