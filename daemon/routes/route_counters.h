/* SPDX-License-Identifier: BSD-2-Clause */
/* What the daemon itself has decided, per route, beside what the kernel engine counts. Counts
 * follow a route's identity across reloads. */
#ifndef SOCKETBOX_DAEMON_ROUTES_ROUTE_COUNTERS_H
#define SOCKETBOX_DAEMON_ROUTES_ROUTE_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/routes/route_table.h"

struct tally_count {
	uint64_t identity, lookups, unserved;
};

/* Zero-initialise. */
struct tally {
	struct tally_count *counts; /* by route number */
	size_t count;
};

/* Takes on the routes of the table. -ENOMEM: nothing is changed. */
int tally_configure(struct tally *tally, const struct table *table);

void tally_note(struct tally *tally, uint32_t route, bool unserved);
void tally_fini(struct tally *tally);

#endif
