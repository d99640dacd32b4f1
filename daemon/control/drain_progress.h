/* SPDX-License-Identifier: BSD-2-Clause */
/* What a service that is being drained still has, and the drain waits for. */
#ifndef SOCKETBOX_DAEMON_CONTROL_DRAIN_PROGRESS_H
#define SOCKETBOX_DAEMON_CONTROL_DRAIN_PROGRESS_H

#include "daemon/state.h"

struct drain_progress {
	unsigned backlog;   /* connections to be accepted, by the service or for it */
	unsigned datagrams; /* UDP sockets with packets that nobody has read */
	unsigned unnamed;   /* connections whose TLS name is not known, so that they may be its */
	unsigned waiting;   /* accepted, and not with the service yet */
	unsigned running;   /* programs that the daemon started */
	unsigned relayed;   /* connections */
};

struct drain_progress drain_progress_of(
	struct daemon_state *state, const struct config_service *service);

#endif
