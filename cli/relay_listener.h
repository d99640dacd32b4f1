/* SPDX-License-Identifier: BSD-2-Clause */
/* Where `socketbox relay` gets its connections from: a listener, or a socket that receives them. */
#ifndef SOCKETBOX_CLI_RELAY_LISTENER_H
#define SOCKETBOX_CLI_RELAY_LISTENER_H

#include <event2/event.h>

#include "relay/relay.h"

struct acceptor;

struct acceptor_settings {
	const struct relay_accept_proxy *proxy; /* NULL: no PROXY headers are expected */
	struct relay *relay;
	void (*say)(const char *text);
	void (*pending_ended)(void *context); /* a header has come, or will not */
	void *context;
};

/* Opens a listening socket at "ADDR:PORT" or "[v6]:PORT"; *fd is the caller's. */
int acceptor_listen(const char *text, int *fd, struct err *err);

/* Binds a Unix datagram socket at the path, which receives "A" messages: one octet and one
 * connected stream socket each. What a receiver that is gone has left there is replaced;
 * -EADDRINUSE where one lives. */
int acceptor_bind(const char *path, int *fd, struct err *err);

/* Takes connections from the socket, which is a listener or receives messages, from now on. Takes
 * fd. -EINVAL for a socket that is neither. Settings are borrowed. */
int acceptor_new(struct event_base *base, const struct acceptor_settings *settings, int fd,
	struct acceptor **out, struct err *err);
void acceptor_free(struct acceptor *acceptor); /* NULL is allowed */

/* The relay has room again. */
void acceptor_resume(struct acceptor *acceptor);
/* Closes the socket; headers that are awaited still are. */
void acceptor_close(struct acceptor *acceptor);
/* Connections whose PROXY header has not come yet. */
unsigned acceptor_pending(const struct acceptor *acceptor);

#endif
