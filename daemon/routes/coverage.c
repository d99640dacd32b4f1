// SPDX-License-Identifier: BSD-2-Clause
// Compares binds with routes.
#include "daemon/routes/coverage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

bool coverage_takes(const struct coverage_bind *bind, int family)
{
	if (bind->family == 4 || addr_is_v4(&bind->endpoint.addr))
		return family == 4;
	return family == 6 || (addr_is_wildcard(&bind->endpoint.addr) && !bind->v6only);
}

static bool prefix_meets(const struct addr_prefix *prefix, const struct coverage_bind *bind)
{
	if (!addr_is_wildcard(&bind->endpoint.addr))
		return addr_prefix_contains(prefix, &bind->endpoint.addr);
	return !prefix->family || coverage_takes(bind, prefix->family == AF_INET ? 4 : 6);
}

static bool address_meets(const struct config_route *route, const struct coverage_bind *bind)
{
	for (size_t i = 0; i < route->to_count; i++) {
		if (prefix_meets(&route->to[i], bind))
			return true;
	}
	return false;
}

static bool ports_have(const struct config_ports *ports, size_t count, uint16_t port)
{
	for (size_t i = 0; i < count; i++) {
		if (port >= ports[i].first && port <= ports[i].last)
			return true;
	}
	return false;
}

static bool port_meets(const struct config_route *route, uint16_t port)
{
	return ports_have(route->ports, route->port_count, port);
}

static bool protocol_meets(const struct config_route *route, uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? route->tcp : route->udp;
}

static bool route_allows(const struct config_route *route, const struct config_service *service,
	const struct coverage_bind *bind)
{
	uint16_t port = bind->endpoint.port;

	return route->service == service && protocol_meets(route, bind->protocol) &&
	       address_meets(route, bind) &&
	       (route->target_port ? route->target_port == port : port_meets(route, port));
}

bool coverage_allows(const struct config_service *service, const struct coverage_bind *bind)
{
	for (size_t r = 0; r < service->route_count; r++) {
		if (route_allows(service->routes[r], service, bind))
			return true;
	}
	return false;
}

bool coverage_has_prefix(const struct config_service *service, const struct coverage_bind *bind)
{
	for (size_t r = 0; r < service->route_count; r++) {
		const struct config_route *route = service->routes[r];

		if (route->service != service || !route->udp ||
			!port_meets(route, bind->endpoint.port))
			continue;
		for (size_t i = 0; i < route->to_count; i++) {
			if (route->to[i].length < 128 && route->to[i].family != AF_INET &&
				prefix_meets(&route->to[i], bind))
				return true;
		}
	}
	return false;
}

bool coverage_names_port(const struct config_service *service, const struct coverage_bind *bind)
{
	for (size_t r = 0; r < service->route_count; r++) {
		const struct config_route *route = service->routes[r];
		bool any_port = route->ports[0].first == 0 && route->ports[0].last == 65535;

		if ((route->target_port || !any_port) && route_allows(route, service, bind))
			return true;
	}
	return false;
}

bool coverage_has_address(const struct config_service *service, const struct addr *address)
{
	for (size_t r = 0; r < service->route_count; r++) {
		const struct config_route *route = service->routes[r];

		for (size_t i = 0; route->service == service && i < route->to_count; i++) {
			if (addr_prefix_contains(&route->to[i], address))
				return true;
		}
	}
	return false;
}

unsigned coverage_grants(const struct config_service *service, const struct coverage_bind *bind)
{
	const struct config_grants *grants = &service->grants;
	const struct addr *address = &bind->endpoint.addr;
	uint16_t port = bind->endpoint.port;
	unsigned allowed = 0;

	if (!(bind->protocol == IPPROTO_TCP ? grants->tcp : grants->udp) ||
		addr_is_wildcard(address) || addr_is_loopback(address) ||
		!coverage_has_address(service, address))
		return 0;
	if (port ? ports_have(grants->passive, grants->passive_count, port)
		 : grants->passive_count > 0)
		allowed |= COVERAGE_PASSIVE;
	if (port ? ports_have(grants->connect, grants->connect_count, port) : grants->connects)
		allowed |= COVERAGE_CONNECT;
	return allowed;
}

static bool from_any(const struct config_route *route, const struct addr *to)
{
	for (size_t i = 0; i < route->from_count; i++) {
		const struct addr_prefix *from = &route->from[i];

		if (!from->family || (from->family == addr_family(to) &&
					     from->length == (from->family == AF_INET ? 96 : 0)))
			return true;
	}
	return false;
}

/* True if the route takes all that is sent to where the socket is bound. */
static bool to_all(const struct config_route *route, const struct coverage_bind *bind)
{
	bool v4 = false, v6 = false;

	if (!addr_is_wildcard(&bind->endpoint.addr))
		return true; /* it meets one address, which is all there is */
	for (size_t i = 0; i < route->to_count; i++) {
		const struct addr_prefix *to = &route->to[i];

		v4 |= !to->family || (to->family == AF_INET && to->length == 96);
		v6 |= !to->family || (to->family == AF_INET6 && to->length == 0);
	}
	return (v4 || !coverage_takes(bind, 4)) && (v6 || !coverage_takes(bind, 6));
}

bool coverage_is_exclusive(const struct config *config, const struct config_service *service,
	const struct coverage_bind *bind)
{
	const struct addr_endpoint *endpoint = &bind->endpoint;
	struct config_port_cursor cursor;
	const struct config_route *route;

	config_port_cursor_init(&cursor, config, bind->endpoint.port);
	while ((route = config_port_cursor_next(&cursor))) {
		if (!protocol_meets(route, bind->protocol) || !address_meets(route, bind) ||
			!port_meets(route, endpoint->port))
			continue;
		if (route->service != service ||
			(route->target_port && route->target_port != endpoint->port))
			return false;
		if (from_any(route, &endpoint->addr) && to_all(route, bind))
			return true;
	}
	return false;
}

void coverage_single_address(
	const struct config_service *service, const struct coverage_bind *bind, struct addr *addr)
{
	const struct addr *found = NULL;

	if (!addr_is_wildcard(&bind->endpoint.addr))
		return;
	for (size_t r = 0; r < service->route_count; r++) {
		const struct config_route *route = service->routes[r];

		if (route->service != service || !protocol_meets(route, bind->protocol) ||
			!port_meets(route, bind->endpoint.port))
			continue;
		for (size_t t = 0; t < route->to_count; t++) {
			const struct addr_prefix *to = &route->to[t];

			if (!prefix_meets(to, bind))
				continue;
			if (to->length != 128 || (found && !addr_equal(found, &to->addr)))
				return;
			found = &to->addr;
		}
	}
	if (found)
		*addr = *found;
}

bool coverage_is_shared(const struct config *config, const struct config_service *service,
	const struct coverage_bind *bind)
{
	struct config_port_cursor cursor;
	const struct config_route *route;
	config_port_cursor_init(&cursor, config, bind->endpoint.port);
	while ((route = config_port_cursor_next(&cursor))) {
		if (!protocol_meets(route, bind->protocol) || !address_meets(route, bind) ||
			!port_meets(route, bind->endpoint.port) || !route->service)
			continue;
		if (route->service != service ||
			(route->target_port && route->target_port != bind->endpoint.port))
			return true;
	}
	return false;
}

static void fill_endpoint(struct wire_endpoint *out, const struct addr_prefix *to,
	const struct config_ports *ports, uint8_t protocol, uint16_t target_port)
{
	*out = (struct wire_endpoint){
		.prefix_length = to->length,
		.family = to->family == AF_INET	   ? 4
			  : to->family == AF_INET6 ? 6
						   : 0,
		.protocol = protocol,
		.port_first = ports->first,
		.port_last = ports->last,
		.target_port = target_port,
	};
	memcpy(out->address, to->addr.bytes, sizeof(out->address));
}

int coverage_endpoints(
	const struct config_service *service, struct wire_endpoint **list_out, size_t *count_out)
{
	cleanup_free struct wire_endpoint *list = NULL;
	size_t count = 0;

	for (size_t r = 0; r < service->route_count; r++) {
		const struct config_route *route = service->routes[r];
		size_t pairs = route->to_count * route->port_count;
		struct wire_endpoint *more;

		if (route->service != service)
			continue;
		more = reallocarray(list, count + 2 * pairs, sizeof(*list));
		if (!more)
			return -ENOMEM;
		list = more;
		for (size_t pair = 0; pair < pairs; pair++) {
			const struct addr_prefix *to = &route->to[pair / route->port_count];
			const struct config_ports *ports = &route->ports[pair % route->port_count];

			if (route->tcp)
				fill_endpoint(
					&list[count++], to, ports, IPPROTO_TCP, route->target_port);
			if (route->udp)
				fill_endpoint(
					&list[count++], to, ports, IPPROTO_UDP, route->target_port);
		}
	}
	*list_out = take_ptr(&list);
	*count_out = count;
	return 0;
}
