/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The terminal while top has it: another page than the shell's, without a cursor, keys come one by
 * one and are not echoed. However the program ends, but for signals that nobody can catch, the
 * terminal is then as it was.
 */
#ifndef SOCKETBOX_CLI_TOP_SCREEN_H
#define SOCKETBOX_CLI_TOP_SCREEN_H

#include <stddef.h>
#include <stdint.h>

/* -errno where standard output is no terminal. */
int screen_open(void);
void screen_close(void);

void screen_size(unsigned *width, unsigned *height);
void screen_write(const char *text, size_t length);

enum { SCREEN_TIME = 0, SCREEN_REDRAW = -1, SCREEN_END = -2 };

/* Waits so long for a key, which it returns, or returns one of the above: the time is over; the
 * window has changed; the terminal is gone. A signal that ends the program is let through when the
 * terminal is restored, one that stops it does when it is. */
int screen_wait(int64_t ms);

#endif
