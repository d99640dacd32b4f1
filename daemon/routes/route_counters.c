// SPDX-License-Identifier: BSD-2-Clause
// An array by route number, made anew for each table.
#include "daemon/routes/route_counters.h"

#include <errno.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
	uint64_t left = ((const struct tally_count *)a)->identity;
	uint64_t right = ((const struct tally_count *)b)->identity;

	return left < right ? -1 : left > right;
}

int tally_configure(struct tally *tally, const struct table *table)
{
	const struct match_header *header = &table->cells->header;
	struct tally_count *counts = calloc(header->route_count + 1, sizeof(*counts));

	if (!counts)
		return -ENOMEM;
	/* The old ones are not needed by number any more. */
	if (tally->count)
		qsort(tally->counts, tally->count, sizeof(*counts), compare);
	for (uint32_t r = 0; r < header->route_count; r++) {
		struct tally_count *old;

		counts[r].identity = table->cells[header->route_base + r].route.identity;
		old = tally->count ? bsearch(&counts[r], tally->counts, tally->count,
					     sizeof(*counts), compare)
				   : NULL;
		if (old)
			counts[r] = *old;
	}
	free(tally->counts);
	*tally = (struct tally){counts, header->route_count};
	return 0;
}

void tally_note(struct tally *tally, uint32_t route, bool unserved)
{
	if (route >= tally->count)
		return;
	tally->counts[route].lookups++;
	tally->counts[route].unserved += unserved;
}

void tally_fini(struct tally *tally)
{
	free(tally->counts);
	*tally = (struct tally){0};
}
