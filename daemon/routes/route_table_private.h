/* SPDX-License-Identifier: BSD-2-Clause */
/* What table_elements.c makes of routes, for table.c. */
#ifndef SOCKETBOX_DAEMON_ROUTES_ROUTE_TABLE_PRIVATE_H
#define SOCKETBOX_DAEMON_ROUTES_ROUTE_TABLE_PRIVATE_H

#include "daemon/routes/route_table.h"

/* One combination of route elements: what goes into one bucket. */
struct element {
	struct match_key mask, key;
	uint32_t route;
	uint32_t shape;
};

struct elements {
	struct element *list;
	size_t count, room;
};

struct shape {
	struct match_key mask;
	uint32_t count, first_route;
};

struct shapes {
	struct shape list[MATCH_MAX_SHAPES];
	size_t count;
};

/* Adds the elements of all routes, in their order. Zero-initialise; the list is the caller's to
 * free. -ENOMEM. */
int elements_from_routes(
	struct elements *elements, const struct config *config, enum table_kind kind);

/* Gives every element its shape, and groups them by it, keeping the order of routes within each.
 * -E2BIG, -ENOMEM. */
int elements_sort(struct elements *elements, struct shapes *shapes, const struct config *config,
	struct err *err);

#endif
