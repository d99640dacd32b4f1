// SPDX-License-Identifier: BSD-2-Clause
// Turns routes into shapes, route cells and hash buckets. Port ranges become port prefixes: 80-90
// is 80/12, 88/15 and 90/16, as an address range would be.
#include "daemon/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/maps.h"
#include "common/cleanup.h"

/* Give up on a shape that does not fit into this many buckets per element: more than
 * MATCH_MAX_PROBES of its keys have the same hash, which no configuration meets by chance. */
#define MAX_SPREAD 256

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

static void mask_from_length(unsigned length, __u64 words[2])
{
	uint8_t bytes[16] = {0};

	for (unsigned bit = 0; bit < length; bit++)
		bytes[bit / 8] |= (uint8_t)(0x80 >> (bit % 8));
	memcpy(words, bytes, sizeof(bytes));
}

void table_key(const struct table_packet *packet, struct match_key *key)
{
	memcpy(&key->word[0], packet->local.addr.bytes, 16);
	memcpy(&key->word[2], packet->remote.addr.bytes, 16);
	key->word[4] = match_ports_word(
		packet->local.port, packet->protocol, addr_is_v4(&packet->local.addr) ? 4 : 6);
}

static uint8_t family_number(const struct addr_prefix *prefix)
{
	return prefix->family == AF_INET ? 4 : prefix->family == AF_INET6 ? 6 : 0;
}

static int element_add(struct elements *elements, const struct element *element)
{
	if (elements->count == elements->room) {
		size_t room = elements->room ? elements->room * 2 : 256;
		struct element *list = reallocarray(elements->list, room, sizeof(*list));

		if (!list)
			return -ENOMEM;
		elements->list = list;
		elements->room = room;
	}
	elements->list[elements->count++] = *element;
	return 0;
}

/* Adds the port prefixes that make up the range. */
static int add_ports(struct elements *elements, struct element *element,
	const struct config_ports *ports, uint8_t protocol, uint8_t family, uint32_t name)
{
	uint32_t port = ports->first;

	while (port <= ports->last) {
		uint32_t size = port ? port & -port : 65536;
		int result;

		while (port + size - 1 > ports->last)
			size /= 2;
		element->mask.word[4] =
			match_ports_word((uint16_t) ~(size - 1), 0xff, family ? 0xff : 0) |
			match_name_bits(name ? 0xffffffff : 0);
		element->key.word[4] =
			match_ports_word((uint16_t)port, protocol, family) | match_name_bits(name);
		result = element_add(elements, element);
		if (result)
			return result;
		port += size;
	}
	return 0;
}

static int add_pair(struct elements *elements, const struct config_route *route, uint32_t number,
	const struct addr_prefix *to, const struct addr_prefix *from, uint32_t name)
{
	struct element element = {.route = number};
	uint8_t family = family_number(to) ? family_number(to) : family_number(from);

	/* A packet has one family: an IPv4 local and an IPv6 remote prefix meet in none. */
	if (family_number(from) && family_number(from) != family)
		return 0;
	mask_from_length(to->length, &element.mask.word[0]);
	mask_from_length(from->length, &element.mask.word[2]);
	memcpy(&element.key.word[0], to->addr.bytes, 16);
	memcpy(&element.key.word[2], from->addr.bytes, 16);
	for (size_t p = 0; p < route->port_count; p++) {
		int result = 0;

		if (route->tcp)
			result = add_ports(
				elements, &element, &route->ports[p], IPPROTO_TCP, family, name);
		if (!result && route->udp)
			result = add_ports(
				elements, &element, &route->ports[p], IPPROTO_UDP, family, name);
		if (result)
			return result;
	}
	return 0;
}

static int add_pairs(
	struct elements *elements, const struct config_route *route, uint32_t number, uint32_t name)
{
	for (size_t t = 0; t < route->to_count; t++) {
		for (size_t f = 0; f < route->from_count; f++) {
			int result = add_pair(
				elements, route, number, &route->to[t], &route->from[f], name);

			if (result)
				return result;
		}
	}
	return 0;
}

static int add_route(struct elements *elements, const struct config_route *route, uint32_t number,
	enum table_kind kind)
{
	int result = 0;

	if (kind == TABLE_OF_PACKETS || !route->name_count)
		return add_pairs(elements, route, number, 0);
	for (size_t n = 0; !result && n < route->name_count; n++)
		result = add_pairs(elements, route, number, route->names[n]);
	return result;
}

/* Gives every element its shape. Elements come by ascending route number, so shapes do too. */
static int sort_into_shapes(struct elements *elements, struct shapes *shapes,
	const struct config *config, struct err *err)
{
	for (size_t e = 0; e < elements->count; e++) {
		struct element *element = &elements->list[e];
		size_t s = 0;

		while (s < shapes->count && !match_key_equal(&shapes->list[s].mask, &element->mask))
			s++;
		if (s == MATCH_MAX_SHAPES) {
			const struct config_place *place = &config->routes[element->route].place;

			return err_set(err, -E2BIG,
				"%s:%u:%u: error: the routes up to here combine more than %d different prefix lengths and port range sizes; write port ranges that start at a multiple of their power-of-two size (1024-2047), or use fewer prefix lengths",
				place->file, place->line, place->column, MATCH_MAX_SHAPES);
		}
		if (s == shapes->count) {
			shapes->list[s].mask = element->mask;
			shapes->list[s].first_route = element->route;
			shapes->list[s].count = 0;
			shapes->count++;
		}
		shapes->list[s].count++;
		element->shape = (uint32_t)s;
	}
	return 0;
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

/* Orders elements by shape, keeping the order of routes within each. */
static int group_by_shape(struct elements *elements, const struct shapes *shapes)
{
	size_t next[MATCH_MAX_SHAPES], sum = 0;
	struct element *sorted = calloc(elements->count + 1, sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	for (size_t s = 0; s < shapes->count; s++) {
		next[s] = sum;
		sum += shapes->list[s].count;
	}
	for (size_t e = 0; e < elements->count; e++)
		sorted[next[elements->list[e].shape]++] = elements->list[e];
	free(elements->list);
	elements->list = sorted;
	return 0;
}

static void widen(struct match_span *span, const struct config_ports *ports, size_t count)
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
			widen(&header->granted_tcp, grants->passive, grants->passive_count);
		if (grants->udp)
			widen(&header->granted_udp, grants->passive, grants->passive_count);
		if (grants->udp && grants->connects)
			widen(&header->granted_udp, &any, 1);
	}
}

static int build(const struct config *config, enum table_kind kind, struct elements *elements,
	struct shapes *shapes, struct table *table, struct err *err)
{
	size_t fixed, done = 0;
	int result = 0;

	if (config->route_count > MATCH_MAX_ROUTES)
		return err_set(err, -E2BIG, "there are %zu routes; at most %u are possible",
			config->route_count, MATCH_MAX_ROUTES);
	for (size_t r = 0; !result && r < config->route_count; r++)
		result = add_route(elements, &config->routes[r], (uint32_t)r, kind);
	if (result)
		return err_errno(err, result, "building the route table");
	result = sort_into_shapes(elements, shapes, config, err);
	if (result)
		return result;
	result = group_by_shape(elements, shapes);
	fixed = 1 + shapes->count + config->route_count;
	if (!result)
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
	result = build(config, kind, &elements, shapes, &built, err);
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
