// SPDX-License-Identifier: BSD-2-Clause
// A hash table of services and two sorted lists of routes.
#include "daemon/config/config_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config/config.h"

/* A route with more ports than these is found for every port. */
#define NARROW_PORTS 16u

/* Identifiers are hashes already. */
static void insert_slot(struct config_index *index, uint32_t id, uint32_t number)
{
	size_t at = id & (index->slot_count - 1);

	while (index->slots[at])
		at = (at + 1) & (index->slot_count - 1);
	index->slots[at] = number + 1;
}

static int grow_slots(struct config *config)
{
	struct config_index *index = &config->index;
	size_t count = index->slot_count ? 2 * index->slot_count : 64;
	uint32_t *slots = calloc(count, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	free(index->slots);
	index->slots = slots;
	index->slot_count = count;
	for (size_t s = 0; s + 1 < config->service_count; s++)
		insert_slot(index, config->services[s].id, (uint32_t)s);
	return 0;
}

int config_index_add_service(struct config *config)
{
	size_t number = config->service_count - 1;
	int result = 0;

	if (2 * config->service_count > config->index.slot_count)
		result = grow_slots(config);
	if (!result)
		insert_slot(&config->index, config->services[number].id, (uint32_t)number);
	return result;
}

const struct config_service *config_service_by_id(const struct config *config, uint32_t id)
{
	const struct config_index *index = &config->index;
	size_t mask = index->slot_count - 1;

	if (!index->slot_count)
		return NULL;
	for (size_t at = id & mask; index->slots[at]; at = (at + 1) & mask) {
		const struct config_service *service = &config->services[index->slots[at] - 1];

		if (service->id == id)
			return service;
	}
	return NULL;
}

static unsigned count_ports(const struct config_route *route)
{
	unsigned count = 0;

	for (size_t p = 0; p < route->port_count; p++)
		count += route->ports[p].last - route->ports[p].first + 1u;
	return count;
}

static int build_service_routes(struct config *config)
{
	struct config_index *index = &config->index;
	size_t used = 0;

	index->service_routes = calloc(config->route_count + 1, sizeof(*index->service_routes));
	if (!index->service_routes)
		return -ENOMEM;
	for (size_t r = 0; r < config->route_count; r++) {
		const struct config_route *route = &config->routes[r];

		if (route->service)
			config->services[route->service - config->services].route_count++;
	}
	for (size_t s = 0; s < config->service_count; s++) {
		config->services[s].routes = index->service_routes + used;
		used += config->services[s].route_count;
		config->services[s].route_count = 0;
	}
	for (size_t r = 0; r < config->route_count; r++) {
		const struct config_route *route = &config->routes[r];
		struct config_service *service;

		if (!route->service)
			continue;
		service = &config->services[route->service - config->services];
		service->routes[service->route_count++] = route;
	}
	return 0;
}

static int compare_port_entries(const void *a, const void *b)
{
	const struct config_port_entry *left = a, *right = b;

	if (left->port != right->port)
		return left->port < right->port ? -1 : 1;
	return left->route < right->route ? -1 : left->route > right->route;
}

static void add_port_entries(
	struct config_index *index, const struct config_route *route, uint32_t number)
{
	for (size_t p = 0; p < route->port_count; p++) {
		for (uint32_t port = route->ports[p].first; port <= route->ports[p].last; port++)
			index->ports[index->port_count++] =
				(struct config_port_entry){.route = number, .port = (uint16_t)port};
	}
}

static int build_ports(struct config *config)
{
	struct config_index *index = &config->index;
	size_t entries = 0, wide = 0;

	for (size_t r = 0; r < config->route_count; r++) {
		unsigned ports = count_ports(&config->routes[r]);

		if (ports <= NARROW_PORTS)
			entries += ports;
		else
			wide++;
	}
	index->ports = calloc(entries + 1, sizeof(*index->ports));
	index->wide = calloc(wide + 1, sizeof(*index->wide));
	if (!index->ports || !index->wide)
		return -ENOMEM;
	for (size_t r = 0; r < config->route_count; r++) {
		if (count_ports(&config->routes[r]) <= NARROW_PORTS)
			add_port_entries(index, &config->routes[r], (uint32_t)r);
		else
			index->wide[index->wide_count++] = (uint32_t)r;
	}
	qsort(index->ports, index->port_count, sizeof(*index->ports), compare_port_entries);
	return 0;
}

int config_index_build(struct config *config)
{
	int result = build_service_routes(config);

	return result ? result : build_ports(config);
}

void config_index_fini(struct config_index *index)
{
	free(index->slots);
	free(index->service_routes);
	free(index->ports);
	free(index->wide);
	*index = (struct config_index){0};
}

void config_port_cursor_init(
	struct config_port_cursor *cursor, const struct config *config, uint16_t port)
{
	const struct config_index *index = &config->index;
	size_t low = 0, high = index->port_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (index->ports[middle].port < port)
			low = middle + 1;
		else
			high = middle;
	}
	*cursor = (struct config_port_cursor){.config = config, .next_port = low, .port = port};
}

const struct config_route *config_port_cursor_next(struct config_port_cursor *cursor)
{
	const struct config_index *index = &cursor->config->index;
	bool narrow = cursor->next_port < index->port_count &&
		      index->ports[cursor->next_port].port == cursor->port;
	bool wide = cursor->next_wide < index->wide_count;
	uint32_t number;

	if (!narrow && !wide)
		return NULL;
	if (narrow &&
		(!wide || index->ports[cursor->next_port].route < index->wide[cursor->next_wide]))
		number = index->ports[cursor->next_port++].route;
	else
		number = index->wide[cursor->next_wide++];
	return &cursor->config->routes[number];
}
