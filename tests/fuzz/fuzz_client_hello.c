// SPDX-License-Identifier: BSD-2-Clause
// The first bytes of a connection may be anything. What is read of them must not depend on how
// they arrive: once there is an answer, more bytes do not change it.
#include <string.h>

#include "daemon/listen/client_hello.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

/* A copy of exactly that size, so that AddressSanitizer sees reads past its end. */
static enum client_hello read_exact(
	const uint8_t *data, size_t size, char name[NAMES_MAX_LENGTH + 1])
{
	uint8_t *copy = malloc(size ? size : 1);
	enum client_hello found;

	FUZZ_REQUIRE(copy);
	memcpy(copy, data, size);
	found = client_hello_read(copy, size, name);
	free(copy);
	return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char whole_name[NAMES_MAX_LENGTH + 1] = "", name[NAMES_MAX_LENGTH + 1] = "";
	enum client_hello whole = read_exact(data, size, whole_name), part;
	size_t step = size / 6 + 1;

	if (whole == CLIENT_HELLO_NAMED)
		FUZZ_REQUIRE(!names_check(whole_name, NULL));
	for (size_t length = 0; length < size; length += step) {
		part = read_exact(data, length, name);
		FUZZ_REQUIRE(part == CLIENT_HELLO_MORE || part == whole);
		FUZZ_REQUIRE(part != CLIENT_HELLO_NAMED || !strcmp(name, whole_name));
	}
	return 0;
}
