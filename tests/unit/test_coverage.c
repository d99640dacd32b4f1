// SPDX-License-Identifier: BSD-2-Clause
// Which binds a service's routes allow, and where a socket may really be bound.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/routes/coverage.h"

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

/* The configuration of all cases; "blog" is the service that binds. */
#define SERVICES "services: {blog: {}, shop: {}}\n"

static struct config *parse(const char *routes)
{
	struct diagnostics diagnostics = {0};
	struct config *config = NULL;
	char yaml[2048];

	snprintf(yaml, sizeof(yaml), SERVICES "routes: [%s]\n", routes);
	if (config_parse("coverage.yaml", yaml, strlen(yaml), &config, &diagnostics))
		fail_msg("%s", diagnostics.lines[0]);
	diagnostics_fini(&diagnostics);
	return config;
}

/* "tcp4 ADDRESS PORT", "udp6 ...", "tcp6only ...". */
static struct coverage_bind parse_bind(const char *text)
{
	struct coverage_bind bind = {.protocol = text[0] == 't' ? IPPROTO_TCP : IPPROTO_UDP};
	char address[ADDR_TEXT_SIZE];
	unsigned port;

	bind.family = text[3] == '4' ? 4 : 6;
	bind.v6only = !strncmp(text + 4, "only", 4);
	assert_int_equal(sscanf(text, "%*s %63s %u", address, &port), 2);
	assert_int_equal(addr_parse(address, &bind.endpoint.addr, NULL), 0);
	bind.endpoint.port = (uint16_t)port;
	return bind;
}

struct bind_case {
	const char *routes, *bind;
	bool expected;
};

static bool of_allows(const struct config *config, const struct config_service *service,
	const struct coverage_bind *bind)
{
	(void)config;
	return coverage_allows(service, bind);
}

static bool of_has_prefix(const struct config *config, const struct config_service *service,
	const struct coverage_bind *bind)
{
	(void)config;
	return coverage_has_prefix(service, bind);
}

static void expect(const struct bind_case *list, size_t count,
	bool (*judge)(
		const struct config *, const struct config_service *, const struct coverage_bind *))
{
	for (size_t i = 0; i < count; i++) {
		struct config *config = parse(list[i].routes);
		struct coverage_bind bind = parse_bind(list[i].bind);

		if (judge(config, config_service_find(config, "blog"), &bind) != list[i].expected)
			fail_msg("[%s] and %s: not %s", list[i].routes, list[i].bind,
				list[i].expected ? "true" : "false");
		config_free(config);
	}
}

#define UDP(to, ports) "{to: \"" to "\", protocol: udp, port: " ports ", service: blog}"
#define V4	       "{to: \"192.0.2.1\", port: 80, service: blog}"
#define V6	       "{to: \"2001:db8::1\", port: 80, service: blog}"

static void routes_allow_the_binds_that_they_need(void **state)
{
	static const struct bind_case cases[] = {
		{V4, "tcp4 192.0.2.1 80", true},
		{V4, "tcp4 192.0.2.1 81", false},
		{V4, "udp4 192.0.2.1 80", false},
		{V4, "tcp4 192.0.2.2 80", false},
		{V4, "tcp6 ::ffff:192.0.2.1 80", true},
		{V4, "tcp4 0.0.0.0 80", true},
		{V4, "tcp4 0.0.0.0 81", false},
		{V4, "tcp6 :: 80", true},
		{V4, "tcp6only :: 80", false},
		{V4, "tcp6 2001:db8::1 80", false},
		{V6, "tcp6 2001:db8::1 80", true},
		{V6, "tcp6 :: 80", true},
		{V6, "tcp6only :: 80", true},
		{V6, "tcp4 0.0.0.0 80", false},
		{V6, "tcp6 ::ffff:0.0.0.0 80", false},
		{"{port: 80, service: blog}", "tcp4 198.51.100.7 80", true},
		{"{port: 80, service: blog}", "tcp6 2001:db8::7 80", true},
		{"{port: 80, service: blog}", "tcp4 0.0.0.0 80", true},
		{"{port: 80, service: blog}", "tcp6only :: 80", true},
		{"{to: \"192.0.2.0/24\", port: 8000-8099, service: blog}", "tcp4 192.0.2.9 8000",
			true},
		{"{to: \"192.0.2.0/24\", port: 8000-8099, service: blog}", "tcp4 192.0.2.9 8099",
			true},
		{"{to: \"192.0.2.0/24\", port: 8000-8099, service: blog}", "tcp4 192.0.2.9 7999",
			false},
		{"{to: \"192.0.2.0/24\", port: 8000-8099, service: blog}", "tcp4 192.0.3.9 8000",
			false},
		{"{to: \"192.0.2.1\", service: blog}", "tcp4 192.0.2.1 65535", true},
		{"{port: [80, 443], service: blog}", "tcp4 0.0.0.0 443", true},
		{"{to: [\"::1\", \"192.0.2.1\"], port: 80, service: blog}", "tcp4 192.0.2.1 80",
			true},
		{"{port: 53, protocol: udp, service: blog}", "udp4 0.0.0.0 53", true},
		{"{port: 53, protocol: udp, service: blog}", "tcp4 0.0.0.0 53", false},
		{"{port: 53, protocol: [tcp, udp], service: blog}", "tcp4 0.0.0.0 53", true},
		/* The program keeps its own port. */
		{"{port: 80, service: blog, target-port: 3000}", "tcp4 0.0.0.0 3000", true},
		{"{port: 80, service: blog, target-port: 3000}", "tcp4 0.0.0.0 80", false},
		/* Sources do not matter: the engine judges them. */
		{"{port: 80, from: \"10.0.0.0/8\", service: blog}", "tcp4 0.0.0.0 80", true},
		/* Other services, and routes to none. */
		{"{port: 80, service: shop}", "tcp4 0.0.0.0 80", false},
		{"{port: 80, pass: true}", "tcp4 0.0.0.0 80", false},
		{"{port: 80, refuse: true}", "tcp4 0.0.0.0 80", false},
		{"{port: 80, service: shop}, " V4, "tcp4 192.0.2.1 80", true},
		{"", "tcp4 0.0.0.0 80", false},
	};

	(void)state;
	expect(cases, COUNT(cases), of_allows);
}

static void ipv6_prefixes_are_told_from_addresses(void **state)
{
	static const struct bind_case cases[] = {
		{UDP("2001:db8::/64", "53"), "udp6 :: 53", true},
		{UDP("2001:db8::/64", "53"), "udp6 :: 54", false},
		{UDP("2001:db8::1", "53"), "udp6 :: 53", false},
		{UDP("192.0.2.0/24", "53"), "udp6 :: 53", false},
		{"{to: \"2001:db8::/64\", port: 53, service: blog}", "udp6 :: 53", false},
		{"{port: 53, protocol: udp, service: blog}", "udp6 :: 53", true},
		{UDP("2001:db8::/64", "53"), "udp4 0.0.0.0 53", false},
	};

	(void)state;
	expect(cases, COUNT(cases), of_has_prefix);
}

static void only_exclusive_addresses_may_really_be_bound(void **state)
{
	static const struct bind_case cases[] = {
		{V4, "tcp4 192.0.2.1 80", true},
		{V4, "tcp6 ::ffff:192.0.2.1 80", true},
		{V4, "tcp4 192.0.2.1 81", false},
		{V4, "tcp4 192.0.2.2 80", false},
		{V4, "udp4 192.0.2.1 80", false},
		{"{to: \"192.0.2.0/24\", port: 80-90, service: blog}", "tcp4 192.0.2.77 85", true},
		{"{port: 80, service: blog}", "tcp6 2001:db8::7 80", true},
		/* Some sources only: the rest would come in, unless a later route takes them too.
		 */
		{"{port: 80, from: \"10.0.0.0/8\", service: blog}", "tcp4 192.0.2.1 80", false},
		{"{port: 80, from: \"0.0.0.0/0\", service: blog}", "tcp4 192.0.2.1 80", true},
		{"{port: 80, from: \"::/0\", service: blog}", "tcp6 2001:db8::1 80", true},
		{"{port: 80, from: \"0.0.0.0/0\", service: blog}", "tcp6 2001:db8::1 80", false},
		{"{port: 80, from: [\"::/0\", \"0.0.0.0/0\"], service: blog}", "tcp4 192.0.2.1 80",
			true},
		{"{port: 80, from: \"10.0.0.0/8\", service: blog}, " V4, "tcp4 192.0.2.1 80", true},
		/* An earlier route gives some of it away. */
		{"{port: 80, from: \"10.0.0.0/8\", service: shop}, " V4, "tcp4 192.0.2.1 80",
			false},
		{"{port: 80, from: \"10.0.0.0/8\", refuse: true}, " V4, "tcp4 192.0.2.1 80", false},
		{"{port: 80, from: \"10.0.0.0/8\", pass: true}, " V4, "tcp4 192.0.2.1 80", false},
		{"{to: \"192.0.2.0/24\", port: 1-100, service: shop}, " V4, "tcp4 192.0.2.1 80",
			false},
		{"{port: 80, protocol: udp, service: shop}, " V4, "tcp4 192.0.2.1 80", true},
		{"{port: 81, service: shop}, " V4, "tcp4 192.0.2.1 80", true},
		{"{to: \"192.0.2.2\", port: 80, service: shop}, " V4, "tcp4 192.0.2.1 80", true},
		/* A later one does not. */
		{V4 ", {to: \"192.0.2.0/24\", port: 80, service: shop}", "tcp4 192.0.2.1 80", true},
		{"{port: 80, from: \"10.0.0.0/8\", service: blog}, {port: 80, service: shop}",
			"tcp4 192.0.2.1 80", false},
		/* Packets to the program's own port are not the service's. */
		{"{port: 80, service: blog, target-port: 3000}", "tcp4 192.0.2.1 3000", false},
		{"{port: 80, service: blog, target-port: 80}", "tcp4 192.0.2.1 80", true},
		{"{port: 80, service: blog, target-port: 3000}, {port: 3000, service: blog}",
			"tcp4 192.0.2.1 3000", true},
		{"{port: 80, service: blog, target-port: 3000}, {port: 80, service: blog, from: "
		 "\"::1\"}",
			"tcp4 192.0.2.1 80", false},
	};

	(void)state;
	expect(cases, COUNT(cases), coverage_is_exclusive);
}

static void sockets_take_the_families_that_linux_says(void **state)
{
	static const struct {
		const char *bind;
		bool v4, v6;
	} cases[] = {
		{"tcp4 0.0.0.0 80", true, false},
		{"tcp4 192.0.2.1 80", true, false},
		{"tcp6 :: 80", true, true},
		{"tcp6only :: 80", false, true},
		{"tcp6 2001:db8::1 80", false, true},
		{"tcp6only 2001:db8::1 80", false, true},
		{"tcp6 ::ffff:192.0.2.1 80", true, false},
		{"tcp6 ::ffff:0.0.0.0 80", true, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct coverage_bind bind = parse_bind(cases[i].bind);

		assert_int_equal(coverage_takes(&bind, 4), cases[i].v4);
		assert_int_equal(coverage_takes(&bind, 6), cases[i].v6);
	}
}

static void endpoints_list_what_the_routes_cover(void **state)
{
	struct config *config =
		parse("{to: [\"192.0.2.0/24\", \"2001:db8::1\"], port: [80, 8000-8099], service: "
		      "blog}, {port: 80, service: shop}, "
		      "{port: 53, protocol: [tcp, udp], service: blog}, "
		      "{to: \"192.0.3.1\", port: 443, service: blog, target-port: 3000}");
	static const struct {
		const char *address;
		uint8_t length, family, protocol;
		uint16_t first, last, target;
	} expected[] = {
		{"192.0.2.0", 120, 4, IPPROTO_TCP, 80, 80, 0},
		{"192.0.2.0", 120, 4, IPPROTO_TCP, 8000, 8099, 0},
		{"2001:db8::1", 128, 6, IPPROTO_TCP, 80, 80, 0},
		{"2001:db8::1", 128, 6, IPPROTO_TCP, 8000, 8099, 0},
		{"::", 0, 0, IPPROTO_TCP, 53, 53, 0},
		{"::", 0, 0, IPPROTO_UDP, 53, 53, 0},
		{"192.0.3.1", 128, 4, IPPROTO_TCP, 443, 443, 3000},
	};
	struct wire_endpoint *list = NULL;
	size_t count = 0;

	(void)state;
	assert_int_equal(coverage_endpoints(config_service_find(config, "blog"), &list, &count), 0);
	assert_int_equal(count, COUNT(expected));
	for (size_t i = 0; i < count; i++) {
		struct addr address;

		assert_int_equal(addr_parse(expected[i].address, &address, NULL), 0);
		assert_memory_equal(list[i].address, address.bytes, 16);
		assert_int_equal(list[i].prefix_length, expected[i].length);
		assert_int_equal(list[i].family, expected[i].family);
		assert_int_equal(list[i].protocol, expected[i].protocol);
		assert_int_equal(list[i].port_first, expected[i].first);
		assert_int_equal(list[i].port_last, expected[i].last);
		assert_int_equal(list[i].target_port, expected[i].target);
	}
	free(list);
	config_free(config);
}

static void grants_are_for_addresses_of_routes(void **state)
{
	static const struct {
		const char *grants, *bind;
		unsigned expected;
	} cases[] = {
		{"{passive: 50000-50100}", "tcp4 192.0.2.1 50000", COVERAGE_PASSIVE},
		{"{passive: 50000-50100}", "tcp4 192.0.2.1 50100", COVERAGE_PASSIVE},
		{"{passive: 50000-50100}", "tcp4 192.0.2.1 50101", 0},
		{"{passive: 50000-50100}", "tcp4 192.0.2.1 49999", 0},
		{"{passive: 50000-50100}", "tcp4 192.0.2.1 0", COVERAGE_PASSIVE},
		{"{passive: 50000-50100}", "udp4 192.0.2.1 50000", 0},
		{"{passive: 50000-50100}", "udp4 192.0.2.1 0", 0},
		{"{passive: 50000-50100}", "tcp6 ::ffff:192.0.2.1 0", COVERAGE_PASSIVE},
		{"{passive: 50000-50100}", "tcp6 2001:db8::77 0", COVERAGE_PASSIVE},
		{"{passive: 50000-50100}", "tcp4 192.0.2.2 0", 0}, /* another service's */
		{"{passive: 50000-50100}", "tcp4 192.0.2.3 0", 0}, /* nobody's */
		{"{passive: 50000-50100}", "tcp6 2001:db8:1::1 0", 0},
		{"{passive: 50000-50100}", "tcp4 0.0.0.0 50000", 0},
		{"{passive: 50000-50100}", "tcp6 :: 0", 0},
		{"{passive: 1-65535}", "tcp4 192.0.2.1 1", COVERAGE_PASSIVE},
		{"{connect: 20}", "tcp4 192.0.2.1 20", COVERAGE_CONNECT},
		{"{connect: 20}", "tcp4 192.0.2.1 0", COVERAGE_CONNECT},
		{"{connect: 20}", "tcp4 192.0.2.1 21", 0},
		{"{connect: true}", "tcp4 192.0.2.1 0", COVERAGE_CONNECT},
		{"{connect: true}", "tcp4 192.0.2.1 5000", 0},
		{"{connect: true, protocol: udp}", "tcp4 192.0.2.1 0", 0},
		{"{connect: true, protocol: udp}", "udp4 192.0.2.1 0", COVERAGE_CONNECT},
		{"{connect: [20, 50000], passive: 50000-50100}", "tcp4 192.0.2.1 50000",
			COVERAGE_PASSIVE | COVERAGE_CONNECT},
		{"{connect: 20, passive: 50000-50100}", "tcp4 192.0.2.1 0",
			COVERAGE_PASSIVE | COVERAGE_CONNECT},
		{"{connect: 20, passive: 50000-50100}", "tcp4 127.0.0.1 0", 0},
		{"{connect: 20, passive: 50000-50100}", "tcp4 192.0.2.1 21", 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct coverage_bind bind = parse_bind(cases[i].bind);
		struct diagnostics diagnostics = {0};
		struct config *config = NULL;
		char yaml[1024];

		snprintf(yaml, sizeof(yaml),
			"services: {ftp: {grants: %s}, other: {}}\n"
			"routes: [{to: [\"192.0.2.1\", \"127.0.0.1\", \"2001:db8::/64\"], port: 21, service: ftp},"
			" {to: \"192.0.2.2\", port: 22, service: other}]\n",
			cases[i].grants);
		assert_int_equal(
			config_parse("grants.yaml", yaml, strlen(yaml), &config, &diagnostics), 0);
		if (coverage_grants(config_service_find(config, "ftp"), &bind) != cases[i].expected)
			fail_msg("%s and %s: not %u", cases[i].grants, cases[i].bind,
				cases[i].expected);
		config_free(config);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_allow_the_binds_that_they_need),
		cmocka_unit_test(only_exclusive_addresses_may_really_be_bound),
		cmocka_unit_test(ipv6_prefixes_are_told_from_addresses),
		cmocka_unit_test(sockets_take_the_families_that_linux_says),
		cmocka_unit_test(endpoints_list_what_the_routes_cover),
		cmocka_unit_test(grants_are_for_addresses_of_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
