// SPDX-License-Identifier: BSD-2-Clause
// Makes random configurations and packets, and matches them the obvious way.
#include "tests/unit/random_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned pick(unsigned *seed, unsigned below)
{
	return (unsigned)rand_r(seed) % below;
}

static struct addr random_addr(unsigned *seed)
{
	struct addr addr = {0};

	if (pick(seed, 2)) {
		addr.bytes[10] = addr.bytes[11] = 0xff;
		addr.bytes[12] = 192;
		addr.bytes[14] = (uint8_t)pick(seed, 2);
		addr.bytes[15] = (uint8_t)(pick(seed, 4) * 83);
	} else {
		addr.bytes[0] = 0x20;
		addr.bytes[1] = 0x01;
		addr.bytes[7] = (uint8_t)pick(seed, 2);
		addr.bytes[15] = (uint8_t)(pick(seed, 4) * 83);
	}
	return addr;
}

static uint16_t random_port(unsigned *seed)
{
	static const uint16_t pool[] = {1, 22, 80, 81, 443, 1023, 1024, 32767, 32768, 65535};

	return pick(seed, 3) ? pool[pick(seed, sizeof(pool) / sizeof(*pool))]
			     : (uint16_t)(1 + pick(seed, 65535));
}

static struct addr_prefix random_prefix(unsigned *seed)
{
	struct addr_prefix prefix = {.addr = random_addr(seed)};
	unsigned least;

	if (!pick(seed, 4))
		return (struct addr_prefix){0};
	prefix.family = (uint8_t)addr_family(&prefix.addr);
	least = prefix.family == AF_INET ? 96 : 0;
	prefix.length = (uint8_t)(pick(seed, 2) ? 128 : least + pick(seed, 129 - least));
	for (unsigned bit = prefix.length; bit < 128; bit++)
		prefix.addr.bytes[bit / 8] &= (uint8_t) ~(0x80 >> (bit % 8));
	return prefix;
}

static struct config_ports random_ports(unsigned *seed)
{
	struct config_ports ports = {random_port(seed), random_port(seed)};

	if (!pick(seed, 4))
		return (struct config_ports){0, 65535};
	if (pick(seed, 3)) {
		ports.last = ports.first;
	} else if (ports.last < ports.first) {
		uint16_t first = ports.last;

		ports.last = ports.first;
		ports.first = first;
	}
	return ports;
}

static void random_route(struct config *config, struct config_route *route, unsigned *seed)
{
	char text[32];
	unsigned protocols = 1 + pick(seed, 3);

	route->place = (struct config_place){.file = "random", .line = 1, .column = 1};
	route->to_count = 1 + pick(seed, 2);
	route->from_count = 1 + pick(seed, 2);
	route->port_count = 1 + pick(seed, 2);
	route->to = calloc(route->to_count, sizeof(*route->to));
	route->from = calloc(route->from_count, sizeof(*route->from));
	route->ports = calloc(route->port_count, sizeof(*route->ports));
	for (size_t i = 0; i < route->to_count; i++)
		route->to[i] = random_prefix(seed);
	for (size_t i = 0; i < route->from_count; i++)
		route->from[i] = pick(seed, 2) ? random_prefix(seed) : (struct addr_prefix){0};
	for (size_t i = 0; i < route->port_count; i++)
		route->ports[i] = random_ports(seed);
	route->tcp = protocols & 1;
	route->udp = protocols & 2;
	route->action = (enum match_action)pick(seed, 4);
	if (route->action == MATCH_SERVICE)
		route->service = &config->services[pick(seed, (unsigned)config->service_count)];
	snprintf(text, sizeof(text), "random route %zu", (size_t)(route - config->routes));
	route->text = strdup(text);
}

struct config *random_config(unsigned seed, size_t routes)
{
	struct config *config = calloc(1, sizeof(*config));

	config->service_count = 3;
	config->services = calloc(config->service_count, sizeof(*config->services));
	for (size_t s = 0; s < config->service_count; s++) {
		config->services[s].name = strdup(s == 0 ? "a" : s == 1 ? "b" : "c");
		config->services[s].id = (uint32_t)(s + 1);
	}
	config->route_count = routes ? 1 + pick(&seed, (unsigned)routes) : 0;
	config->routes = calloc(config->route_count + 1, sizeof(*config->routes));
	for (size_t r = 0; r < config->route_count; r++)
		random_route(config, &config->routes[r], &seed);
	return config;
}

void random_config_free(struct config *config)
{
	for (size_t r = 0; r < config->route_count; r++) {
		free(config->routes[r].to);
		free(config->routes[r].from);
		free(config->routes[r].ports);
		free(config->routes[r].text);
	}
	for (size_t s = 0; s < config->service_count; s++)
		free(config->services[s].name);
	free(config->services);
	free(config->routes);
	free(config);
}

struct table_packet random_packet(unsigned *seed)
{
	struct table_packet packet = {
		.protocol = pick(seed, 2) ? IPPROTO_TCP : IPPROTO_UDP,
		.local = {.addr = random_addr(seed), .port = random_port(seed)},
		.remote = {.port = random_port(seed)},
	};

	do {
		packet.remote.addr = random_addr(seed);
	} while (addr_is_v4(&packet.remote.addr) != addr_is_v4(&packet.local.addr));
	return packet;
}

static bool any_prefix(const struct addr_prefix *list, size_t count, const struct addr *addr)
{
	for (size_t i = 0; i < count; i++) {
		if (addr_prefix_contains(&list[i], addr))
			return true;
	}
	return false;
}

static bool any_port(const struct config_route *route, uint16_t port)
{
	for (size_t i = 0; i < route->port_count; i++) {
		if (port >= route->ports[i].first && port <= route->ports[i].last)
			return true;
	}
	return false;
}

uint32_t naive_find(const struct config *config, const struct table_packet *packet)
{
	for (size_t r = 0; r < config->route_count; r++) {
		const struct config_route *route = &config->routes[r];

		if ((packet->protocol == IPPROTO_TCP ? route->tcp : route->udp) &&
			any_prefix(route->to, route->to_count, &packet->local.addr) &&
			any_prefix(route->from, route->from_count, &packet->remote.addr) &&
			any_port(route, packet->local.port))
			return (uint32_t)r;
	}
	return MATCH_NONE;
}
