// SPDX-License-Identifier: BSD-2-Clause
// Patterns of server names, and routes that test them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "daemon/routes/route_table.h"

static void patterns(void **state)
{
	static const char *const good[] = {
		"example.org", "*.example.org", "a", "x_y.z-1.org", "*.org"};
	static const char *const bad[] = {"", "*", "*.", "a..b", ".a", "a.", "a b", "w*.org",
		"*.*.org", "m\xc3\xbcnchen.example",
		"0123456789012345678901234567890123456789012345678901234567890123.org"};
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_int_equal(names_check(good[i], &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(names_check(bad[i], &err), -EINVAL);
}

static void many_patterns(void **state)
{
	struct names *names = names_new();
	char pattern[64];

	(void)state;
	for (unsigned i = 1; i <= 5000; i++) {
		snprintf(pattern, sizeof(pattern), "host%u.example.org", i);
		assert_int_equal(names_add(names, pattern), i);
	}
	for (unsigned i = 1; i <= 5000; i++) {
		uint32_t numbers[NAMES_MAX_MATCHES];

		snprintf(pattern, sizeof(pattern), "HOST%u.example.org", i);
		assert_int_equal(names_add(names, pattern), i);
		assert_int_equal(names_match(names, pattern, numbers), 1);
		assert_int_equal(numbers[0], i);
	}
	names_free(names);
}

/* The number of the route that takes a connection to 192.0.2.1:443 with this name. */
static void routes_by_name(void **state)
{
	static const char yaml[] =
		"services: {a: {handoff: {}}, b: {handoff: {}}}\n"
		"routes:\n"
		"  - {to: 192.0.2.1, port: 443, sni: www.example.org, service: a}\n"
		"  - {to: 192.0.2.1, port: 443, sni: [\"*.example.org\", example.org], service: b}\n"
		"  - {to: 192.0.2.2, port: 443, sni: www.example.com, service: b}\n"
		"  - {port: 443, sni: \"*.com\", refuse: true}\n"
		"  - {to: 192.0.2.0/24, port: 443, service: a}\n"
		"  - {to: 192.0.2.1, port: 443, sni: late.example, service: b}\n";
	static const struct {
		const char *name;
		uint32_t route;
	} cases[] = {
		{"www.example.org", 0},
		{"WWW.EXAMPLE.ORG", 0},
		{"mail.example.org", 1},
		{"a.b.c.example.org", 1},
		{"example.org", 1},
		{"notexample.org", 4},
		{"www.example.com", 3},
		{"com", 4},
		{"late.example", 4}, /* the first that matches, not the most specific */
		{NULL, 4},
	};
	struct diagnostics diagnostics = {0};
	struct config *config;
	struct table packets, named;
	struct table_packet packet = {.protocol = IPPROTO_TCP, .local.port = 443};

	(void)state;
	assert_int_equal(config_parse("names.yaml", yaml, strlen(yaml), &config, &diagnostics), 0);
	assert_int_equal(table_build(config, TABLE_OF_PACKETS, &packets, NULL), 0);
	assert_int_equal(table_build(config, TABLE_OF_NAMES, &named, NULL), 0);
	assert_int_equal(addr_parse("192.0.2.1", &packet.local.addr, NULL), 0);
	assert_int_equal(addr_parse("198.51.100.7", &packet.remote.addr, NULL), 0);
	assert_int_equal(table_find(&packets, &packet), 0);
	assert_int_equal(match_route(packets.cells, 0)->action, MATCH_NAMED);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(table_find_named(&named, config->names, &packet, cases[i].name),
			cases[i].route);
	table_fini(&packets);
	table_fini(&named);
	config_free(config);
	diagnostics_fini(&diagnostics);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns),
		cmocka_unit_test(many_patterns),
		cmocka_unit_test(routes_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
