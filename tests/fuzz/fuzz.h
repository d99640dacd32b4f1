/* SPDX-License-Identifier: BSD-2-Clause */
/* libFuzzer's entry points, which each fuzzer has; replay.c calls them without libFuzzer. */
#ifndef SOCKETBOX_TESTS_FUZZ_H
#define SOCKETBOX_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What has to be true whatever the input is. */
#define FUZZ_REQUIRE(condition)                                                                 \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

#endif
