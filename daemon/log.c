// SPDX-License-Identifier: BSD-2-Clause
// Writes log lines to stderr, each with one write so that lines of several writers never mix.
#include "daemon/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

static bool print_debug, print_priority;

void log_open(bool debug)
{
	print_debug = debug;
	print_priority = getenv("JOURNAL_STREAM") != NULL;
}

__attribute__((format(printf, 2, 0))) static void write_line(
	int priority, const char *format, va_list args)
{
	int saved = errno, used = 0;
	char line[1200];
	ssize_t ignored;

	used = print_priority ? snprintf(line, sizeof(line), "<%d>", priority)
			      : snprintf(line, sizeof(line), "socketboxd: ");
	vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, args);
	strcat(line, "\n");
	ignored = write(STDERR_FILENO, line, strlen(line));
	(void)ignored;
	errno = saved;
}

#define LOG_FUNCTION(name, priority, wanted)        \
	void log_##name(const char *format, ...)    \
	{                                           \
		va_list args;                       \
                                                    \
		if (!(wanted))                      \
			return;                     \
		va_start(args, format);             \
		write_line(priority, format, args); \
		va_end(args);                       \
	}

LOG_FUNCTION(debug, LOG_DEBUG, print_debug)
LOG_FUNCTION(info, LOG_INFO, true)
LOG_FUNCTION(warning, LOG_WARNING, true)
LOG_FUNCTION(error, LOG_ERR, true)
