// SPDX-License-Identifier: BSD-2-Clause
// Addresses: what is understood, what is refused, and that both print as people write them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "common/addr.h"

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

static struct addr addr(const char *text)
{
	struct addr parsed;
	struct err err;

	if (addr_parse(text, &parsed, &err))
		fail_msg("%s", err.text);
	return parsed;
}

static struct addr_prefix prefix(const char *text)
{
	struct addr_prefix parsed;
	struct err err;

	if (addr_prefix_parse(text, &parsed, &err))
		fail_msg("%s", err.text);
	return parsed;
}

static void addresses_print_canonically(void **state)
{
	static const struct {
		const char *text, *canonical;
	} cases[] = {
		{"192.0.2.1", "192.0.2.1"},
		{"0.0.0.0", "0.0.0.0"},
		{"255.255.255.255", "255.255.255.255"},
		{"::", "::"},
		{"::1", "::1"},
		{"2001:db8::1", "2001:db8::1"},
		{"2001:DB8:0:0:0:0:0:0001", "2001:db8::1"},
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"::FFFF:c000:0201", "192.0.2.1"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"64:ff9b::192.0.2.1", "64:ff9b::c000:201"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct addr parsed = addr(cases[i].text), again;
		char text[ADDR_TEXT_SIZE];

		assert_string_equal(addr_format(&parsed, text), cases[i].canonical);
		again = addr(text);
		assert_true(addr_equal(&parsed, &again));
	}
}

static void all_prefix_lengths_survive_printing(void **state)
{
	(void)state;
	for (unsigned length = 0; length <= 128; length++) {
		struct addr_prefix made = {.length = (uint8_t)length, .family = AF_INET6}, parsed;
		char text[ADDR_TEXT_SIZE];

		for (unsigned bit = 0; bit < length; bit++)
			made.addr.bytes[bit / 8] |= (uint8_t)(0x80 >> (bit % 8));
		parsed = prefix(addr_prefix_format(&made, text));
		assert_int_equal(parsed.length, length);
		assert_int_equal(parsed.family, AF_INET6);
		assert_true(addr_equal(&parsed.addr, &made.addr));
		if (length > 32)
			continue;
		made = (struct addr_prefix){.length = (uint8_t)(96 + length), .family = AF_INET};
		made.addr = addr("0.0.0.0");
		for (unsigned bit = 0; bit < length; bit++)
			made.addr.bytes[12 + bit / 8] |= (uint8_t)(0x80 >> (bit % 8));
		parsed = prefix(addr_prefix_format(&made, text));
		assert_int_equal(parsed.length, 96 + length);
		assert_int_equal(parsed.family, AF_INET);
		assert_true(addr_equal(&parsed.addr, &made.addr));
	}
}

static void what_is_no_address_is_refused(void **state)
{
	static const char *const texts[] = {"", " ", "192.0.2", "192.0.2.256", "192.0.2.1 ",
		" 192.0.2.1", "192.0.2.1.1", "0x7f.0.0.1", "192.0.2.01", "3221225985", "localhost",
		"2001:db8:::1", "2001:db8", "[::1]", "::1%lo", "fe80::1%1", "::g", "1::2::3",
		"::ffff:192.0.2.256", "12345::", "::1/64", "192.0.2.1:80"};
	char quoted[64];
	struct err err;

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct addr parsed;

		if (addr_parse(texts[i], &parsed, &err) != -EINVAL)
			fail_msg("'%s' is understood", texts[i]);
		assert_int_equal(err.code, -EINVAL);
		snprintf(quoted, sizeof(quoted), "'%s' is not an IP address (write ", texts[i]);
		assert_ptr_equal(strstr(err.text, quoted), err.text);
	}
}

static void what_is_no_prefix_is_refused_with_the_reason(void **state)
{
	static const char range_v4[] = "the prefix length after '/' must be a number from 0 to 32";
	static const char range_v6[] = "the prefix length after '/' must be a number from 0 to 128";
	static const char not_one[] = "is not an IP address or prefix (write ";
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{"192.0.2.0/33", range_v4},
		{"192.0.2.0/", range_v4},
		{"192.0.2.0/ 24", range_v4},
		{"192.0.2.0/+24", range_v4},
		{"192.0.2.0/-1", range_v4},
		{"192.0.2.0/24 ", range_v4},
		{"192.0.2.0/24/24", range_v4},
		{"192.0.2.0/255.255.255.0", range_v4},
		{"192.0.2.0/99999999999999999999999", range_v4},
		{"2001:db8::/129", range_v6},
		{"2001:db8::/0x40", range_v6},
		{"192.0.2.1/24", "did you mean 192.0.2.0/24?"},
		{"192.0.2.1/0", "did you mean 0.0.0.0/0?"},
		{"192.0.2.1/31", "did you mean 192.0.2.0/31?"},
		{"2001:db8::1/64", "did you mean 2001:db8::/64?"},
		{"::1/0", "did you mean ::/0?"},
		{"::ffff:192.0.2.0/24", "mixes an IPv6 form with IPv4; write an IPv4 prefix"},
		{"::ffff:192.0.2.0/120", "mixes an IPv6 form with IPv4; write an IPv4 prefix"},
		{"::ffff:0:0/96", "mixes an IPv6 form with IPv4; write an IPv4 prefix"},
		{"", not_one},
		{"/24", not_one},
		{"example.org/24", not_one},
		{"fe80::1%eth0", not_one},
		{"fe80::%eth0/64", not_one},
		{"any", not_one},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct addr_prefix parsed;
		struct err err;

		if (addr_prefix_parse(cases[i].text, &parsed, &err) != -EINVAL)
			fail_msg("'%s' is understood", cases[i].text);
		if (!strstr(err.text, cases[i].reason))
			fail_msg("of '%s': %s", cases[i].text, err.text);
		assert_int_equal(strncmp(err.text + 1, cases[i].text, strlen(cases[i].text)), 0);
	}
}

static void long_texts_are_refused(void **state)
{
	char text[4096];
	struct addr_prefix parsed;
	struct addr address;
	struct err err;

	(void)state;
	memset(text, '1', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(addr_prefix_parse(text, &parsed, &err), -EINVAL);
	assert_int_equal(addr_parse(text, &address, &err), -EINVAL);
	assert_int_equal(strlen(err.text), ERR_TEXT_SIZE - 1);
	/* The longest that fits, and one more. */
	for (size_t length = ADDR_TEXT_SIZE - 1; length <= ADDR_TEXT_SIZE; length++) {
		memset(text, '1', sizeof(text));
		strcpy(text + length, "/24");
		assert_int_equal(addr_prefix_parse(text, &parsed, &err), -EINVAL);
	}
	assert_non_null(strstr(err.text, "is too long for an IP address or prefix"));
	/* Zeros before the number are no fault. */
	memset(text, '0', sizeof(text));
	memcpy(text, "10.0.0.0/", 9);
	strcpy(text + 1000, "8");
	assert_int_equal(addr_prefix_parse(text, &parsed, &err), 0);
	assert_int_equal(parsed.length, 104);
}

static void prefixes_hold_what_they_should(void **state)
{
	static const struct {
		const char *prefix, *addr;
		bool holds;
	} cases[] = {
		{"192.0.2.0/24", "192.0.2.255", true},
		{"192.0.2.0/24", "192.0.3.0", false},
		{"192.0.2.128/25", "192.0.2.127", false},
		{"192.0.2.128/25", "192.0.2.128", true},
		{"192.0.2.2/31", "192.0.2.3", true},
		{"192.0.2.2/31", "192.0.2.4", false},
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.0", false},
		{"0.0.0.0/0", "255.1.2.3", true},
		{"0.0.0.0/0", "2001:db8::1", false},
		{"0.0.0.0/0", "::", false},
		{"::/0", "2001:db8::1", true},
		{"::/0", "192.0.2.1", false},
		{"::/64", "::ffff:192.0.2.1", false},
		{"2001:db8::/65", "2001:db8::7fff:ffff:ffff:ffff", true},
		{"2001:db8::/65", "2001:db8::8000:0:0:0", false},
	};
	const struct addr_prefix any = {0};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct addr_prefix held = prefix(cases[i].prefix);
		struct addr address = addr(cases[i].addr);

		if (addr_prefix_contains(&held, &address) != cases[i].holds)
			fail_msg("%s and %s", cases[i].prefix, cases[i].addr);
		assert_true(addr_prefix_contains(&any, &address));
	}
}

static void prefixes_overlap_if_one_holds_the_other(void **state)
{
	static const struct {
		const char *a, *b;
		bool overlap;
	} cases[] = {
		{"192.0.2.0/24", "192.0.2.128/25", true},
		{"192.0.2.0/25", "192.0.2.128/25", false},
		{"192.0.2.0/24", "192.0.2.0/24", true},
		{"0.0.0.0/0", "192.0.2.1", true},
		{"0.0.0.0/0", "::/0", false},
		{"::/0", "192.0.2.1", false},
		{"2001:db8::/32", "2001:db8:1::/48", true},
		{"2001:db8::/48", "2001:db8:1::/48", false},
	};
	const struct addr_prefix any = {0};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct addr_prefix a = prefix(cases[i].a), b = prefix(cases[i].b);

		if (addr_prefix_overlaps(&a, &b) != cases[i].overlap ||
			addr_prefix_overlaps(&b, &a) != cases[i].overlap)
			fail_msg("%s and %s", cases[i].a, cases[i].b);
		assert_true(addr_prefix_overlaps(&any, &a) && addr_prefix_overlaps(&a, &any));
	}
}

static void kinds_of_addresses(void **state)
{
	static const struct {
		const char *text;
		int family;
		bool loopback, wildcard;
	} cases[] = {
		{"127.0.0.1", AF_INET, true, false},
		{"127.255.0.9", AF_INET, true, false},
		{"126.0.0.1", AF_INET, false, false},
		{"0.0.0.0", AF_INET, false, true},
		{"0.0.0.1", AF_INET, false, false},
		{"::", AF_INET6, false, true},
		{"::1", AF_INET6, true, false},
		{"::2", AF_INET6, false, false},
		{"::127.0.0.1", AF_INET6, false, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct addr parsed = addr(cases[i].text);

		assert_int_equal(addr_family(&parsed), cases[i].family);
		assert_int_equal(addr_is_v4(&parsed), cases[i].family == AF_INET);
		assert_int_equal(addr_is_loopback(&parsed), cases[i].loopback);
		assert_int_equal(addr_is_wildcard(&parsed), cases[i].wildcard);
	}
}

static void endpoints_print_with_brackets(void **state)
{
	struct addr_endpoint v4 = {addr("192.0.2.1"), 80};
	struct addr_endpoint v6 = {addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 65535};
	char text[ADDR_TEXT_SIZE];
	const struct addr_prefix any = {0};

	(void)state;
	assert_string_equal(addr_endpoint_format(&v4, text), "192.0.2.1:80");
	assert_string_equal(
		addr_endpoint_format(&v6, text), "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
	assert_string_equal(addr_prefix_format(&any, text), "any");
}

static void sockaddrs_convert_both_ways(void **state)
{
	static const struct {
		const char *text;
		int domain;
		socklen_t length;
	} cases[] = {
		{"192.0.2.1", AF_INET, sizeof(struct sockaddr_in)},
		{"192.0.2.1", AF_INET6, sizeof(struct sockaddr_in6)},
		{"2001:db8::1", AF_INET6, sizeof(struct sockaddr_in6)},
		{"::", AF_INET6, sizeof(struct sockaddr_in6)},
		{"0.0.0.0", AF_INET, sizeof(struct sockaddr_in)},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct addr_endpoint endpoint = {addr(cases[i].text), 0x1234}, back;
		struct sockaddr_storage made;

		memset(&made, 0xaa, sizeof(made));
		assert_int_equal(
			addr_to_sockaddr(&endpoint, cases[i].domain, &made), cases[i].length);
		assert_int_equal(made.ss_family, cases[i].domain);
		assert_int_equal(((struct sockaddr_in *)&made)->sin_port, htons(0x1234));
		assert_int_equal(addr_from_sockaddr(&made, cases[i].length, &back), 0);
		assert_true(addr_equal(&back.addr, &endpoint.addr));
		assert_int_equal(back.port, 0x1234);
		/* Neither direction label nor scope is left over from what was there before. */
		if (cases[i].domain == AF_INET6) {
			assert_int_equal(((struct sockaddr_in6 *)&made)->sin6_scope_id, 0);
			assert_int_equal(((struct sockaddr_in6 *)&made)->sin6_flowinfo, 0);
		}
	}
}

static void wrong_sockaddrs_are_refused(void **state)
{
	static const struct {
		int family;
		socklen_t length;
		int result;
	} cases[] = {
		{AF_INET, 0, -EINVAL},
		{AF_INET, 1, -EINVAL},
		{AF_INET, 2, -EINVAL},
		{AF_INET, sizeof(struct sockaddr_in) - 1, -EINVAL},
		{AF_INET, sizeof(struct sockaddr_in), 0},
		{AF_INET, sizeof(struct sockaddr_storage), 0},
		{AF_INET6, 1, -EINVAL},
		{AF_INET6, sizeof(struct sockaddr_in), -EINVAL},
		{AF_INET6, sizeof(struct sockaddr_in6) - 5, -EINVAL},
		{AF_INET6, sizeof(struct sockaddr_in6) - 4, 0}, /* without scope, as of old */
		{AF_INET6, sizeof(struct sockaddr_in6), 0},
		{AF_UNIX, sizeof(struct sockaddr_un), -EAFNOSUPPORT},
		{AF_UNSPEC, sizeof(struct sockaddr_in), -EAFNOSUPPORT},
		{0xffff, sizeof(struct sockaddr_storage), -EAFNOSUPPORT},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sockaddr_storage from = {.ss_family = (sa_family_t)cases[i].family};
		struct addr_endpoint out, before;

		memset(&out, 0xaa, sizeof(out));
		before = out;
		if (addr_from_sockaddr(&from, cases[i].length, &out) != cases[i].result)
			fail_msg("family %d, %u bytes", cases[i].family, cases[i].length);
		if (cases[i].result)
			assert_memory_equal(&out, &before, sizeof(out));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_print_canonically),
		cmocka_unit_test(all_prefix_lengths_survive_printing),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(what_is_no_prefix_is_refused_with_the_reason),
		cmocka_unit_test(long_texts_are_refused),
		cmocka_unit_test(prefixes_hold_what_they_should),
		cmocka_unit_test(prefixes_overlap_if_one_holds_the_other),
		cmocka_unit_test(kinds_of_addresses),
		cmocka_unit_test(endpoints_print_with_brackets),
		cmocka_unit_test(sockaddrs_convert_both_ways),
		cmocka_unit_test(wrong_sockaddrs_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
