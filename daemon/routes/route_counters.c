// SPDX-License-Identifier: BSD-2-Clause
// An array by route number, made anew for each table.
#include "daemon/routes/route_counters.h"

#include <errno.h>
#include <stdlib.h>

static int compare_count(const void *a, const void *b)
{
	uint64_t left = ((const struct route_count *)a)->identity;
	uint64_t right = ((const struct route_count *)b)->identity;

	return left < right ? -1 : left > right;
}

int route_counters_configure(struct route_counters *counters, const struct table *table)
{
	const struct match_header *header = &table->cells->header;
	struct route_count *counts = calloc(header->route_count + 1, sizeof(*counts));

	if (!counts)
		return -ENOMEM;
	/* The old ones are not needed by number any more. */
	if (counters->count)
		qsort(counters->counts, counters->count, sizeof(*counts), compare_count);
	for (uint32_t r = 0; r < header->route_count; r++) {
		struct route_count *old;

		counts[r].identity = table->cells[header->route_base + r].route.identity;
		old = counters->count ? bsearch(&counts[r], counters->counts, counters->count,
						sizeof(*counts), compare_count)
				      : NULL;
		if (old)
			counts[r] = *old;
	}
	free(counters->counts);
	*counters = (struct route_counters){counts, header->route_count};
	return 0;
}

void route_counters_add(struct route_counters *counters, uint32_t route, bool no_socket)
{
	if (route >= counters->count)
		return;
	counters->counts[route].lookups++;
	counters->counts[route].no_socket += no_socket;
}

void route_counters_fini(struct route_counters *counters)
{
	free(counters->counts);
	*counters = (struct route_counters){0};
}
