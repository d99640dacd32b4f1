// SPDX-License-Identifier: BSD-2-Clause
// Finds routes that match exactly what an earlier one does: a hash set of all combinations of
// protocol, prefixes, ports and names.
#include <stdlib.h>
#include <string.h>

#include "daemon/config/reader.h"

struct combination {
	struct addr_prefix to, from;
	struct config_ports ports;
	uint32_t protocol, name;
	uint32_t route; /* number plus 1; 0: the slot is empty */
};

struct duplicates {
	struct combination *slots;
	size_t count, room; /* room is a power of two */
};

/* FNV-1a over all but the route; every byte of a combination is set. */
static size_t duplicate_hash(const struct combination *combination)
{
	const uint8_t *bytes = (const uint8_t *)combination;
	uint64_t value = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < offsetof(struct combination, route); i++)
		value = (value ^ bytes[i]) * 0x100000001b3ull;
	return (size_t)(value ^ value >> 32);
}

/* The slot that holds the combination, or the empty one where it belongs. */
static struct combination *find_duplicate(struct duplicates *set, const struct combination *wanted)
{
	size_t slot = duplicate_hash(wanted) & (set->room - 1);

	while (set->slots[slot].route &&
		memcmp(&set->slots[slot], wanted, offsetof(struct combination, route)) != 0)
		slot = (slot + 1) & (set->room - 1);
	return &set->slots[slot];
}

static bool grow_duplicate(struct duplicates *set)
{
	struct duplicates larger = {.room = set->room ? set->room * 2 : 1024, .count = set->count};

	if (set->count * 2 < set->room)
		return true;
	larger.slots = calloc(larger.room, sizeof(*larger.slots));
	if (!larger.slots)
		return false;
	for (size_t i = 0; i < set->room; i++) {
		if (set->slots[i].route)
			*find_duplicate(&larger, &set->slots[i]) = set->slots[i];
	}
	free(set->slots);
	*set = larger;
	return true;
}

/* What became of a route's combinations. */
struct outcome {
	size_t noted;
	uint32_t earlier; /* the first route that has one of them already, plus 1; 0: none has */
};

static void note_duplicate(
	struct reader *reader, const struct combination *combination, struct outcome *outcome)
{
	struct combination *slot;

	if (!reader->duplicates)
		reader->duplicates = calloc(1, sizeof(*reader->duplicates));
	if (!reader->duplicates || !grow_duplicate(reader->duplicates)) {
		reader_no_memory(reader);
		return;
	}
	slot = find_duplicate(reader->duplicates, combination);
	if (!slot->route) {
		*slot = *combination;
		reader->duplicates->count++;
		outcome->noted++;
	} else if (slot->route != combination->route && !outcome->earlier) {
		outcome->earlier = slot->route;
	}
}

/* Notes all combinations of the route with one `to`, one `from` and one name. */
static void note_pair(struct reader *reader, size_t number, const struct addr_prefix *to,
	const struct addr_prefix *from, uint32_t name, struct outcome *outcome)
{
	const struct config_route *route = &reader->config->routes[number];

	for (size_t p = 0; p < route->port_count; p++) {
		struct combination combination;

		memset(&combination, 0, sizeof(combination));
		combination.to = *to;
		combination.from = *from;
		combination.ports = route->ports[p];
		combination.name = name;
		combination.route = (uint32_t)number + 1;
		combination.protocol = IPPROTO_TCP;
		if (route->tcp)
			note_duplicate(reader, &combination, outcome);
		combination.protocol = IPPROTO_UDP;
		if (route->udp)
			note_duplicate(reader, &combination, outcome);
	}
}

static void note_name(struct reader *reader, size_t number, uint32_t name, struct outcome *outcome)
{
	const struct config_route *route = &reader->config->routes[number];

	for (size_t t = 0; t < route->to_count; t++) {
		for (size_t f = 0; f < route->from_count; f++)
			note_pair(reader, number, &route->to[t], &route->from[f], name, outcome);
	}
}

/* A route without names is one combination more, not none. */
static size_t name_count(const struct config_route *route)
{
	return route->name_count ? route->name_count : 1;
}

/* Each combination costs memory here and in the route table, and lists multiply. */
static bool has_duplicate_room(const struct reader *reader, const struct config_route *route)
{
	size_t taken = reader->duplicates ? reader->duplicates->count : 0;
	size_t room = CONFIG_MAX_COMBINATIONS - taken, pairs;

	/* Lists are far shorter than 2^32: files are. */
	pairs = route->to_count * route->from_count;
	return pairs <= room && pairs * route->port_count * (route->tcp + route->udp) <= room &&
	       pairs * route->port_count * (route->tcp + route->udp) * name_count(route) <= room;
}

void duplicates_check(struct reader *reader, const struct yaml_node *node, size_t number)
{
	const struct config_route *route = &reader->config->routes[number], *first;
	struct outcome outcome = {0};

	if (!has_duplicate_room(reader, route)) {
		reader_error(reader, node,
			"with this route there are more than %u combinations of 'to', 'from', 'port' and 'protocol'; use prefixes and port ranges in place of long lists",
			CONFIG_MAX_COMBINATIONS);
		return;
	}
	for (size_t n = 0; n < name_count(route); n++)
		note_name(reader, number, route->name_count ? route->names[n] : 0, &outcome);
	if (!outcome.earlier)
		return;
	first = &reader->config->routes[outcome.earlier - 1];
	if (!outcome.noted)
		reader_error(reader, node,
			"this route can never match: the one in %s:%u takes the same traffic before it (%s); remove one of them",
			first->place.file, first->place.line, first->text);
	else
		reader_warning(reader, node,
			"a part of this route can never match: the one in %s:%u takes the same traffic before it (%s)",
			first->place.file, first->place.line, first->text);
}

void duplicates_free(struct duplicates *duplicates)
{
	if (duplicates)
		free(duplicates->slots);
	free(duplicates);
}
