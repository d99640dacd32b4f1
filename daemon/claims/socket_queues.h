/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What waits in sockets of which the daemon has no copy, as the members of a SO_REUSEPORT group:
 * asked of the kernel by address.
 */
#ifndef SOCKETBOX_DAEMON_CLAIMS_SOCKET_QUEUES_H
#define SOCKETBOX_DAEMON_CLAIMS_SOCKET_QUEUES_H

#include <stdint.h>

#include "common/addr.h"

struct queues {
	unsigned sockets; /* TCP: that listen there; UDP: that are bound there */
	unsigned waiting; /* TCP: connections to be accepted; UDP: bytes to be read */
};

/* domain is AF_INET or AF_INET6. Negative errno where the kernel does not tell. */
int queues_at(
	const struct addr_endpoint *bound, int domain, uint8_t protocol, struct queues *queues);

#endif
