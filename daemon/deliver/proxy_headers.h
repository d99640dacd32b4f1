/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PROXY headers of the connections to one service (`accept-proxy:`): taken off before the service's
 * delivery gets the connection, with the addresses that they name.
 */
#ifndef SOCKETBOX_DAEMON_DELIVER_PROXY_HEADERS_H
#define SOCKETBOX_DAEMON_DELIVER_PROXY_HEADERS_H

#include <event2/event.h>

#include "daemon/accepted.h"
#include "daemon/config/config.h"
#include "daemon/fdstore/fdstore.h"

struct header;

/* Zero-initialise. */
struct proxy_headers {
	struct header *first;
	unsigned count; /* of connections whose header is waited for */
};

/* The connection, which is the callee's now. */
typedef void proxy_headers_done(void *context, struct accepted *accepted);

/* Takes a connection of a service that has accept_proxy set. done may be called before this
 * returns, for connections that need no header; it is not called for those that are refused. */
void proxy_headers_take(struct proxy_headers *headers, struct event_base *base,
	const struct config_service *service, struct accepted *accepted, proxy_headers_done *done,
	void *context);

/* No more may wait. */
bool proxy_headers_full(const struct proxy_headers *headers);

/* Gives the fdstore those that have sent nothing yet, to be dispatched anew, and refuses the rest:
 * a part of their header is out of the socket. */
void proxy_headers_save_in_flight(struct proxy_headers *headers, struct fdstore *fdstore);

/* Refuses those that wait; done is not called. */
void proxy_headers_fini(struct proxy_headers *headers);

#endif
