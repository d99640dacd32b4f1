/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds services and routes of a configuration without walking all of them: services by their
 * identifier, the routes of a service, the routes that may take a port. Belongs to the
 * configuration and is as immutable once that has loaded.
 */
#ifndef SOCKETBOX_DAEMON_CONFIG_CONFIG_INDEX_H
#define SOCKETBOX_DAEMON_CONFIG_CONFIG_INDEX_H

#include <stddef.h>
#include <stdint.h>

struct config;
struct config_route;

/* A route that names few ports has an entry for each; those that name many are in a list of their
 * own, which is part of every answer. */
struct config_port_entry {
	uint32_t route; /* number */
	uint16_t port;
};

struct config_index {
	uint32_t *slots; /* open addressing by identifier: number of a service + 1, or 0 */
	size_t slot_count;
	const struct config_route **service_routes; /* of all services, by service, in order */
	struct config_port_entry *ports;	    /* by port, then by route */
	size_t port_count;
	uint32_t *wide; /* numbers of the routes with many ports, ascending */
	size_t wide_count;
};

/* Makes the last service of the configuration findable by its identifier. -ENOMEM. */
int config_index_add_service(struct config *config);

/* Fills the rest when all routes are resolved. -ENOMEM. */
int config_index_build(struct config *config);
void config_index_fini(struct config_index *index);

/* Walks the routes that may take a port, in their order; a route that names many ports is shown
 * for every port. */
struct config_port_cursor {
	const struct config *config;
	size_t next_port, next_wide;
	uint16_t port;
};

void config_port_cursor_init(
	struct config_port_cursor *cursor, const struct config *config, uint16_t port);

/* NULL after the last. */
const struct config_route *config_port_cursor_next(struct config_port_cursor *cursor);

#endif
