// SPDX-License-Identifier: BSD-2-Clause
// Collects the routes of all files in order, and finds their services.
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "daemon/config/reader.h"
#include "daemon/config/text.h"
#include "exec/exec_settings.h"

static bool make_room(struct reader *reader)
{
	struct config *config = reader->config;
	size_t room = reader->route_room ? reader->route_room * 2 : 64;
	struct config_route *routes;
	char **wanted;

	if (config->route_count < reader->route_room)
		return true;
	routes = reallocarray(config->routes, room, sizeof(*routes));
	if (routes)
		config->routes = routes;
	wanted = reallocarray(reader->wanted, room, sizeof(*wanted));
	if (wanted)
		reader->wanted = wanted;
	if (!routes || !wanted)
		return false;
	reader->route_room = room;
	return true;
}

static void add_routes_route(struct reader *reader, const struct yaml_node *node)
{
	struct config *config = reader->config;
	struct config_route route;
	const char *service;
	char *wanted;

	if (!route_read(reader, node, &route, &service))
		return;
	wanted = service ? strdup(service) : NULL;
	route.text = text_of_route(&route, service, config->names);
	if (!route.text || (service && !wanted) || !make_room(reader)) {
		reader_no_memory(reader);
		free(wanted);
		route_fini(&route);
		return;
	}
	reader->wanted[config->route_count] = wanted;
	config->routes[config->route_count++] = route;
	duplicates_check(reader, node, config->route_count - 1);
}

void routes_read(struct reader *reader, const struct yaml_node *node, void *target)
{
	(void)target;
	if (yaml_is_null(node))
		return;
	if (node->kind != YAML_SEQUENCE) {
		reader_error(reader, node,
			"'routes' must be a list, each route in a line with '- ' before it");
		return;
	}
	for (const struct yaml_node *route = node->first; route; route = route->next)
		add_routes_route(reader, route);
}

static const char *service_name(const void *list, size_t i)
{
	return ((const struct config_service *)list)[i].name;
}

/* A program per connection needs connections; one that accepts them has them before any name. */
static void check_exec(struct reader *reader, const struct config_route *route)
{
	const struct config_place *place = &route->place;
	const struct exec_settings *exec = route->service->exec;

	if (!exec)
		return;
	if (route->udp && !exec->wait)
		diagnostics_error(reader->diagnostics, place->file, place->line, place->column,
			"'exec' of service '%s' starts a program per connection, and UDP has none; add 'wait: true' there, which gives it the socket, or leave udp out",
			route->service->name);
	if (route->name_count && exec->wait)
		diagnostics_error(reader->diagnostics, place->file, place->line, place->column,
			"'exec' of service '%s' has 'wait', so its program accepts connections before any name is seen; leave 'wait' or 'sni' out",
			route->service->name);
}

/* What the route asks of its service's delivery. */
static void check_routes_delivery(struct reader *reader, const struct config_route *route)
{
	enum config_delivery delivery = route->service->delivery;
	const struct config_place *place = &route->place;

	if (route->name_count && delivery == CONFIG_CLAIM)
		diagnostics_error(reader->diagnostics, place->file, place->line, place->column,
			"service '%s' claims its sockets, so the kernel delivers to it before any name is seen; give the service 'handoff', 'exec' or 'relay', or leave 'sni' out",
			route->service->name);
	if (route->name_count && route->service->accept_proxy)
		diagnostics_error(reader->diagnostics, place->file, place->line, place->column,
			"service '%s' has 'accept-proxy', and a PROXY header comes before any TLS name; leave 'sni' or 'accept-proxy' out",
			route->service->name);
	if (route->udp && (delivery == CONFIG_HANDOFF || delivery == CONFIG_RELAY))
		diagnostics_error(reader->diagnostics, place->file, place->line, place->column,
			"service '%s' is handed connections, and UDP has none; let a program claim the socket",
			route->service->name);
}

static void resolve_routes(
	struct reader *reader, struct config_route *route, const char *name, bool *used)
{
	const struct config *config = reader->config;
	const char *meant;

	route->service = config_service_find(config, name);
	if (route->service) {
		used[route->service - config->services] = true;
		check_routes_delivery(reader, route);
		check_exec(reader, route);
		return;
	}
	meant = reader_suggest(name, service_name, config->services, config->service_count);
	diagnostics_error(reader->diagnostics, route->place.file, route->place.line,
		route->place.column,
		meant ? "there is no service '%s'; did you mean '%s'?"
		      : "there is no service '%s'; define it under 'services:'",
		name, meant);
}

void routes_resolve(struct reader *reader)
{
	struct config *config = reader->config;
	cleanup_free bool *used = calloc(config->service_count + 1, sizeof(*used));

	if (!used) {
		reader_no_memory(reader);
		return;
	}
	for (size_t r = 0; r < config->route_count; r++) {
		if (reader->wanted[r])
			resolve_routes(reader, &config->routes[r], reader->wanted[r], used);
	}
	for (size_t s = 0; s < config->service_count; s++) {
		const struct config_service *service = &config->services[s];

		if (!used[s])
			diagnostics_warning(reader->diagnostics, service->place.file,
				service->place.line, service->place.column,
				"no route leads to service '%s'", service->name);
	}
}
