/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection that the daemon has accepted, on its way to a service. */
#ifndef SOCKETBOX_DAEMON_ACCEPTED_H
#define SOCKETBOX_DAEMON_ACCEPTED_H

#include "common/addr.h"

struct accepted {
	int fd; /* non-blocking and close-on-exec; owned by whoever has the accepted */
	struct addr_endpoint local, remote;
	uint16_t service_port; /* the route's target-port, or the local one */
	uint32_t generation;   /* when it came, as drains_refuses wants to know */
};

/* Ends the connection with a reset, so that the client learns of it at once. */
void accepted_refuse(struct accepted *accepted);

#endif
