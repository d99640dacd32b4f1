/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads systemd's unit files: sections of NAME=VALUE, and the lists and times that stand in them.
 */
#ifndef SOCKETBOX_CLI_IMPORT_UNIT_H
#define SOCKETBOX_CLI_IMPORT_UNIT_H

#include "cli/import/section.h"

/* Adds the values of one section ("Socket"), each as one word; an empty value takes away those
 * before it. -ENOMEM. */
int unit_read(const char *text, const char *name, struct section *out);

/* Splits a value into words, with quotes and backslashes as systemd.syntax(7) has them. False where
 * a quote does not end. */
bool unit_split(const char *text, struct exec_words *out);

/* "5min 20s", "30" (seconds), "infinity" (0) in milliseconds; false if it is none. */
bool unit_time(const char *text, uint64_t *out_ms);

bool unit_bool(const char *text); /* yes, true, on, 1 */

#endif
