// SPDX-License-Identifier: BSD-2-Clause
// Finds routes to loopback, and tells the confinement's programs.
#include "daemon/confinement/confinement_loopback.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "bpf/confinement_maps.h"
#include "common/cleanup.h"

_Static_assert(CONFINEMENT_MAX_SERVICES == CONFIG_MAX_SERVICES, "each service can be there");

static const struct addr_prefix loopback[] = {
	{.addr.bytes = {[10] = 0xff, [11] = 0xff, [12] = 127}, .length = 96 + 8, .family = AF_INET},
	{.addr.bytes = {[15] = 1}, .length = 128, .family = AF_INET6},
};

static bool leads_to_loopback(const struct config_route *route)
{
	if (!route->udp || !route->service)
		return false;
	for (size_t t = 0; t < route->to_count; t++) {
		if (addr_prefix_overlaps(&route->to[t], &loopback[0]) ||
			addr_prefix_overlaps(&route->to[t], &loopback[1]))
			return true;
	}
	return false;
}

/* One for each of the configuration's services, in their order. */
static bool *list_services(const struct config *config)
{
	bool *list = calloc(config->service_count + 1, sizeof(*list));

	for (size_t r = 0; list && r < config->route_count; r++) {
		if (leads_to_loopback(&config->routes[r]))
			list[config->routes[r].service - config->services] = true;
	}
	return list;
}

/* The key after one that has been deleted is the first. */
static void drop_others(int map, const struct config *config, const bool *list)
{
	uint32_t id, *before = NULL, last;

	for (unsigned i = 0;
		i < CONFINEMENT_MAX_SERVICES && !bpf_map_get_next_key(map, before, &id); i++) {
		const struct config_service *service = config_service_by_id(config, id);

		if (!service || !list[service - config->services]) {
			bpf_map_delete_elem(map, &id);
			continue;
		}
		last = id;
		before = &last;
	}
}

int confinement_loopback_update(int map, const struct config *config, struct err *err)
{
	cleanup_free bool *list = list_services(config);
	uint32_t one = 1;

	if (!list)
		return err_errno(err, -ENOMEM, "looking for routes to loopback");
	drop_others(map, config, list);
	for (size_t s = 0; s < config->service_count; s++) {
		if (list[s] && bpf_map_update_elem(map, &config->services[s].id, &one, BPF_ANY))
			return err_errno(err, -errno, "letting service '%s' answer on loopback",
				config->services[s].name);
	}
	return 0;
}
