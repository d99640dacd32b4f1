// SPDX-License-Identifier: BSD-2-Clause
// Lays the table out: header, shapes, route cells and hash buckets.
#include "daemon/routes/route_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/steer_maps.h"
#include "common/cleanup.h"
#include "daemon/routes/route_table_private.h"

/* Give up on a shape that does not fit into this many buckets per element: more than
 * MATCH_MAX_PROBES of its keys have the same hash, which no configuration meets by chance. */
#define MAX_SPREAD 256

void table_key(const struct table_packet *packet, struct match_key *key)
{
	memcpy(&key->word[0], packet->local.addr.bytes, 16);
	memcpy(&key->word[2], packet->remote.addr.bytes, 16);
	key->word[4] = match_ports_word(
		packet->local.port, packet->protocol, addr_is_v4(&packet->local.addr) ? 4 : 6);
}

/* A stable name for a route's counters: FNV-1a, 64 bits, of its canonical text. */
static uint64_t route_identity(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 0x100000001b3ull;
	return hash;
}

/* Whose socket takes the route's packets. */
static uint32_t steered_service(const struct config_route *route)
{
	if (route->name_count)
		return route->service && route->service->ipv4_mapped ? STEER_NAMED_MAPPED
								     : STEER_NAMED;
	return route->service ? route->service->id : 0;
}

static void fill_routes(union match_cell *cells, const struct config *config, enum table_kind kind)
{
	for (size_t r = 0; r < config->route_count; r++) {
		const struct config_route *route = &config->routes[r];

		cells[r].route = (struct match_route){
			.action = kind == TABLE_OF_PACKETS && route->name_count ? MATCH_NAMED
										: route->action,
			.service = kind == TABLE_OF_PACKETS ? steered_service(route)
				   : route->service	    ? route->service->id
							    : 0,
			.target_port = route->target_port,
			.identity = route_identity(route->text),
		};
	}
}

/* Puts one element into its shape's buckets; false if a probe sequence would be too long. Robin
 * Hood hashing: who is further from home takes the bucket, which keeps the longest sequence short.
 */
static bool fill_bucket(
	union match_cell *buckets, struct match_shape *shape, const struct element *element)
{
	struct match_bucket moving = {.key = element->key, .route = element->route};
	uint32_t slot = match_hash(&moving.key) & shape->slot_mask;

	for (uint32_t distance = 0; distance < MATCH_MAX_PROBES; distance++) {
		struct match_bucket *bucket = &buckets[slot].bucket;
		uint32_t their_distance;

		if (shape->probes < distance + 1)
			shape->probes = distance + 1;
		if (bucket->route == MATCH_NONE) {
			*bucket = moving;
			return true;
		}
		if (match_key_equal(&bucket->key, &moving.key))
			return true; /* the earlier route wins */
		their_distance = (slot - match_hash(&bucket->key)) & shape->slot_mask;
		if (their_distance < distance) {
			struct match_bucket evicted = *bucket;

			*bucket = moving;
			moving = evicted;
			distance = their_distance;
		}
		slot = (slot + 1) & shape->slot_mask;
	}
	return false;
}

static int buckets_grow(struct table *table, size_t count)
{
	union match_cell *cells = reallocarray(table->cells, table->count + count, sizeof(*cells));

	if (!cells)
		return -ENOMEM;
	table->cells = cells;
	for (size_t i = table->count; i < table->count + count; i++) {
		memset(&cells[i], 0, sizeof(cells[i]));
		cells[i].bucket.route = MATCH_NONE;
	}
	table->count += count;
	return 0;
}

/* Appends the shape's hash table to the cells; doubles it until every probe sequence is short. */
static int add_shape(struct table *table, size_t number, const struct shape *shape,
	const struct element *elements)
{
	size_t base = table->count, slots = 1;
	struct match_shape filled;
	bool fits;

	while (slots < 2 * (size_t)shape->count)
		slots *= 2;
	do {
		int result;

		if (slots > MAX_SPREAD * ((size_t)shape->count + 1))
			return -E2BIG;

		table->count = base;
		result = buckets_grow(table, slots);
		if (result)
			return result;
		filled = (struct match_shape){
			.mask = shape->mask,
			.base = (uint32_t)base,
			.slot_mask = (uint32_t)slots - 1,
			.first_route = shape->first_route,
		};
		fits = true;
		for (size_t e = 0; fits && e < shape->count; e++)
			fits = fill_bucket(table->cells + base, &filled, &elements[e]);
		slots *= 2;
	} while (!fits);
	table->cells[1 + number].shape = filled;
	return 0;
}

static void widen_table(struct match_span *span, const struct config_ports *ports, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint16_t first = ports[i].first ? ports[i].first : 1;

		if (!span->first || first < span->first)
			span->first = first;
		if (ports[i].last > span->last)
			span->last = ports[i].last;
	}
}

/* A TCP socket that connects out is found by its connection; a UDP socket need not be connected. */
static void span_grants(const struct config *config, struct match_header *header)
{
	static const struct config_ports any = {1, 65535};

	for (size_t s = 0; s < config->service_count; s++) {
		const struct config_grants *grants = &config->services[s].grants;

		if (grants->tcp)
			widen_table(&header->granted_tcp, grants->passive, grants->passive_count);
		if (grants->udp)
			widen_table(&header->granted_udp, grants->passive, grants->passive_count);
		if (grants->udp && grants->connects)
			widen_table(&header->granted_udp, &any, 1);
	}
}

static int build_table(const struct config *config, enum table_kind kind, struct elements *elements,
	struct shapes *shapes, struct table *table, struct err *err)
{
	size_t fixed, done = 0;
	int result = elements_from_routes(elements, config, kind);

	if (config->route_count > MATCH_MAX_ROUTES)
		return err_set(err, -E2BIG, "there are %zu routes; at most %u are possible",
			config->route_count, MATCH_MAX_ROUTES);
	if (result)
		return err_errno(err, result, "building the route table");
	result = elements_sort(elements, shapes, config, err);
	if (result)
		return result;
	fixed = 1 + shapes->count + config->route_count;
	result = buckets_grow(table, fixed);
	if (result)
		return err_errno(err, result, "building the route table");
	fill_routes(table->cells + 1 + shapes->count, config, kind);
	for (size_t s = 0; s < shapes->count; s++) {
		result = add_shape(table, s, &shapes->list[s], elements->list + done);
		if (result)
			return err_errno(err, result, "building the route table");
		done += shapes->list[s].count;
	}
	table->cells[0].header = (struct match_header){
		.version = MATCH_VERSION,
		.shape_count = (uint32_t)shapes->count,
		.route_base = (uint32_t)(1 + shapes->count),
		.route_count = (uint32_t)config->route_count,
		.bucket_base = (uint32_t)fixed,
		.bucket_count = (uint32_t)(table->count - fixed),
	};
	span_grants(config, &table->cells[0].header);
	return 0;
}

int table_build(
	const struct config *config, enum table_kind kind, struct table *table, struct err *err)
{
	cleanup_free struct shapes *shapes = calloc(1, sizeof(*shapes));
	struct elements elements = {0};
	struct table built = {0};
	int result;

	if (!shapes)
		return err_errno(err, -ENOMEM, "building the route table");
	result = build_table(config, kind, &elements, shapes, &built, err);
	free(elements.list);
	if (result) {
		table_fini(&built);
		return result;
	}
	*table = built;
	return 0;
}

void table_fini(struct table *table)
{
	free(table->cells);
	*table = (struct table){0};
}

void table_drain(struct table *table, uint32_t number)
{
	struct match_route *route = match_route(table->cells, number);

	if (route && route->action == MATCH_SERVICE)
		route->action = MATCH_DRAINED;
}

uint32_t table_find(const struct table *table, const struct table_packet *packet)
{
	struct match_key key;

	table_key(packet, &key);
	return match_find(table->cells, &key);
}

uint32_t table_find_named(const struct table *table, const struct names *names,
	const struct table_packet *packet, const char *name)
{
	uint32_t numbers[NAMES_MAX_MATCHES], best;
	size_t count = name ? names_match(names, name, numbers) : 0;
	struct match_key key;

	table_key(packet, &key);
	best = match_find(table->cells, &key);
	for (size_t i = 0; i < count; i++) {
		struct match_key named = key;
		uint32_t found;

		named.word[4] |= match_name_bits(numbers[i]);
		found = match_find(table->cells, &named);
		if (found < best)
			best = found;
	}
	return best;
}
