/* SPDX-License-Identifier: BSD-2-Clause */
/* What a service's routes let it bind. Pure. */
#ifndef SOCKETBOX_DAEMON_ROUTES_COVERAGE_H
#define SOCKETBOX_DAEMON_ROUTES_COVERAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/wire.h"
#include "daemon/config/config.h"

/* A bind(2) as a program asks for it. */
struct coverage_bind {
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t family;	  /* of the socket: 4 or 6 */
	bool v6only;
	struct addr_endpoint endpoint; /* a wildcard may be :: or 0.0.0.0 */
};

/* True if the socket would take packets of this family (4 or 6): an AF_INET6 wildcard socket
 * without IPV6_V6ONLY takes both, one bound to ::ffff:a.b.c.d, be it 0.0.0.0, takes IPv4. */
bool coverage_takes(const struct coverage_bind *bind, int family);

/* True if some route gives the service connections or packets that such a socket would take. */
bool coverage_allows(const struct config_service *service, const struct coverage_bind *bind);

/* True if every packet that the normal lookup would deliver to a socket bound so is one that the
 * routes give to the service: only then may it really be bound there. */
bool coverage_is_exclusive(const struct config *config, const struct config_service *service,
	const struct coverage_bind *bind);

/* If all that the routes give to a socket bound to this wildcard is sent to one address, puts that
 * into *addr; else leaves it as it is. */
void coverage_single_address(
	const struct config_service *service, const struct coverage_bind *bind, struct addr *addr);

/* True if routes give a part of what the normal lookup would deliver to a socket bound so, to
 * another service or to another port of this one. */
bool coverage_is_shared(const struct config *config, const struct config_service *service,
	const struct coverage_bind *bind);

/* True if some route gives the service UDP packets to an IPv6 prefix, rather than to an address,
 * that such a socket would take. */
bool coverage_has_prefix(const struct config_service *service, const struct coverage_bind *bind);

/* True if a route of the service names the port of a bind that it allows, or a range that has it,
 * rather than being for any port. */
bool coverage_names_port(const struct config_service *service, const struct coverage_bind *bind);

/* True if a route of the service, of either protocol, is for this specific address. */
bool coverage_has_address(const struct config_service *service, const struct addr *address);

/* What the service's grants allow, as bits: none for a wildcard or an address that no route of the
 * service is for. Port 0 may be one of the passive ports, or any to connect out from. */
#define COVERAGE_PASSIVE 1u
#define COVERAGE_CONNECT 2u
unsigned coverage_grants(const struct config_service *service, const struct coverage_bind *bind);

/* What the service's routes cover, in their order; *list is the caller's to free. -ENOMEM. */
int coverage_endpoints(
	const struct config_service *service, struct wire_endpoint **list, size_t *count);

#endif
