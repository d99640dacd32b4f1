// SPDX-License-Identifier: BSD-2-Clause
// Turns routes into elements, each for one bucket, and those into shapes. Port ranges become port
// prefixes: 80-90 is 80/12, 88/15 and 90/16, as an address range would be.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/routes/route_table_private.h"

static void mask_from_length(unsigned length, __u64 words[2])
{
	uint8_t bytes[16] = {0};

	for (unsigned bit = 0; bit < length; bit++)
		bytes[bit / 8] |= (uint8_t)(0x80 >> (bit % 8));
	memcpy(words, bytes, sizeof(bytes));
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
static int add_element_ports(struct elements *elements, struct element *element,
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
			result = add_element_ports(
				elements, &element, &route->ports[p], IPPROTO_TCP, family, name);
		if (!result && route->udp)
			result = add_element_ports(
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

static int add_element_route(struct elements *elements, const struct config_route *route,
	uint32_t number, enum table_kind kind)
{
	int result = 0;

	if (kind == TABLE_OF_PACKETS || !route->name_count)
		return add_pairs(elements, route, number, 0);
	for (size_t n = 0; !result && n < route->name_count; n++)
		result = add_pairs(elements, route, number, route->names[n]);
	return result;
}

int elements_from_routes(
	struct elements *elements, const struct config *config, enum table_kind kind)
{
	int result = 0;

	for (size_t r = 0; !result && r < config->route_count; r++)
		result = add_element_route(elements, &config->routes[r], (uint32_t)r, kind);
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

int elements_sort(struct elements *elements, struct shapes *shapes, const struct config *config,
	struct err *err)
{
	int result = sort_into_shapes(elements, shapes, config, err);

	if (result)
		return result;
	result = group_by_shape(elements, shapes);
	return result ? err_errno(err, result, "building the route table") : 0;
}
