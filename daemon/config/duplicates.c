// SPDX-License-Identifier: BSD-2-Clause
// Finds routes that match exactly what an earlier one does: a hash set of all combinations of
// protocol, prefixes and ports.
#include <stdlib.h>
#include <string.h>

#include "daemon/config/reader.h"

struct combination {
	struct addr_prefix to, from;
	struct config_ports ports;
	uint32_t protocol;
	uint32_t route; /* number plus 1; 0: the slot is empty */
};

struct duplicates {
	struct combination *slots;
	size_t count, room; /* room is a power of two */
};

/* FNV-1a over all but the route; every byte of a combination is set. */
static size_t hash(const struct combination *combination)
{
	const uint8_t *bytes = (const uint8_t *)combination;
	uint64_t value = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < offsetof(struct combination, route); i++)
		value = (value ^ bytes[i]) * 0x100000001b3ull;
	return (size_t)(value ^ value >> 32);
}

/* The slot that holds the combination, or the empty one where it belongs. */
static struct combination *find(struct duplicates *set, const struct combination *wanted)
{
	size_t slot = hash(wanted) & (set->room - 1);

	while (set->slots[slot].route &&
		memcmp(&set->slots[slot], wanted, offsetof(struct combination, route)) != 0)
		slot = (slot + 1) & (set->room - 1);
	return &set->slots[slot];
}

static bool grow(struct duplicates *set)
{
	struct duplicates larger = {.room = set->room ? set->room * 2 : 1024, .count = set->count};

	if (set->count * 2 < set->room)
		return true;
	larger.slots = calloc(larger.room, sizeof(*larger.slots));
	if (!larger.slots)
		return false;
	for (size_t i = 0; i < set->room; i++) {
		if (set->slots[i].route)
			*find(&larger, &set->slots[i]) = set->slots[i];
	}
	free(set->slots);
	*set = larger;
	return true;
}

/* Notes one combination; the number of the earlier route that has it, plus 1, or 0. */
static uint32_t note(struct reader *reader, const struct combination *combination)
{
	struct combination *slot;

	if (!reader->duplicates)
		reader->duplicates = calloc(1, sizeof(*reader->duplicates));
	if (!reader->duplicates || !grow(reader->duplicates)) {
		reader_no_memory(reader);
		return 0;
	}
	slot = find(reader->duplicates, combination);
	if (slot->route)
		return slot->route == combination->route ? 0 : slot->route;
	*slot = *combination;
	reader->duplicates->count++;
	return 0;
}

/* Notes all combinations of the route with one `to` and one `from`. */
static uint32_t note_pair(struct reader *reader, size_t number, const struct addr_prefix *to,
	const struct addr_prefix *from)
{
	const struct config_route *route = &reader->config->routes[number];
	uint32_t earlier = 0;

	for (size_t p = 0; p < route->port_count; p++) {
		struct combination combination;

		memset(&combination, 0, sizeof(combination));
		combination.to = *to;
		combination.from = *from;
		combination.ports = route->ports[p];
		combination.route = (uint32_t)number + 1;
		combination.protocol = IPPROTO_TCP;
		if (!earlier && route->tcp)
			earlier = note(reader, &combination);
		combination.protocol = IPPROTO_UDP;
		if (!earlier && route->udp)
			earlier = note(reader, &combination);
	}
	return earlier;
}

void duplicates_check(struct reader *reader, const struct yaml_node *node, size_t number)
{
	const struct config_route *route = &reader->config->routes[number];
	uint32_t earlier = 0;

	for (size_t t = 0; t < route->to_count; t++) {
		for (size_t f = 0; f < route->from_count; f++) {
			if (!earlier)
				earlier = note_pair(reader, number, &route->to[t], &route->from[f]);
		}
	}
	if (earlier) {
		const struct config_route *first = &reader->config->routes[earlier - 1];

		reader_error(reader, node,
			"this route can never match: the one in %s:%u takes the same traffic before it (%s)",
			first->place.file, first->place.line, first->text);
	}
}

void duplicates_free(struct duplicates *duplicates)
{
	if (duplicates)
		free(duplicates->slots);
	free(duplicates);
}
