/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Takes the PROXY header off a connection before anybody else reads from it: the header alone is
 * consumed, what follows stays in the socket.
 */
#ifndef SOCKETBOX_RELAY_PROXY_ACCEPT_H
#define SOCKETBOX_RELAY_PROXY_ACCEPT_H

#include <event2/event.h>

#include "relay/relay_settings.h"

enum proxy_verdict {
	PROXY_EXPECTED, /* it must send a header */
	PROXY_PLAIN,	/* it has none */
	PROXY_REFUSED,	/* connections from there are not taken */
};

/* What to do with a connection from this address; NULL: it has none, as over a Unix socket, whose
 * permissions have decided already: PROXY_EXPECTED. */
enum proxy_verdict proxy_verdict(const struct relay_accept_proxy *proxy, const struct addr *remote);

struct proxy_accept;

/*
 * Called once, from the event loop. fd is the callee's and has its header behind it; source and
 * destination are those of the header, or NULL for one that names none, after which the
 * connection's own addresses hold. fd is -1 where no header came: the socket was reset, and reason
 * says why.
 */
typedef void proxy_accepted(void *context, int fd, const struct addr_endpoint *source,
	const struct addr_endpoint *destination, const char *reason);

/* Takes the non-blocking socket, unless it fails (-ENOMEM). *out is valid until done is called. */
int proxy_accept_start(struct event_base *base, int fd, uint32_t timeout_ms, proxy_accepted *done,
	void *context, struct proxy_accept **out, struct err *err);

/* Resets the socket; done is not called. */
void proxy_accept_stop(struct proxy_accept *accept);

/* Stops; done is not called. The socket is the caller's if nothing has been taken out of it, or
 * else reset, and -1 returned. */
int proxy_accept_give_back(struct proxy_accept *accept);

#endif
