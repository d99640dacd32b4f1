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
#define LISTEN_SPECS_MAX 4096

struct listen_spec {
	uint8_t protocol; /* IPPROTO_TCP, or IPPROTO_UDP for a program that gets the socket itself
			   */
	uint32_t service; /* whose connections these are; 0: the routes tell */
	int domain;	  /* AF_INET, or AF_INET6 (then for IPv6 only, but for mapped) */
	bool mapped;	  /* takes IPv4 connections on an AF_INET6 socket */
	bool transparent; /* for what a TPROXY rule brings */
	bool given;	  /* programs get the socket itself, and go on having it: nobody else's
			     connections may come to it */
	struct addr_endpoint endpoint; /* port 0: a placeholder, to be steered to */
};

struct listen_specs {
	struct listen_spec *list;
	size_t count;
};

/* For the kernel engine: a listener for each family and service, and for TLS names; and the UDP
 * sockets that routes name for programs. -ENOMEM; -E2BIG after a diagnostic. */
int listen_specs_by_services(
	const struct config *config, struct listen_specs *out, struct diagnostics *diagnostics);

/* For the user engine: what the routes name. What it cannot serve without BPF is complained about:
 * too many sockets is an error (-E2BIG), what would take more than the routes say is a warning. */
int listen_specs_by_routes(
	const struct config *config, struct listen_specs *out, struct diagnostics *diagnostics);

/* The service that no socket of another can become one of; 0: there is none. An placeholder serves
 * its service only. So does a UDP socket, which programs go on having. A TCP port that is really
 * bound may change hands: there is no second listener for it. */
uint32_t listen_spec_owner(const struct listen_spec *spec);

/* True if one socket can be both. */
bool listen_spec_equal(const struct listen_spec *a, const struct listen_spec *b);
void listen_specs_free(struct listen_specs *spec);

#endif
