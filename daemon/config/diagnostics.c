// SPDX-License-Identifier: BSD-2-Clause
// Collects complaints.
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
static void make_printable(char *text)
{
	size_t length = strlen(text);

	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
	}
	if (length > MAX_TEXT)
		strcpy(text + MAX_TEXT - 3, "...");
}

static void append(struct complaints *complaints, char *line)
{
	char **lines = reallocarray(complaints->lines, complaints->count + 1, sizeof(*lines));

	if (!lines) {
		free(line);
		return;
	}
	complaints->lines = lines;
	complaints->lines[complaints->count++] = line;
}

__attribute__((format(printf, 6, 0))) static void add(struct complaints *complaints,
	const char *file, unsigned line, unsigned column, const char *kind, const char *format,
	va_list args)
{
	cleanup_free char *text = NULL;
	char place[32] = "", *whole;

	if (complaints->count > MAX_LINES || vasprintf(&text, format, args) < 0)
		return;
	if (complaints->count == MAX_LINES) {
		if (asprintf(&whole, "... and more; mend these first") >= 0)
			append(complaints, whole);
		return;
	}
	make_printable(text);
	if (line)
		snprintf(place, sizeof(place), "%u:%u:", line, column);
	if (asprintf(&whole, "%s%s%s%s%s: %s", file ? file : "", file ? ":" : "", place,
		    file ? " " : "", kind, text) >= 0)
		append(complaints, whole);
}

void complaints_error(struct complaints *complaints, const char *file, unsigned line,
	unsigned column, const char *format, ...)
{
	va_list args;

	complaints->errors++;
	va_start(args, format);
	add(complaints, file, line, column, "error", format, args);
	va_end(args);
}

void complaints_warning(struct complaints *complaints, const char *file, unsigned line,
	unsigned column, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(complaints, file, line, column, "warning", format, args);
	va_end(args);
}

void complaints_fini(struct complaints *complaints)
{
	for (size_t i = 0; i < complaints->count; i++)
		free(complaints->lines[i]);
	free(complaints->lines);
	*complaints = (struct complaints){0};
}
