/* SPDX-License-Identifier: BSD-2-Clause */
/* Which listening sockets the daemon needs of its own to accept for services. Pure. */
#ifndef SOCKETBOX_DAEMON_LISTEN_LISTEN_SPEC_H
#define SOCKETBOX_DAEMON_LISTEN_LISTEN_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/config/config.h"
#include "daemon/config/diagnostics.h"

/* Without BPF each port of a range needs a socket. */
#define WANTED_MAX_SOCKETS 4096

struct wanted {
	uint8_t protocol; /* IPPROTO_TCP, or IPPROTO_UDP for a program that gets the socket itself
			   */
	uint32_t service; /* whose connections these are; 0: the routes tell */
	int domain;	  /* AF_INET, or AF_INET6 (then for IPv6 only, but for mapped) */
	bool mapped;	  /* takes IPv4 connections on an AF_INET6 socket */
	bool transparent; /* for what a TPROXY rule brings */
	struct addr_endpoint endpoint; /* port 0: an anchor, to be steered to */
};

struct wanted_list {
	struct wanted *list;
	size_t count;
};

/* For the kernel engine: an acceptor for each family and service, and for TLS names; and the UDP
 * sockets that routes name for programs. -ENOMEM; -E2BIG after a complaint. */
int wanted_by_services(
	const struct config *config, struct wanted_list *out, struct complaints *complaints);

/* For the user engine: what the routes name. What it cannot serve without BPF is complained about:
 * too many sockets is an error (-E2BIG), what would take more than the routes say is a warning. */
int wanted_by_routes(
	const struct config *config, struct wanted_list *out, struct complaints *complaints);

/* The service that no socket of another can become one of; 0: there is none. An anchor serves its
 * service only. So does a UDP socket, which programs go on having. A TCP port that is really bound
 * may change hands: there is no second listener for it. */
uint32_t wanted_owner(const struct wanted *wanted);

/* True if one socket can be both. */
bool wanted_equal(const struct wanted *a, const struct wanted *b);
void wanted_free(struct wanted_list *wanted);

#endif
