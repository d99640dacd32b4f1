// SPDX-License-Identifier: BSD-2-Clause
// Turns the clock of the event loop into JSON.
#include "daemon/control/loop_report.h"

static double ns_to_ms(uint64_t nanoseconds)
{
	return (double)nanoseconds / 1e6;
}

json_t *loop_report(void)
{
	struct loop_view view;

	loop_get_view(&view);
	return json_pack("{s:I, s:f, s:f, s:f, s:f}", "turns", (json_int_t)view.all.count,
		"longest_ms", ns_to_ms(view.all.wall_ns), "longest_cpu_ms",
		ns_to_ms(view.all.cpu_ns), "recent_ms", ns_to_ms(view.recent.wall_ns),
		"recent_cpu_ms", ns_to_ms(view.recent.cpu_ns));
}

json_t *loop_report_turns(const struct loop_turns *turns)
{
	return json_pack("{s:I, s:f, s:f}", "turns", (json_int_t)turns->count, "longest_ms",
		ns_to_ms(turns->wall_ns), "longest_cpu_ms", ns_to_ms(turns->cpu_ns));
}
