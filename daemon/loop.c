// SPDX-License-Identifier: BSD-2-Clause
// Measures the turns of the event loop. libevent 2.1 calls nobody when its poll returns (evwatch
// comes with 2.2), and a callback cannot tell whether it is the first of its turn. So this file
// defines epoll_wait(2), which libevent calls; dlsym(3) is not needed, since epoll_pwait(2) without
// a mask is the same call.
#include "daemon/loop.h"

#include <stdbool.h>
#include <sys/epoll.h>
#include <time.h>

#define RECENT_NS UINT64_C(10000000000)

/* How exactly the processor's time is known. Its clock is a system call of some 500 ns, which no
 * turn shall cost; the clock of the wall is read in 20. */
#define CPU_GRAIN_NS UINT64_C(1000000)

static struct {
	bool starting, turning;
	int epoll;	      /* of the loop that is measured: others poll here too */
	uint64_t wall_ns;     /* when the present turn began */
	uint64_t cpu_ns;      /* of the thread, when it was last asked for, */
	uint64_t cpu_read_ns; /* which was then */
	uint64_t window_ns;   /* when the present window of RECENT_NS did */
	struct loop_turns all, taken, window, earlier;
} loop = {.epoll = -1};

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t read_cpu(uint64_t now_ns)
{
	uint64_t before = loop.cpu_ns;

	loop.cpu_ns = read_clock(CLOCK_THREAD_CPUTIME_ID);
	loop.cpu_read_ns = now_ns;
	return loop.cpu_ns - before;
}

static void begin_turn(void)
{
	loop.turning = true;
	loop.wall_ns = read_clock(CLOCK_MONOTONIC);
	if (loop.wall_ns - loop.cpu_read_ns >= CPU_GRAIN_NS)
		read_cpu(loop.wall_ns);
}

/* The processor's time of a turn that took so long. Turns of less than a grain since the last
 * reading are in it, too; and a turn cannot have used more than it took. */
static uint64_t cpu_of_turn(uint64_t now_ns, uint64_t wall_ns)
{
	uint64_t cpu_ns = wall_ns < CPU_GRAIN_NS ? wall_ns : read_cpu(now_ns);

	return cpu_ns < wall_ns ? cpu_ns : wall_ns;
}

static void count_turn(struct loop_turns *turns, uint64_t wall_ns, uint64_t cpu_ns)
{
	turns->count++;
	if (wall_ns > turns->wall_ns)
		turns->wall_ns = wall_ns;
	if (cpu_ns > turns->cpu_ns)
		turns->cpu_ns = cpu_ns;
}

static void roll_window(uint64_t now_ns)
{
	if (now_ns - loop.window_ns < RECENT_NS)
		return;
	loop.earlier =
		now_ns - loop.window_ns < 2 * RECENT_NS ? loop.window : (struct loop_turns){0};
	loop.window = (struct loop_turns){0};
	loop.window_ns = now_ns;
}

static void end_turn(void)
{
	uint64_t now_ns = read_clock(CLOCK_MONOTONIC), wall_ns = now_ns - loop.wall_ns;
	uint64_t cpu_ns = cpu_of_turn(now_ns, wall_ns);

	roll_window(now_ns);
	count_turn(&loop.all, wall_ns, cpu_ns);
	count_turn(&loop.taken, wall_ns, cpu_ns);
	count_turn(&loop.window, wall_ns, cpu_ns);
	loop.turning = false;
}

/* Not static: it takes the place of libc's for libevent. */
__attribute__((visibility("default"))) int epoll_wait(
	int epoll, struct epoll_event *events, int size, int timeout_ms)
{
	int result;

	/* The loop polls before it calls anybody. */
	if (loop.starting) {
		loop.starting = false;
		loop.epoll = epoll;
	}
	if (epoll != loop.epoll)
		return epoll_pwait(epoll, events, size, timeout_ms, NULL);
	if (loop.turning)
		end_turn();
	result = epoll_pwait(epoll, events, size, timeout_ms, NULL);
	begin_turn();
	return result;
}

int loop_run(struct event_base *base)
{
	int result;

	loop.starting = true;
	loop.all = loop.taken = loop.window = loop.earlier = (struct loop_turns){0};
	loop.window_ns = read_clock(CLOCK_MONOTONIC);
	result = event_base_dispatch(base);
	loop.starting = loop.turning = false;
	loop.epoll = -1;
	return result;
}

void loop_get_view(struct loop_view *view)
{
	roll_window(read_clock(CLOCK_MONOTONIC));
	view->all = loop.all;
	view->recent = loop.window;
	view->recent.count += loop.earlier.count;
	if (loop.earlier.wall_ns > view->recent.wall_ns)
		view->recent.wall_ns = loop.earlier.wall_ns;
	if (loop.earlier.cpu_ns > view->recent.cpu_ns)
		view->recent.cpu_ns = loop.earlier.cpu_ns;
}

struct loop_turns loop_take_turns(void)
{
	struct loop_turns turns = loop.taken;

	loop.taken = (struct loop_turns){0};
	return turns;
}
