// SPDX-License-Identifier: BSD-2-Clause
// Server names in ClientHellos: whole, byte by byte, in many records, broken.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/listen/client_hello.h"

struct buffer {
	uint8_t data[CLIENT_HELLO_BUFFER + 1024];
	size_t length;
};

static void put(struct buffer *buffer, int bytes, size_t number)
{
	while (bytes--)
		buffer->data[buffer->length++] = (uint8_t)(number >> (8 * bytes));
}

static void put_zeros(struct buffer *buffer, size_t count)
{
	memset(buffer->data + buffer->length, 0, count);
	buffer->length += count;
}

static void put_name(struct buffer *buffer, const char *name)
{
	size_t length = strlen(name);

	put(buffer, 2, 0); /* server_name */
	put(buffer, 2, length + 5);
	put(buffer, 2, length + 3);
	put(buffer, 1, 0); /* host_name */
	put(buffer, 2, length);
	memcpy(buffer->data + buffer->length, name, length);
	buffer->length += length;
}

/* A handshake message; `padding` bytes of another extension stand before the name, if there is
 * one. */
static void make_message(struct buffer *out, const char *name, size_t padding)
{
	struct buffer *extensions = calloc(1, sizeof(*extensions));

	put(extensions, 2, 51); /* key_share */
	put(extensions, 2, padding);
	put_zeros(extensions, padding);
	if (name)
		put_name(extensions, name);
	out->length = 0;
	put(out, 1, 1); /* client_hello */
	put(out, 3, 34 + 1 + 32 + 2 + 4 + 2 + 2 + extensions->length);
	put_zeros(out, 34);
	put(out, 1, 32);
	put_zeros(out, 32);
	put(out, 2, 4);
	put_zeros(out, 4);
	put(out, 2, 0x0100);
	put(out, 2, extensions->length);
	memcpy(out->data + out->length, extensions->data, extensions->length);
	out->length += extensions->length;
	free(extensions);
}

/* The message in records of `size` bytes each. */
static void make_records(struct buffer *out, const struct buffer *message, size_t size)
{
	out->length = 0;
	for (size_t at = 0; at < message->length; at += size) {
		size_t part = message->length - at < size ? message->length - at : size;

		put(out, 1, 22);
		put(out, 2, 0x0301);
		put(out, 2, part);
		memcpy(out->data + out->length, message->data + at, part);
		out->length += part;
	}
}

static enum client_hello_verdict read_name(const struct buffer *buffer, size_t length, char *name)
{
	uint8_t *exact = malloc(length ? length : 1);
	struct client_hello hello;

	memcpy(exact, buffer->data, length);
	client_hello_init(&hello);
	client_hello_feed(&hello, exact, length);
	free(exact);
	if (hello.verdict == CLIENT_HELLO_NAMED)
		strcpy(name, hello.name);
	return hello.verdict;
}

static void names(void **state)
{
	static const struct {
		const char *sent, *expected; /* NULL: none */
	} cases[] = {
		{"www.example.org", "www.example.org"},
		{"WWW.Example.ORG", "www.example.org"},
		{"a", "a"},
		{"xn--mnchen-3ya.example", "xn--mnchen-3ya.example"},
		{NULL, NULL},
		{"two words", NULL},
		{"*.example.org", NULL},
		{"example.org.", NULL},
		{"", NULL},
	};
	static const size_t records[] = {16384, 500, 60, 7, 2};
	struct buffer *message = calloc(1, sizeof(*message)), *sent = calloc(1, sizeof(*sent));

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (size_t r = 0; r < sizeof(records) / sizeof(*records); r++) {
			char name[NAMES_MAX_LENGTH + 1] = "";

			make_message(message, cases[i].sent, 1500);
			make_records(sent, message, records[r]);
			assert_int_equal(read_name(sent, sent->length, name),
				cases[i].expected ? CLIENT_HELLO_NAMED : CLIENT_HELLO_PLAIN);
			if (cases[i].expected)
				assert_string_equal(name, cases[i].expected);
		}
	}
	free(message);
	free(sent);
}

/* Nothing is decided before it is known, and then it stays. */
static void byte_by_byte(void **state)
{
	struct buffer *message = calloc(1, sizeof(*message)), *sent = calloc(1, sizeof(*sent));
	size_t decided = 0;

	(void)state;
	make_message(message, "www.example.org", 20000);
	make_records(sent, message, 16384);
	for (size_t length = 0; length <= sent->length; length++) {
		char name[NAMES_MAX_LENGTH + 1] = "";
		enum client_hello_verdict found = read_name(sent, length, name);

		if (found == CLIENT_HELLO_NAMED)
			decided++;
		else
			assert_int_equal(found, CLIENT_HELLO_MORE);
		assert_int_equal(found == CLIENT_HELLO_NAMED, !!decided);
	}
	assert_int_equal(decided, 1); /* the name stands at the very end */
	free(message);
	free(sent);
}

static void what_is_no_hello(void **state)
{
	struct buffer *message = calloc(1, sizeof(*message)), *sent = calloc(1, sizeof(*sent));
	static const char *const texts[] = {"GET / HTTP/1.0\r\n\r\n", "SSH-2.0-x\r\n",
		"\x80\x2e\x01", "\x16\x02\x00", "\x16\x03\x01\x00\x00", "\x16\x03\x01\x00\x04\x02",
		"\x15\x03\x01"};
	char name[NAMES_MAX_LENGTH + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		size_t length = i == 3 ? 3 : i == 4 ? 5 : i == 5 ? 6 : strlen(texts[i]);

		memcpy(sent->data, texts[i], length);
		assert_int_equal(read_name(sent, length, name), CLIENT_HELLO_OTHER);
	}
	/* A message that would be too long is not waited for. */
	memcpy(sent->data, "\x16\x03\x01\x40\x00\x01\x00\x80\x01", 9);
	assert_int_equal(read_name(sent, 9, name), CLIENT_HELLO_OTHER);
	/* An extension that goes beyond the list of them. */
	make_message(message, "www.example.org", 10);
	make_records(sent, message, 16384);
	sent->data[5 + 4 + 34 + 33 + 6 + 2 + 2 + 2] = 0xff;
	assert_int_equal(read_name(sent, sent->length, name), CLIENT_HELLO_OTHER);
	free(message);
	free(sent);
}

/* A hello with a random name, padding and records, perhaps with a few bytes changed. */
static void make_random(struct buffer *message, struct buffer *sent)
{
	static const char *const sent_names[] = {"www.example.org", "a", "two words", "", NULL};
	static const size_t records[] = {1, 2, 3, 60, 1000, 16384};
	size_t record = records[random() % 6];

	make_message(message, sent_names[random() % 5],
		(size_t)random() % (record == 1		 ? 5000
					   : record <= 3 ? 10000
							 : 20000));
	make_records(sent, message, record);
	for (long changes = random() % 4; changes > 1; changes--)
		sent->data[(size_t)random() % (random() % 2 ? 150 : sent->length)] =
			(uint8_t)random();
}

/* Feeds random parts; what was needed at least is never overstated. */
static void feed_random_parts(struct client_hello *hello, const struct buffer *sent)
{
	size_t most = 1 + (size_t)random() % (random() % 2 ? 10 : 5000);

	client_hello_init(hello);
	for (size_t at = 0; at < sent->length && hello->verdict == CLIENT_HELLO_MORE;) {
		size_t part = 1 + (size_t)random() % most, lacks = client_hello_lacks(hello);

		assert_true(lacks);
		if (part > sent->length - at)
			part = sent->length - at;
		client_hello_feed(hello, sent->data + at, part);
		if (part < lacks && hello->verdict != CLIENT_HELLO_MORE)
			assert_int_equal(hello->verdict, CLIENT_HELLO_OTHER);
		at += part;
	}
}

static void any_split_is_the_whole(void **state)
{
	struct buffer *message = calloc(1, sizeof(*message)), *sent = calloc(1, sizeof(*sent));
	const char *given = getenv("SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	size_t verdicts[CLIENT_HELLO_OTHER + 1] = {0};

	(void)state;
	print_message("SEED=%u\n", seed);
	srandom(seed);
	for (int i = 0; i < 3000; i++) {
		struct client_hello whole, parts;

		make_random(message, sent);
		client_hello_init(&whole);
		verdicts[client_hello_feed(&whole, sent->data, sent->length)]++;
		feed_random_parts(&parts, sent);
		assert_int_equal(parts.verdict, whole.verdict);
		assert_int_equal(parts.consumed, whole.consumed);
		if (whole.verdict == CLIENT_HELLO_NAMED)
			assert_string_equal(parts.name, whole.name);
	}
	assert_true(verdicts[CLIENT_HELLO_NAMED] && verdicts[CLIENT_HELLO_PLAIN] &&
		    verdicts[CLIENT_HELLO_OTHER]);
	free(message);
	free(sent);
}

/* A caller that feeds just what is lacking does so a few times for each record, however long
 * the hello. */
static void lacks_is_what_it_takes(void **state)
{
	struct buffer *message = calloc(1, sizeof(*message)), *sent = calloc(1, sizeof(*sent));
	struct client_hello hello;
	size_t at = 0, asked = 0;

	(void)state;
	make_message(message, "www.example.org", 20000);
	make_records(sent, message, 16384);
	client_hello_init(&hello);
	while (hello.verdict == CLIENT_HELLO_MORE) {
		size_t lacks = client_hello_lacks(&hello);

		assert_true(at + lacks <= sent->length);
		client_hello_feed(&hello, sent->data + at, lacks);
		at += lacks;
		asked++;
	}
	assert_int_equal(hello.verdict, CLIENT_HELLO_NAMED);
	assert_int_equal(at, sent->length);
	assert_in_range(asked, 1, 20);
	free(message);
	free(sent);
}

/* Records of a byte each make a long hello longer than what a socket is made to hold. */
static void too_many_bytes(void **state)
{
	struct buffer *sent = calloc(1, sizeof(*sent));
	struct client_hello hello;
	size_t at = 0;

	(void)state;
	client_hello_init(&hello);
	while (hello.verdict == CLIENT_HELLO_MORE) {
		static const uint8_t start[] = {1, 0, 0x40, 0};

		put(sent, 5, 0x1603010001);
		put(sent, 1, at < 4 ? start[at] : 0x20);
		client_hello_feed(&hello, sent->data + 6 * at, 6);
		at++;
	}
	assert_int_equal(hello.verdict, CLIENT_HELLO_OTHER);
	assert_int_equal(hello.consumed, CLIENT_HELLO_BUFFER);
	free(sent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(byte_by_byte),
		cmocka_unit_test(what_is_no_hello),
		cmocka_unit_test(any_split_is_the_whole),
		cmocka_unit_test(lacks_is_what_it_takes),
		cmocka_unit_test(too_many_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
