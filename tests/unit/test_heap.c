// SPDX-License-Identifier: BSD-2-Clause
// The heap gives what sorting gives.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/limits/heap.h"
#include "tests/unit/test_seed.h"

#define THINGS 200

struct thing {
	int value;
	bool in;
	struct heap_node node;
};

static bool thing_before(const struct heap_node *a, const struct heap_node *b)
{
	return heap_object_const(a, struct thing, node)->value <
	       heap_object_const(b, struct thing, node)->value;
}

static int by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void assert_sorted_like(const struct heap *heap, const struct thing *things)
{
	const struct heap_node *list[20];
	int values[THINGS];
	size_t count = 0, listed = heap_list_first(heap, list, 20);

	for (size_t i = 0; i < THINGS; i++) {
		if (things[i].in)
			values[count++] = things[i].value;
	}
	qsort(values, count, sizeof(*values), by_value);
	assert_int_equal(heap->count, count);
	assert_int_equal(listed, count < 20 ? count : 20);
	for (size_t i = 0; i < listed; i++)
		assert_int_equal(heap_object_const(list[i], struct thing, node)->value, values[i]);
	if (count)
		assert_int_equal(
			heap_object_const(heap->first, struct thing, node)->value, values[0]);
}

static void agrees_with_sorting(void **state)
{
	static struct thing things[THINGS];
	struct heap heap = {.before = thing_before};
	uint64_t seed = test_seed();

	(void)state;
	for (unsigned step = 0; step < 50000; step++) {
		struct thing *thing = &things[test_random(&seed, THINGS)];

		if (!thing->in) {
			thing->value = (int)test_random(&seed, 50);
			heap_insert(&heap, &thing->node);
			thing->in = true;
		} else if (test_random(&seed, 3)) {
			thing->value = (int)test_random(&seed, 50);
			heap_update(&heap, &thing->node);
		} else {
			heap_remove(&heap, &thing->node);
			thing->in = false;
		}
		assert_sorted_like(&heap, things);
	}
}

static void empty_heap_lists_nothing(void **state)
{
	struct heap heap = {.before = thing_before};
	const struct heap_node *list[1];

	(void)state;
	assert_int_equal(heap_list_first(&heap, list, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_sorting),
		cmocka_unit_test(empty_heap_lists_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
