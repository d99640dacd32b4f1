/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random numbers of property tests: the seed is new in each run and printed, and
 * SOCKETBOX_TEST_SEED=N repeats a run.
 */
#ifndef SOCKETBOX_TESTS_TEST_SEED_H
#define SOCKETBOX_TESTS_TEST_SEED_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline uint64_t test_seed(void)
{
	const char *text = getenv("SOCKETBOX_TEST_SEED");
	struct timespec now;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = text ? strtoull(text, NULL, 10)
		    : (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec;
	printf("SOCKETBOX_TEST_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

/* splitmix64; less than limit. */
static inline unsigned test_random(uint64_t *seed, unsigned limit)
{
	uint64_t value = *seed += 0x9e3779b97f4a7c15ull;

	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
	value = (value ^ value >> 27) * 0x94d049bb133111ebull;
	return (unsigned)((value ^ value >> 31) % limit);
}

#endif
