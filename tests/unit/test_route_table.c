// SPDX-License-Identifier: BSD-2-Clause
// The route table finds what a scan of all routes finds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/random_config.h"

static void agrees_with_naive_scan(void **state)
{
	unsigned tables = 400, packets = 500, matched = 0;

	(void)state;
	for (unsigned seed = 1; seed <= tables; seed++) {
		struct config *config = random_config(seed, seed % 12 + 1);
		struct table table;
		struct err err;
		unsigned packet_seed = seed;

		assert_int_equal(table_build(config, TABLE_OF_PACKETS, &table, &err), 0);
		for (unsigned i = 0; i < packets; i++) {
			struct table_packet packet = random_packet(&packet_seed);
			uint32_t expected = naive_find(config, &packet);

			if (table_find(&table, &packet) != expected)
				fail_msg("seed %u, packet %u: route %u, but a scan says %u", seed,
					i, table_find(&table, &packet), expected);
			matched += expected != MATCH_NONE;
		}
		table_fini(&table);
		random_config_free(config);
	}
	/* The comparison means something only if both outcomes are common. */
	assert_in_range(matched, tables * packets / 5, tables * packets * 4 / 5);
}

static void empty_configuration_matches_nothing(void **state)
{
	struct config config = {0};
	struct table_packet packet = {.protocol = IPPROTO_TCP};
	struct table table;

	(void)state;
	assert_int_equal(table_build(&config, TABLE_OF_PACKETS, &table, NULL), 0);
	assert_int_equal(table_find(&table, &packet), MATCH_NONE);
	table_fini(&table);
}

/* One route per prefix and port, so that one shape holds them all. */
static struct config *many_routes(size_t count)
{
	struct config *config = random_config(1, 0);

	config->route_count = count;
	config->routes = reallocarray(config->routes, count, sizeof(*config->routes));
	memset(config->routes, 0, count * sizeof(*config->routes));
	for (size_t r = 0; r < count; r++) {
		struct config_route *route = &config->routes[r];

		route->to_count = route->from_count = route->port_count = 1;
		route->to = calloc(1, sizeof(*route->to));
		route->from = calloc(1, sizeof(*route->from));
		route->ports = calloc(1, sizeof(*route->ports));
		route->to->family = AF_INET6;
		route->to->length = 128;
		route->to->addr.bytes[0] = 0x20;
		memcpy(route->to->addr.bytes + 8, &r, sizeof(r));
		route->ports->first = route->ports->last = 443;
		route->tcp = true;
		route->action = MATCH_RESET;
		route->text = strdup("route");
	}
	return config;
}

static void hundred_thousand_routes_stay_within_bounds(void **state)
{
	struct config *config = many_routes(100000);
	struct table_packet packet = {.protocol = IPPROTO_TCP, .local.port = 443};
	struct table table;

	(void)state;
	assert_int_equal(table_build(config, TABLE_OF_PACKETS, &table, NULL), 0);
	assert_int_equal(table.cells[0].header.shape_count, 1);
	/* Four buckets per route at most: 64 bytes each. */
	assert_in_range(table.cells[0].header.bucket_count, 100000, 524288);
	assert_in_range(table.cells[1].shape.probes, 1, MATCH_MAX_PROBES);
	for (size_t r = 0; r < config->route_count; r++) {
		packet.local.addr = config->routes[r].to->addr;
		assert_int_equal(table_find(&table, &packet), r);
	}
	packet.local.port = 80;
	assert_int_equal(table_find(&table, &packet), MATCH_NONE);
	table_fini(&table);
	random_config_free(config);
}

static void too_many_shapes_name_the_route(void **state)
{
	struct config *config = many_routes(300);
	struct table table;
	struct err err;

	(void)state;
	for (size_t r = 0; r < config->route_count; r++) {
		struct config_route *route = &config->routes[r];

		memset(&route->to->addr, 0, sizeof(route->to->addr));
		route->to->length = (uint8_t)(r % 129);
		route->from->family = AF_INET6;
		route->from->length = (uint8_t)(r / 129);
		route->place = (struct config_place){"many.yaml", (unsigned)r + 1, 3};
	}
	assert_int_equal(table_build(config, TABLE_OF_PACKETS, &table, &err), -E2BIG);
	assert_non_null(strstr(err.text, "many.yaml:193:3: error:"));
	random_config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_naive_scan),
		cmocka_unit_test(empty_configuration_matches_nothing),
		cmocka_unit_test(hundred_thousand_routes_stay_within_bounds),
		cmocka_unit_test(too_many_shapes_name_the_route),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
