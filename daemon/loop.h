/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The event loop, and how long its turns take. A turn is what happens between the return of one
 * poll and the call of the next: while it lasts, everybody else waits.
 */
#ifndef SOCKETBOX_DAEMON_LOOP_H
#define SOCKETBOX_DAEMON_LOOP_H

#include <event2/event.h>
#include <stdint.h>

/* The turns of some time. wall_ns without cpu_ns is a call that blocked, or a busy machine. */
struct loop_turns {
	uint64_t count;
	uint64_t wall_ns, cpu_ns; /* the longest; these may be two different turns */
};

struct loop_view {
	struct loop_turns all;	  /* since loop_run began */
	struct loop_turns recent; /* of the last 10 to 20 seconds */
};

/* event_base_dispatch, which returns what this returns, with a clock. One loop per process. */
int loop_run(struct event_base *base);

void loop_get_view(struct loop_view *view);

/* The turns since this was last called, or since loop_run began, without the present one. */
struct loop_turns loop_take_turns(void);

#endif
