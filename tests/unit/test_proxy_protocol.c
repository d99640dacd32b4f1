// SPDX-License-Identifier: BSD-2-Clause
// PROXY protocol headers: the specification's examples, limits, and what must be refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "relay/proxy_protocol.h"

#define COUNT(list) (sizeof(list) / sizeof(*(list)))
#define SIGNATURE   "\r\n\r\n\0\r\nQUIT\n"
#define V4_BODY	    "\xc0\xa8\x00\x01\xc0\xa8\x00\x0b\xdc\x04\x01\xbb"

static struct addr_endpoint endpoint(const char *text, uint16_t port)
{
	struct addr_endpoint made = {.port = port};

	assert_int_equal(addr_parse(text, &made.addr, NULL), 0);
	return made;
}

static void expect_endpoint(const struct addr_endpoint *got, const char *expected)
{
	char text[ADDR_TEXT_SIZE];

	assert_string_equal(addr_endpoint_format(got, text), expected);
}

/* Each piece needs more, the whole is complete, and what follows is not part of it. */
static struct proxy_header parse_good(const void *data, size_t length)
{
	struct proxy_header header = {0};
	struct err err = {0};
	char longer[PROXY_PARSED_MOST + 16];
	size_t needed;

	for (size_t piece = 0; piece < length; piece++) {
		needed = 0;
		if (proxy_parse(data, piece, &header, &needed, &err))
			fail_msg("%zu bytes of %zu: %s", piece, length, err.text);
		assert_true(needed > piece && needed <= length);
	}
	memcpy(longer, data, length);
	memcpy(longer + length, "PROXY \r\n", 8);
	if (proxy_parse(longer, length + 8, &header, &needed, &err) != (ssize_t)length)
		fail_msg("%zu bytes: %s", length, err.text);
	return header;
}

static void test_v1_examples(void **state)
{
	static const char *const unknown[] = {
		"PROXY UNKNOWN\r\n",
		"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
		"PROXY UNKNOWN \r\n",
	};
	static const char v4[] = "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n";
	static const char v6[] = "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
				 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe 65535 0\r\n";
	struct proxy_header header = parse_good(v4, strlen(v4));

	(void)state;
	assert_true(header.proxied);
	assert_int_equal(header.version, PROXY_V1);
	expect_endpoint(&header.source, "192.168.0.1:56324");
	expect_endpoint(&header.destination, "192.168.0.11:443");
	header = parse_good(v6, strlen(v6));
	expect_endpoint(&header.source, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
	expect_endpoint(&header.destination, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:0");
	for (size_t i = 0; i < COUNT(unknown); i++)
		assert_false(parse_good(unknown[i], strlen(unknown[i])).proxied);
}

static void test_v2_examples(void **state)
{
	static const char v4[] = SIGNATURE "\x21\x11\x00\x0c" V4_BODY;
	static const char local[] = SIGNATURE "\x20\x00\x00\x00";
	static const char local_with_body[] = SIGNATURE "\x20\x77\x00\x03\x01\x02\x03";
	static const char udp[] = SIGNATURE "\x21\x12\x00\x0c" V4_BODY;
	static const char with_tlvs[] = SIGNATURE "\x21\x11\x00\x16" V4_BODY "\x02\x00\x03"
						  "abc\x04\x00\x01\x00";
	static const char with_checksum[] = SIGNATURE "\x21\x11\x00\x13" V4_BODY "\x03\x00\x04"
						      "\x1c\x1a\xe9\xc6";
	char large[PROXY_PARSED_MOST] = SIGNATURE "\x21\x11\x0f\xf0" V4_BODY "\x04\x0f\xe1";
	struct proxy_header header = parse_good(v4, sizeof(v4) - 1);

	(void)state;
	assert_true(header.proxied);
	assert_int_equal(header.version, PROXY_V2);
	expect_endpoint(&header.source, "192.168.0.1:56324");
	expect_endpoint(&header.destination, "192.168.0.11:443");
	assert_false(parse_good(local, sizeof(local) - 1).proxied);
	assert_false(parse_good(local_with_body, sizeof(local_with_body) - 1).proxied);
	assert_false(parse_good(udp, sizeof(udp) - 1).proxied);
	assert_true(parse_good(with_tlvs, sizeof(with_tlvs) - 1).proxied);
	assert_true(parse_good(with_checksum, sizeof(with_checksum) - 1).proxied);
	assert_true(parse_good(large, sizeof(large)).proxied);
}

static void test_malformed(void **state)
{
	static const struct {
		const char *data;
		size_t length;
		const char *reason;
	} cases[] = {
#define CASE(text, reason) {text, sizeof(text) - 1, reason}
		CASE("GET / HTTP/1.0\r\n\r\n", "no PROXY header: it begins with 0x47"),
		CASE("\r\n\r\nX", "no PROXY header"),
		CASE("PROXy", "no PROXY header"),
		CASE("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", "a PROXY v1 header that does not end"),
		CASE("PROXY TCP4 192.0.2.1\r192.0.2.2 1 2\r\n", "a PROXY v1 header with a CR"),
		CASE("PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n", "a PROXY v1 header whose protocol"),
		CASE("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", "a PROXY v1 header whose protocol"),
		CASE("PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "a PROXY v1 header without a prot"),
		CASE("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "a PROXY v1 header without two addr"),
		CASE("PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n", "a PROXY v1 header without two"),
		CASE("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", "a PROXY v1 header without two"),
		CASE("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", "a PROXY v1 header without two"),
		CASE("PROXY TCP4 ::1 ::2 1 2\r\n", "a PROXY v1 header whose addresses"),
		CASE("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", "a PROXY v1 header whose addresses"),
		CASE("PROXY TCP4 192.0.2.1 192.0.2 1 2\r\n", "a PROXY v1 header whose addresses"),
		CASE("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", "a PROXY v1 header whose ports"),
		CASE("PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", "a PROXY v1 header whose ports"),
		CASE("PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", "a PROXY v1 header whose ports"),
		CASE("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\0\r\n", "a PROXY v1 header that does not"),
		CASE("PROXY UNKNOWN 0123456789012345678901234567890123456789012345678901234567890123456"
		     "7890123456789012345678901234567890\r\n",
			"a PROXY v1 header of more than 107"),
		CASE(SIGNATURE "\x11\x11\x00\x0c", "a PROXY v2 header whose version and command"),
		CASE(SIGNATURE "\x22\x11\x00\x0c", "a PROXY v2 header whose version and command"),
		CASE(SIGNATURE "\x21\x41\x00\x0c", "a PROXY v2 header whose family and protocol"),
		CASE(SIGNATURE "\x21\x13\x00\x0c", "a PROXY v2 header whose family and protocol"),
		CASE(SIGNATURE "\x21\x21\x00\x0c", "a PROXY v2 header of 28 bytes, too short"),
		CASE(SIGNATURE "\x21\x11\x0f\xf1", "a PROXY v2 header of 4097 bytes"),
		CASE(SIGNATURE "\x21\x11\xff\xff", "a PROXY v2 header of 65551 bytes"),
		CASE(SIGNATURE "\x21\x11\x00\x0e" V4_BODY "\x04\x00",
			"a PROXY v2 header with a TLV"),
		CASE(SIGNATURE "\x21\x11\x00\x10" V4_BODY "\x04\x00\x02z",
			"a PROXY v2 header with a TLV"),
		CASE(SIGNATURE "\x21\x11\x00\x13" V4_BODY "\x03\x00\x04zzzz",
			"a PROXY v2 header with a wrong checksum"),
		CASE(SIGNATURE "\x21\x11\x00\x11" V4_BODY "\x03\x00\x02zz",
			"a PROXY v2 header with a checksum of 2 bytes"),
#undef CASE
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct proxy_header header;
		struct err err = {0};
		size_t needed;

		if (proxy_parse(cases[i].data, cases[i].length, &header, &needed, &err) !=
				-EPROTO ||
			strncmp(err.text, cases[i].reason, strlen(cases[i].reason)) != 0)
			fail_msg("case %zu, %s: '%s'", i, cases[i].reason, err.text);
	}
}

static void test_encode(void **state)
{
	struct addr_endpoint a = endpoint("192.168.0.1", 56324), b = endpoint("192.168.0.11", 443);
	struct addr_endpoint c = endpoint("2001:db8::1", 1);
	uint8_t out[PROXY_ENCODED_MOST];
	struct proxy_header header;
	size_t length;

	(void)state;
	length = proxy_encode(PROXY_V1, &a, &b, out);
	assert_int_equal(length, 47);
	assert_memory_equal(out, "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", length);
	length = proxy_encode(PROXY_V1, NULL, NULL, out);
	assert_int_equal(length, 15);
	assert_memory_equal(out, "PROXY UNKNOWN\r\n", length);
	length = proxy_encode(PROXY_V2, &a, &b, out);
	assert_int_equal(length, 28);
	assert_memory_equal(out, SIGNATURE "\x21\x11\x00\x0c" V4_BODY, length);
	length = proxy_encode(PROXY_V2, NULL, NULL, out);
	assert_int_equal(length, 16);
	assert_memory_equal(out, SIGNATURE "\x20\x00\x00\x00", length);
	assert_int_equal(proxy_encode(PROXY_NONE, &a, &b, out), 0);

	/* A client and a server of different families. */
	for (int version = PROXY_V1; version <= PROXY_V2; version++) {
		length = proxy_encode((enum proxy_version)version, &a, &c, out);
		header = parse_good(out, length);
		assert_true(header.proxied);
		expect_endpoint(&header.source, "192.168.0.1:56324");
		expect_endpoint(&header.destination, "[2001:db8::1]:1");
	}
	length = proxy_encode(PROXY_V1, &a, &c, out);
	assert_memory_equal(out, "PROXY TCP6 ::ffff:192.168.0.1 2001:db8::1 56324 1\r\n", length);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v1_examples),
		cmocka_unit_test(test_v2_examples),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_encode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
