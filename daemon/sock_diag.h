/* SPDX-License-Identifier: BSD-2-Clause */
/* Which sockets there are in this process's network namespace, whoever has them (sock_diag(7)). */
#ifndef SOCKETBOX_DAEMON_SOCK_DIAG_H
#define SOCKETBOX_DAEMON_SOCK_DIAG_H

#include <stdint.h>

#include "common/addr.h"

struct sock_diag_socket {
	struct addr_endpoint local;
	uint64_t cookie;  /* SO_COOKIE */
	unsigned waiting; /* TCP: connections to be accepted; UDP: bytes to be read */
};

/*
 * Calls each() for the sockets of a family (AF_INET or AF_INET6) and a protocol: those of TCP that
 * listen, those of UDP that are bound. port 0: of all ports. Negative errno where the kernel does
 * not tell; some may have been shown then.
 */
int sock_diag_each(int domain, uint8_t protocol, uint16_t port,
	void (*each)(const struct sock_diag_socket *socket, void *context), void *context);

#endif
