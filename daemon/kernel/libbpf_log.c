// SPDX-License-Identifier: BSD-2-Clause
// Passes what libbpf prints to the log, a line at a time.
#include "daemon/kernel/libbpf_log.h"

#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "daemon/log.h"

__attribute__((format(printf, 2, 0))) static int print_libbpf(
	enum libbpf_print_level level, const char *format, va_list args)
{
	cleanup_free char *text = NULL;
	char *line, *rest;

	if (level == LIBBPF_DEBUG)
		return 0;
	if (vasprintf(&text, format, args) < 0) {
		text = NULL;
		return 0;
	}
	/* The verifier's log is one text of many lines. */
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		log_debug("libbpf: %s", line);
	return 0;
}

void libbpf_log_open(void)
{
	libbpf_set_print(print_libbpf);
}
