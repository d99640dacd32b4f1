// SPDX-License-Identifier: BSD-2-Clause
// What a relay's settings may say, and where mappings lead.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "relay/relay_settings.h"

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

static void test_backends(void **state)
{
	static const struct {
		const char *text, *expected; /* NULL: the same */
	} good[] = {
		{"192.0.2.1:80", NULL},
		{"[2001:db8::1]:65535", NULL},
		{"[192.0.2.1]:1", "192.0.2.1:1"},
		{"unix:/run/app.sock", NULL},
		{"nat64:64:ff9b::/96", NULL},
		{"nat64:[64:ff9b::/96]:80", NULL},
		{"nat64:2001:db8::/64", NULL},
	};
	static const char *const bad[] = {"", "80", ":80", "192.0.2.1", "192.0.2.1:", "192.0.2.1:0",
		"192.0.2.1:65536", "192.0.2.1:8x", "2001:db8::1:80", "[2001:db8::1]", "[]:80",
		"example.org:80", "0.0.0.0:80", "[::]:80", "unix:run/app.sock",
		"unix:", "nat64:64:ff9b::/97", "nat64:192.0.2.0/24", "nat64:[64:ff9b::/96]:0",
		"nat64:",
		"unix:/123456789012345678901234567890123456789012345678901234567890"
		"1234567890123456789012345678901234567890123456789"};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		struct relay_backend backend;
		char text[RELAY_BACKEND_TEXT_SIZE];
		struct err err = {0};

		if (relay_backend_parse(good[i].text, &backend, &err))
			fail_msg("%s", err.text);
		assert_string_equal(relay_backend_format(&backend, text),
			good[i].expected ? good[i].expected : good[i].text);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct relay_backend backend;
		struct err err = {0};

		if (relay_backend_parse(bad[i], &backend, &err) != -EINVAL || !err.text[0])
			fail_msg("'%s' is taken for a backend", bad[i]);
	}
}

static struct relay_settings nat64_settings(const char *backend, const char *allow)
{
	struct relay_settings settings = {0};
	struct relay_backend parsed;
	struct addr_prefix prefix;

	assert_int_equal(relay_backend_parse(backend, &parsed, NULL), 0);
	assert_int_equal(relay_settings_add_backend(&settings, &parsed, NULL), 0);
	if (allow) {
		assert_int_equal(addr_prefix_parse(allow, &prefix, NULL), 0);
		assert_int_equal(relay_prefixes_add(&settings.nat64_allow,
					 &settings.nat64_allow_count, &prefix),
			0);
	}
	assert_int_equal(relay_settings_check(&settings, NULL), 0);
	return settings;
}

/* "ADDRESS:PORT", or the errno. */
static void expect_mapping(
	const char *backend, const char *allow, const char *local, const char *expected, int code)
{
	struct relay_settings settings = nat64_settings(backend, allow);
	struct addr_endpoint from = {.port = 443}, to;
	char text[ADDR_TEXT_SIZE];
	bool listed;
	int result;

	assert_int_equal(addr_parse(local, &from.addr, NULL), 0);
	result = relay_nat64_map(&settings, &settings.backends[0], &from, &to, &listed, NULL);
	assert_int_equal(result, code);
	if (!result) {
		assert_string_equal(addr_endpoint_format(&to, text), expected);
		assert_int_equal(listed, allow != NULL);
	}
	relay_settings_fini(&settings);
}

static void test_nat64(void **state)
{
	static const char *const special[] = {"64:ff9b::127.0.0.1", "64:ff9b::127.9.9.9",
		"64:ff9b::0.0.0.0", "64:ff9b::0.1.2.3", "64:ff9b::224.0.0.1", "64:ff9b::240.0.0.1",
		"64:ff9b::255.255.255.255", "64:ff9b::169.254.169.254"};

	(void)state;
	expect_mapping("nat64:64:ff9b::/96", NULL, "64:ff9b::192.0.2.33", "192.0.2.33:443", 0);
	expect_mapping("nat64:[64:ff9b::/96]:80", NULL, "64:ff9b::c000:221", "192.0.2.33:80", 0);
	expect_mapping("nat64:2001:db8::/64", NULL, "2001:db8::1:c000:221", "192.0.2.33:443", 0);
	expect_mapping("nat64:64:ff9b::/96", NULL, "64:ff9c::1.2.3.4", NULL, -EADDRNOTAVAIL);
	expect_mapping("nat64:64:ff9b::/96", NULL, "192.0.2.1", NULL, -EADDRNOTAVAIL);
	for (size_t i = 0; i < COUNT(special); i++)
		expect_mapping("nat64:64:ff9b::/96", NULL, special[i], NULL, -EACCES);
	expect_mapping(
		"nat64:64:ff9b::/96", "127.0.0.0/8", "64:ff9b::127.0.0.1", "127.0.0.1:443", 0);
	expect_mapping("nat64:64:ff9b::/96", "127.0.0.0/16", "64:ff9b::127.1.0.1", NULL, -EACCES);
}

static void expect_source(const char *source, const char *client, int family, const char *expected)
{
	struct relay_settings settings = {0};
	struct addr from, to;
	char text[ADDR_TEXT_SIZE];

	assert_int_equal(relay_source_parse(source, &settings, NULL), 0);
	assert_int_equal(addr_parse(client, &from, NULL), 0);
	assert_int_equal(relay_source_map(&settings, &from, family, &to, NULL),
		expected ? 0 : -EADDRNOTAVAIL);
	if (expected)
		assert_string_equal(addr_format(&to, text), expected);
}

static void test_sources(void **state)
{
	static const char *const bad[] = {"", "me", "192.0.2.0/24", "2001:db8::/97", "2001:db8::1"};
	struct relay_settings settings = {0};

	(void)state;
	expect_source("client", "192.0.2.7", AF_INET, "192.0.2.7");
	expect_source("client", "2001:db8::7", AF_INET6, "2001:db8::7");
	expect_source("client", "192.0.2.7", AF_INET6, NULL);
	expect_source("client", "2001:db8::7", AF_INET, NULL);
	expect_source("2001:db8:64::/96", "192.0.2.7", AF_INET6, "2001:db8:64::c000:207");
	expect_source("2001:db8:64::/96", "192.0.2.7", AF_INET, "192.0.2.7");
	expect_source("2001:db8:64::/96", "2001:db8::7", AF_INET6, "2001:db8::7");
	expect_source("2001:db8:64::/96", "2001:db8::7", AF_INET, NULL);
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(relay_source_parse(bad[i], &settings, NULL), -EINVAL);
	assert_int_equal(settings.source, RELAY_SOURCE_OWN);
}

static void test_copies_are_deep(void **state)
{
	struct relay_settings settings = nat64_settings("nat64:64:ff9b::/96", "10.0.0.0/8"), copy;

	(void)state;
	assert_int_equal(relay_settings_copy(&settings, &copy), 0);
	relay_settings_fini(&settings);
	assert_int_equal(copy.backends[0].prefix.length, 96);
	assert_int_equal(copy.nat64_allow[0].length, 104);
	relay_settings_fini(&copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backends),
		cmocka_unit_test(test_nat64),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_copies_are_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
