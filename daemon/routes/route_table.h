/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Builds the array of cells that common/match.h searches from a configuration's routes. Pure: both
 * engines, the property test and the benchmark use what it makes.
 */
#ifndef SOCKETBOX_DAEMON_ROUTES_ROUTE_TABLE_H
#define SOCKETBOX_DAEMON_ROUTES_ROUTE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/err.h"
#include "common/match.h"
#include "daemon/config/config.h"

struct table {
	union match_cell *cells;
	size_t count;
};

/* What a new connection or an unconnected packet looks like to the matcher. */
struct table_packet {
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	struct addr_endpoint local, remote;
};

/* Routes with TLS names: the table of an engine, which sees only packets, has MATCH_NAMED for them;
 * that of the listeners, who know the name, tests it too. */
enum table_kind { TABLE_OF_PACKETS, TABLE_OF_NAMES };

/*
 * Fills *table, which the caller frees with table_fini. Fails with -E2BIG where the routes test
 * more different combinations of bits than a lookup may cost (MATCH_MAX_SHAPES; the error says how
 * to align them), or -ENOMEM. header.counters and header.generation are the engine's to set.
 */
int table_build(
	const struct config *config, enum table_kind kind, struct table *table, struct err *err);
void table_fini(struct table *table);

/* Makes route `number` of a TABLE_OF_PACKETS refuse what is for its service; one with TLS names is
 * left to who sees them. */
void table_drain(struct table *table, uint32_t number);

void table_key(const struct table_packet *packet, struct match_key *key);

/* The number of the first route that matches the packet, or MATCH_NONE. */
uint32_t table_find(const struct table *table, const struct table_packet *packet);

/* The same in a TABLE_OF_NAMES, for a connection that asked for this server name; NULL: for none.
 */
uint32_t table_find_named(const struct table *table, const struct names *names,
	const struct table_packet *packet, const char *name);

#endif
