/* SPDX-License-Identifier: BSD-2-Clause */
/* Where `socketbox relay` gets its connections from: a listener, or a socket that receives them. */
#ifndef SOCKETBOX_CLI_RELAY_LISTENER_H
#define SOCKETBOX_CLI_RELAY_LISTENER_H

#include <event2/event.h>

#include "relay/relay.h"

struct relay_listener;

struct relay_listener_settings {
	const struct relay_accept_proxy *proxy; /* NULL: no PROXY headers are expected */
	struct relay *relay;
	void (*say)(const char *text);
	void (*pending_ended)(void *context); /* a header has come, or will not */
	void *context;
};

/* Opens a listening socket at "ADDR:PORT" or "[v6]:PORT"; *fd is the caller's. */
int relay_listener_listen(const char *text, int *fd, struct err *err);

/* Binds a Unix datagram socket at the path, which receives "A" messages: one byte and one
 * connected stream socket each. What a receiver that is gone has left there is replaced;
 * -EADDRINUSE where one lives. */
int relay_listener_bind(const char *path, int *fd, struct err *err);

/* Takes connections from the socket, which is a listener or receives messages, from now on. Takes
 * fd. -EINVAL for a socket that is neither. Settings are borrowed. */
int relay_listener_new(struct event_base *base, const struct relay_listener_settings *settings,
	int fd, struct relay_listener **out, struct err *err);
void relay_listener_free(struct relay_listener *listener); /* NULL is allowed */

/* The relay has room again. */
void relay_listener_resume(struct relay_listener *listener);
/* Closes the socket; headers that are awaited still are. */
void relay_listener_close(struct relay_listener *listener);
/* Connections whose PROXY header has not come yet. */
unsigned relay_listener_pending(const struct relay_listener *listener);

#endif
