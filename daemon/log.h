/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon's log: one line per event on stderr, with the kernel's <N> priority in front when the
 * journal reads it (sd-daemon(3)).
 */
#ifndef SOCKETBOX_DAEMON_LOG_H
#define SOCKETBOX_DAEMON_LOG_H

#include <stdbool.h>

void log_open(bool debug); /* debug: also print log_debug's lines */

void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
