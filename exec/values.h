/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The small texts that settings are made of. Pure, but for value_banner, which may read a file.
 * Each returns 0, or -EINVAL with a sentence that quotes the text and shows what to write.
 */
#ifndef SOCKETBOX_EXEC_VALUES_H
#define SOCKETBOX_EXEC_VALUES_H

#include "exec/exec_settings.h"

/* A whole number in least..most; `what` names it ("a nice value"). */
int value_number(
	const char *text, long least, long most, const char *what, long *out, struct err *err);

/* "500ms", "10s", "2m", "1h" or "0", up to a week. */
int value_duration(const char *text, uint32_t *out_ms, struct err *err);

/* "50/s", "100/m", "1000/h", with " burst 200" behind it. Without: burst is the count. */
int value_rate(const char *text, struct exec_rate *out, struct err *err);

/* "nofile=1024", "core=0:unlimited", "as=512M". */
int value_rlimit(const char *text, struct exec_rlimit *out, struct err *err);

/* "TERM", "SIGTERM" or "15". */
int value_signal(const char *text, int *out, struct err *err);

/* The text itself, or after '@' the path of a file whose contents it is. *out is the caller's. */
int value_banner(const char *text, char **out, struct err *err);

/* One of the words, by its index. The list ends with NULL. */
int value_word(const char *text, const char *const *words, unsigned *out, struct err *err);

#endif
