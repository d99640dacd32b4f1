/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs a function in several threads that begin at once. */
#ifndef SOCKETBOX_TESTS_CROWD_H
#define SOCKETBOX_TESTS_CROWD_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define CROWD 4

/* cmocka's assertions are for the main thread. */
#define REQUIRE(condition)                                                                      \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

struct crowd_member {
	void (*run)(unsigned number);
	unsigned number;
	pthread_barrier_t *start;
	pthread_t thread;
};

static inline void *crowd_main(void *context)
{
	struct crowd_member *member = context;

	pthread_barrier_wait(member->start);
	member->run(member->number);
	return NULL;
}

/* Each function in `CROWD` threads, which get the numbers 0 to CROWD - 1. */
static inline void crowd_run(void (*const *functions)(unsigned number), unsigned count)
{
	struct crowd_member members[4 * CROWD];
	pthread_barrier_t start;

	REQUIRE(count <= 4 && !pthread_barrier_init(&start, NULL, count * CROWD));
	for (unsigned i = 0; i < count * CROWD; i++) {
		members[i] = (struct crowd_member){functions[i / CROWD], i % CROWD, &start, 0};
		REQUIRE(!pthread_create(&members[i].thread, NULL, crowd_main, &members[i]));
	}
	for (unsigned i = 0; i < count * CROWD; i++)
		pthread_join(members[i].thread, NULL);
	pthread_barrier_destroy(&start);
}

#endif
