/* SPDX-License-Identifier: BSD-2-Clause */
/* What the daemon itself has decided, per route, beside what the kernel engine counts. Counts
 * follow a route's identity across reloads. */
#ifndef SOCKETBOX_DAEMON_ROUTES_ROUTE_COUNTERS_H
#define SOCKETBOX_DAEMON_ROUTES_ROUTE_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/routes/route_table.h"

struct route_count {
	uint64_t identity, lookups, no_socket;
};

/* Zero-initialise. */
struct route_counters {
	struct route_count *counts; /* by route number */
	size_t count;
};

/* Takes on the routes of the table. -ENOMEM: nothing is changed. */
int route_counters_configure(struct route_counters *counters, const struct table *table);

void route_counters_add(struct route_counters *counters, uint32_t route, bool no_socket);
void route_counters_fini(struct route_counters *counters);

#endif
