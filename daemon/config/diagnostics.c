// SPDX-License-Identifier: BSD-2-Clause
// Collects diagnostics.
#include "daemon/config/diagnostics.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

/* More than anybody reads; the count of errors goes on. */
#define MAX_LINES 100

/* Longer ones quote values that nobody reads to their end. */
#define MAX_TEXT 1000

/* Values are quoted as they are in the file: one must not end the line, or steer a terminal. */
static void make_diagnostic_printable(char *text)
{
	size_t length = strlen(text);

	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
	}
	if (length > MAX_TEXT)
		strcpy(text + MAX_TEXT - 3, "...");
}

static void append_diagnostic(struct diagnostics *diagnostics, char *line)
{
	char **lines = reallocarray(diagnostics->lines, diagnostics->count + 1, sizeof(*lines));

	if (!lines) {
		free(line);
		return;
	}
	diagnostics->lines = lines;
	diagnostics->lines[diagnostics->count++] = line;
}

__attribute__((format(printf, 6, 0))) static void add(struct diagnostics *diagnostics,
	const char *file, unsigned line, unsigned column, const char *kind, const char *format,
	va_list args)
{
	cleanup_free char *text = NULL;
	char place[32] = "", *whole;

	if (diagnostics->count > MAX_LINES || vasprintf(&text, format, args) < 0)
		return;
	if (diagnostics->count == MAX_LINES) {
		if (asprintf(&whole, "... and more; mend these first") >= 0)
			append_diagnostic(diagnostics, whole);
		return;
	}
	make_diagnostic_printable(text);
	if (line)
		snprintf(place, sizeof(place), "%u:%u:", line, column);
	if (asprintf(&whole, "%s%s%s%s%s: %s", file ? file : "", file ? ":" : "", place,
		    file ? " " : "", kind, text) >= 0)
		append_diagnostic(diagnostics, whole);
}

void diagnostics_error(struct diagnostics *diagnostics, const char *file, unsigned line,
	unsigned column, const char *format, ...)
{
	va_list args;

	diagnostics->errors++;
	va_start(args, format);
	add(diagnostics, file, line, column, "error", format, args);
	va_end(args);
}

void diagnostics_warning(struct diagnostics *diagnostics, const char *file, unsigned line,
	unsigned column, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(diagnostics, file, line, column, "warning", format, args);
	va_end(args);
}

void diagnostics_fini(struct diagnostics *diagnostics)
{
	for (size_t i = 0; i < diagnostics->count; i++)
		free(diagnostics->lines[i]);
	free(diagnostics->lines);
	*diagnostics = (struct diagnostics){0};
}
