// SPDX-License-Identifier: BSD-2-Clause
// The first bytes of a connection may be anything. What is found in them must not depend on how
// they are split, and not come before the parser said that it could.
#include <string.h>

#include "daemon/listen/client_hello.h"
#include "tests/fuzz/fuzz.h"

#define SPLITS 8

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

/* A copy of exactly that size, so that AddressSanitizer sees reads past its end. */
static enum client_hello_verdict feed_exact(
	struct client_hello *hello, const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	enum client_hello_verdict verdict;

	FUZZ_REQUIRE(copy);
	memcpy(copy, data, size);
	verdict = client_hello_feed(hello, copy, size);
	free(copy);
	return verdict;
}

/* xorshift, seeded by the input, so that a crash comes again. */
static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static uint32_t seed_of(const uint8_t *data, size_t size)
{
	uint32_t seed = 2166136261;

	for (size_t i = 0; i < size; i++)
		seed = (seed ^ data[i]) * 16777619;
	return seed ? seed : 1;
}

/* In parts of 1 to `most` bytes. */
static void feed_parts(struct client_hello *hello, const uint8_t *data, size_t size, uint32_t most,
	uint32_t *random)
{
	client_hello_init(hello);
	for (size_t at = 0; at < size;) {
		size_t part = 1 + next_random(random) % most, lacks;
		enum client_hello_verdict before = hello->verdict;

		if (part > size - at)
			part = size - at;
		lacks = before == CLIENT_HELLO_MORE ? client_hello_lacks(hello) : 0;
		FUZZ_REQUIRE(lacks || before != CLIENT_HELLO_MORE);
		feed_exact(hello, data + at, part);
		FUZZ_REQUIRE(before == CLIENT_HELLO_MORE || hello->verdict == before);
		FUZZ_REQUIRE(part >= lacks || hello->verdict == CLIENT_HELLO_MORE ||
			     hello->verdict == CLIENT_HELLO_OTHER);
		at += part;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t most[SPLITS] = {1, 2, 3, 7, 50, 500, 5000, 50000};
	struct client_hello whole, parts;
	uint32_t random = seed_of(data, size);

	client_hello_init(&whole);
	feed_exact(&whole, data, size);
	FUZZ_REQUIRE(whole.consumed <= CLIENT_HELLO_BUFFER && whole.consumed <= size);
	if (whole.verdict == CLIENT_HELLO_NAMED)
		FUZZ_REQUIRE(!names_check(whole.name, NULL));
	for (size_t i = 0; i < SPLITS; i++) {
		feed_parts(&parts, data, size, most[i], &random);
		FUZZ_REQUIRE(parts.verdict == whole.verdict);
		FUZZ_REQUIRE(parts.consumed == whole.consumed);
		FUZZ_REQUIRE(
			whole.verdict != CLIENT_HELLO_NAMED || !strcmp(parts.name, whole.name));
	}
	return 0;
}
