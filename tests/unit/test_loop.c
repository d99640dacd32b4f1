// SPDX-License-Identifier: BSD-2-Clause
// What is counted as a turn of the event loop, and what as waiting.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/loop.h"

#define MS UINT64_C(1000000)

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000 * MS + (uint64_t)now.tv_nsec;
}

static void spin(evutil_socket_t fd, short what, void *context)
{
	uint64_t end = read_clock(CLOCK_THREAD_CPUTIME_ID) + *(const unsigned *)context * MS;

	(void)fd;
	(void)what;
	while (read_clock(CLOCK_THREAD_CPUTIME_ID) < end)
		;
}

static void block(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	usleep(*(const unsigned *)context * 1000);
}

/* As the daemon's watch of claims does: a poll of another descriptor is part of the turn. */
static void poll_another(evutil_socket_t fd, short what, void *context)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event;

	(void)fd;
	(void)what;
	assert_int_equal(0, epoll_wait(epoll, &event, 1, *(const int *)context));
	close(epoll);
}

struct taken {
	struct loop_turns turns[2];
	unsigned count;
};

static void take(evutil_socket_t fd, short what, void *context)
{
	struct taken *taken = context;

	(void)fd;
	(void)what;
	taken->turns[taken->count++] = loop_take_turns();
}

static void after(struct event_base *base, unsigned ms, event_callback_fn function, void *context)
{
	const struct timeval delay = {.tv_usec = (suseconds_t)ms * 1000};

	assert_int_equal(0, event_base_once(base, -1, EV_TIMEOUT, function, context, &delay));
}

static void run(struct event_base *base, struct loop_view *view)
{
	assert_int_equal(1, loop_run(base)); /* no events are left */
	loop_get_view(view);
	event_base_free(base);
}

static void test_waiting_is_no_turn(void **state)
{
	struct event_base *base = event_base_new();
	unsigned none = 0;
	struct loop_view view;

	(void)state;
	after(base, 100, spin, &none);
	run(base, &view);
	assert_in_range(view.all.count, 0, 4);
	assert_true(view.all.wall_ns < 50 * MS);
}

static void test_work_counts_by_both_clocks(void **state)
{
	struct event_base *base = event_base_new();
	unsigned ms = 40, none = 0;
	struct loop_view view;

	(void)state;
	after(base, 1, spin, &ms);
	after(base, 100, spin, &none);
	run(base, &view);
	assert_true(view.all.cpu_ns >= 40 * MS);
	assert_true(view.all.wall_ns >= view.all.cpu_ns);
	assert_true(view.recent.cpu_ns == view.all.cpu_ns);
	assert_true(view.recent.count == view.all.count);
}

static void test_a_call_that_blocks_counts_by_the_wall(void **state)
{
	struct event_base *base = event_base_new();
	unsigned ms = 60, none = 0;
	struct loop_view view;

	(void)state;
	after(base, 1, block, &ms);
	after(base, 100, spin, &none);
	run(base, &view);
	assert_true(view.all.wall_ns >= 60 * MS);
	assert_true(view.all.cpu_ns < 30 * MS);
}

static void test_a_poll_of_another_descriptor_is_part_of_the_turn(void **state)
{
	struct event_base *base = event_base_new();
	int ms = 60;
	unsigned none = 0;
	struct loop_view view;

	(void)state;
	after(base, 1, poll_another, &ms);
	after(base, 100, spin, &none);
	run(base, &view);
	assert_true(view.all.wall_ns >= 60 * MS);
}

static void test_turns_are_taken_once(void **state)
{
	struct event_base *base = event_base_new();
	struct taken taken = {0};
	unsigned ms = 40;
	struct loop_view view;

	(void)state;
	after(base, 1, spin, &ms);
	after(base, 80, take, &taken);
	after(base, 120, take, &taken);
	run(base, &view);
	assert_int_equal(2, taken.count);
	assert_true(taken.turns[0].cpu_ns >= 40 * MS);
	assert_true(taken.turns[1].cpu_ns < 20 * MS);
	assert_true(view.all.cpu_ns >= 40 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waiting_is_no_turn),
		cmocka_unit_test(test_work_counts_by_both_clocks),
		cmocka_unit_test(test_a_call_that_blocks_counts_by_the_wall),
		cmocka_unit_test(test_a_poll_of_another_descriptor_is_part_of_the_turn),
		cmocka_unit_test(test_turns_are_taken_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
