// SPDX-License-Identifier: BSD-2-Clause
// The PROXY protocol's parser takes any bytes, in pieces of any size: it comes to the same answer
// for all pieces, never asks for what cannot come, and what it reads can be written again.
#include <errno.h>
#include <string.h>

#include "relay/proxy_protocol.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static bool same(const struct addr_endpoint *a, const struct addr_endpoint *b)
{
	return addr_equal(&a->addr, &b->addr) && a->port == b->port;
}

/* Of exactly its size, so that AddressSanitizer sees reads past its end. */
static ssize_t parse_piece(
	const uint8_t *data, size_t size, struct proxy_header *header, size_t *needed)
{
	uint8_t *exact = malloc(size ? size : 1);
	struct err err = {0};
	ssize_t result;

	FUZZ_REQUIRE(exact);
	if (size)
		memcpy(exact, data, size);
	result = proxy_parse(exact, size, header, needed, &err);
	FUZZ_REQUIRE((result < 0) == (err.text[0] != '\0'));
	free(exact);
	return result;
}

static void check_whole(const uint8_t *data, size_t length, const struct proxy_header *header)
{
	struct proxy_header part, again = {0};
	uint8_t encoded[PROXY_ENCODED_MOST];
	size_t needed, size;

	FUZZ_REQUIRE(length <= PROXY_PARSED_MOST);
	for (size_t piece = 0; piece < length; piece++) {
		needed = 0;
		FUZZ_REQUIRE(!parse_piece(data, piece, &part, &needed));
		FUZZ_REQUIRE(needed > piece && needed <= length);
	}
	if (!header->proxied)
		return;
	size = proxy_encode(header->version, &header->source, &header->destination, encoded);
	FUZZ_REQUIRE(size && size <= PROXY_ENCODED_MOST);
	FUZZ_REQUIRE(proxy_parse(encoded, size, &again, &needed, NULL) == (ssize_t)size);
	FUZZ_REQUIRE(again.proxied && again.version == header->version);
	FUZZ_REQUIRE(same(&again.source, &header->source));
	FUZZ_REQUIRE(same(&again.destination, &header->destination));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header header = {0};
	size_t needed = 0;
	ssize_t length = parse_piece(data, size, &header, &needed);

	if (length > 0) {
		FUZZ_REQUIRE((size_t)length <= size);
		check_whole(data, (size_t)length, &header);
	} else if (!length) {
		FUZZ_REQUIRE(needed > size && needed <= PROXY_PARSED_MOST);
	} else {
		FUZZ_REQUIRE(length == -EPROTO);
	}
	return 0;
}
