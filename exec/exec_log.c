// SPDX-License-Identifier: BSD-2-Clause
// Lines for the caller's log, and how many of them clients and programs may cause.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "exec/exec_private.h"

#define LINES_A_SECOND 100u
#define LINES_AT_ONCE  500u
#define NS_PER_S       1000000000ull

uint64_t exec_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

struct timeval exec_timeval(uint64_t ns)
{
	uint64_t us = (ns + 999) / 1000;

	return (struct timeval){
		.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
}

void exec_log(struct exec *exec, int priority, pid_t pid, const char *format, ...)
{
	char text[EXEC_LINE_SIZE + 256];
	va_list args;
	int used;

	used = pid ? snprintf(text, sizeof(text), "%s[%d]: ", exec->options.name, (int)pid)
		   : snprintf(text, sizeof(text), "%s: ", exec->options.name);
	va_start(args, format);
	vsnprintf(text + used, sizeof(text) - (size_t)used, format, args);
	va_end(args);
	for (char *at = text; *at; at++) {
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = '?';
	}
	exec->options.log(exec->options.context, priority, text);
}

bool exec_may_log(struct exec_budget *budget, uint64_t now_ns, uint64_t *left_out)
{
	const uint64_t step = NS_PER_S / LINES_A_SECOND;

	if (budget->next_ns < now_ns)
		budget->next_ns = now_ns;
	if (budget->next_ns - now_ns > (LINES_AT_ONCE - 1) * step) {
		budget->left_out++;
		return false;
	}
	budget->next_ns += step;
	*left_out = budget->left_out;
	budget->left_out = 0;
	return true;
}
