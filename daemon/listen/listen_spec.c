// SPDX-License-Identifier: BSD-2-Clause
// Lists sockets from services or from routes.
#include "daemon/listen/listen_spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/steer_maps.h"
#include "exec/exec_settings.h"

static const struct addr v4_wildcard = {{[10] = 0xff, [11] = 0xff}};

void listen_specs_free(struct listen_specs *spec)
{
	free(spec->list);
	*spec = (struct listen_specs){0};
}

uint32_t listen_spec_owner(const struct listen_spec *spec)
{
	return spec->endpoint.port && spec->protocol == IPPROTO_TCP ? 0 : spec->service;
}

bool listen_spec_equal(const struct listen_spec *a, const struct listen_spec *b)
{
	return a->protocol == b->protocol && listen_spec_owner(a) == listen_spec_owner(b) &&
	       a->domain == b->domain && a->mapped == b->mapped &&
	       a->transparent == b->transparent && a->given == b->given &&
	       a->endpoint.port == b->endpoint.port &&
	       addr_equal(&a->endpoint.addr, &b->endpoint.addr);
}

static int add_listen_spec(struct listen_specs *spec, const struct listen_spec *socket)
{
	struct listen_spec *list = reallocarray(spec->list, spec->count + 1, sizeof(*spec->list));

	if (!list)
		return -ENOMEM;
	spec->list = list;
	list[spec->count++] = *socket;
	return 0;
}

static int add_families(struct listen_specs *spec, uint32_t service, bool mapped, bool given)
{
	struct listen_spec v4 = {
		.protocol = IPPROTO_TCP,
		.service = service,
		.domain = mapped ? AF_INET6 : AF_INET,
		.mapped = mapped,
		.given = given,
		.endpoint.addr = v4_wildcard,
	};
	struct listen_spec v6 = {
		.protocol = IPPROTO_TCP,
		.service = service,
		.domain = AF_INET6,
		.given = given,
	};
	int result = add_listen_spec(spec, &v4);

	return result ? result : add_listen_spec(spec, &v6);
}

static bool is_given(const struct config_service *service)
{
	return service->delivery == CONFIG_EXEC && service->exec->wait;
}

static int add_services(const struct config *config, struct listen_specs *out)
{
	bool named = false, named_mapped = false;
	int result = 0;

	for (size_t s = 0; !result && s < config->service_count; s++) {
		const struct config_service *service = &config->services[s];

		if (service->delivery != CONFIG_CLAIM)
			result = add_families(
				out, service->id, service->ipv4_mapped, is_given(service));
	}
	for (size_t r = 0; r < config->route_count; r++) {
		const struct config_route *route = &config->routes[r];

		if (!route->name_count)
			continue;
		if (route->service && route->service->ipv4_mapped)
			named_mapped = true;
		else
			named = true;
	}
	if (!result && named)
		result = add_families(out, STEER_NAMED, false, false);
	if (!result && named_mapped)
		result = add_families(out, STEER_NAMED_MAPPED, true, false);
	return result;
}

/* A list of what routes name, in the making. */
struct gathering {
	struct listen_specs *out;
	struct diagnostics *diagnostics;
	bool without_bpf;
	bool too_many;
};

static struct listen_spec *find_listen_spec(
	struct listen_specs *list, const struct listen_spec *socket)
{
	for (size_t i = 0; i < list->count; i++) {
		struct listen_spec *other = &list->list[i];

		if (other->protocol == socket->protocol && other->domain == socket->domain &&
			other->mapped == socket->mapped &&
			other->endpoint.port == socket->endpoint.port &&
			addr_equal(&other->endpoint.addr, &socket->endpoint.addr))
			return other;
	}
	return NULL;
}

static int gather_socket(struct gathering *gathering, const struct config_route *route,
	uint8_t protocol, const struct addr *address, int family, uint16_t port)
{
	bool mapped = family == AF_INET && route->service && route->service->ipv4_mapped;
	struct listen_spec socket = {
		.protocol = protocol,
		.service = route->name_count || !route->service ? 0 : route->service->id,
		.domain = mapped ? AF_INET6 : family,
		.mapped = mapped,
		.endpoint = {*address, port},
	};
	struct listen_spec *known = find_listen_spec(gathering->out, &socket);

	if (known) {
		if (known->service != socket.service)
			known->service = 0;
		return 0;
	}
	if (gathering->out->count < LISTEN_SPECS_MAX)
		return add_listen_spec(gathering->out, &socket);
	if (!gathering->too_many)
		diagnostics_error(gathering->diagnostics, route->place.file, route->place.line,
			route->place.column,
			gathering->without_bpf
				? "without BPF each port needs a socket, and up to this route there are more than %d; run socketboxd with BPF, or bring the ports to its 'tproxy-port' by a TPROXY rule and leave the range to that"
				: "a program that gets UDP needs a socket for each port, and up to this route there are more than %d; name fewer ports",
			LISTEN_SPECS_MAX);
	gathering->too_many = true;
	return -E2BIG;
}

static void warn_wildcard(struct gathering *gathering, const struct config_route *route,
	const struct addr_prefix *to, uint16_t port)
{
	char text[ADDR_TEXT_SIZE];

	if (!gathering->without_bpf || !to->family ||
		(to->family == AF_INET ? to->length == 96 : to->length == 0))
		return;
	diagnostics_warning(gathering->diagnostics, route->place.file, route->place.line,
		route->place.column,
		"without BPF a prefix takes the port on all addresses: connections to port %u of addresses outside %s are refused, and no other program can listen there",
		port, addr_prefix_format(to, text));
}

static int gather_ports(struct gathering *gathering, const struct config_route *route,
	uint8_t protocol, const struct addr_prefix *to, int family)
{
	bool exact = to->family && to->length == 128;
	const struct addr *address = exact		 ? &to->addr
				     : family == AF_INET ? &v4_wildcard
							 : &(const struct addr){{0}};

	for (size_t p = 0; p < route->port_count; p++) {
		const struct config_ports *ports = &route->ports[p];

		/* Every port there is: nothing but a TPROXY rule can bring them. */
		if (!ports->first)
			continue;
		if (!exact)
			warn_wildcard(gathering, route, to, ports->first);
		for (uint32_t port = ports->first; port <= ports->last; port++) {
			int result = gather_socket(
				gathering, route, protocol, address, family, (uint16_t)port);

			if (result)
				return result;
		}
	}
	return 0;
}

static int gather_route(
	struct gathering *gathering, const struct config_route *route, uint8_t protocol)
{
	for (size_t t = 0; t < route->to_count; t++) {
		const struct addr_prefix *to = &route->to[t];
		int result = 0;

		if (to->family != AF_INET6)
			result = gather_ports(gathering, route, protocol, to, AF_INET);
		if (!result && to->family != AF_INET)
			result = gather_ports(gathering, route, protocol, to, AF_INET6);
		if (result)
			return result;
	}
	return 0;
}

/* A wildcard and an address cannot both have a port: the wildcard socket serves both. */
static void merge_wildcards(struct listen_specs *list)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++) {
		struct listen_spec wildcard = list->list[i], *over;

		wildcard.endpoint.addr =
			addr_is_v4(&wildcard.endpoint.addr) ? v4_wildcard : (struct addr){{0}};
		over = find_listen_spec(list, &wildcard);
		if (over && over != &list->list[i]) {
			if (over->service != list->list[i].service)
				over->service = 0;
			continue;
		}
		list->list[kept++] = list->list[i];
	}
	list->count = kept;
}

static int add_transparent(struct listen_specs *out, uint16_t port)
{
	struct listen_spec v4 = {.protocol = IPPROTO_TCP,
		.domain = AF_INET,
		.transparent = true,
		.endpoint = {v4_wildcard, port}};
	struct listen_spec v6 = {.protocol = IPPROTO_TCP,
		.domain = AF_INET6,
		.transparent = true,
		.endpoint.port = port};
	int result = add_listen_spec(out, &v4);

	return result ? result : add_listen_spec(out, &v6);
}

static bool is_delivered(const struct config_route *route)
{
	return route->service && route->service->delivery != CONFIG_CLAIM;
}

static int gather_listen_spec(
	struct gathering *gathering, const struct config *config, uint8_t protocol)
{
	int result = 0;

	for (size_t r = 0; !result && r < config->route_count; r++) {
		const struct config_route *route = &config->routes[r];

		if ((protocol == IPPROTO_TCP ? route->tcp : route->udp) && is_delivered(route))
			result = gather_route(gathering, route, protocol);
	}
	if (!result)
		merge_wildcards(gathering->out);
	return result;
}

int listen_specs_by_services(
	const struct config *config, struct listen_specs *out, struct diagnostics *diagnostics)
{
	struct gathering gathering = {.out = out, .diagnostics = diagnostics};
	int result;

	*out = (struct listen_specs){0};
	result = gather_listen_spec(&gathering, config, IPPROTO_UDP);
	if (!result)
		result = add_services(config, out);
	if (result)
		listen_specs_free(out);
	return result;
}

int listen_specs_by_routes(
	const struct config *config, struct listen_specs *out, struct diagnostics *diagnostics)
{
	struct gathering gathering = {.out = out, .diagnostics = diagnostics, .without_bpf = true};
	int result;

	*out = (struct listen_specs){0};
	result = gather_listen_spec(&gathering, config, IPPROTO_TCP);
	if (!result)
		result = gather_listen_spec(&gathering, config, IPPROTO_UDP);
	if (!result && config->tproxy_port)
		result = add_transparent(out, config->tproxy_port);
	if (result)
		listen_specs_free(out);
	return result;
}
