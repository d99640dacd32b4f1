/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The list of what is wrong with a configuration, for people: every diagnostic is one line
 * "file:line:column: error: text", so that editors can jump to it. Control characters in the text
 * become '?', and a text of more than 1000 bytes is cut.
 */
#ifndef SOCKETBOX_DAEMON_CONFIG_DIAGNOSTICS_H
#define SOCKETBOX_DAEMON_CONFIG_DIAGNOSTICS_H

#include <stddef.h>

/* Zero-initialise; diagnostics_fini frees the lines. */
struct diagnostics {
	char **lines;
	size_t count;
	size_t errors; /* how many of them are errors, the rest are warnings */
};

/* file may be NULL (no place is printed); line 0 leaves line and column out. */
void diagnostics_error(struct diagnostics *diagnostics, const char *file, unsigned line,
	unsigned column, const char *format, ...) __attribute__((format(printf, 5, 6)));
void diagnostics_warning(struct diagnostics *diagnostics, const char *file, unsigned line,
	unsigned column, const char *format, ...) __attribute__((format(printf, 5, 6)));
void diagnostics_fini(struct diagnostics *diagnostics);

#endif
