/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon's two threads, and what each may do. */
#ifndef SOCKETBOX_DAEMON_PRIVILEGES_H
#define SOCKETBOX_DAEMON_PRIVILEGES_H

#include <stdbool.h>

/* From now on programs are started by the agent. False, and a warning, where there can be none:
 * then the event loop has to keep what they need. Call it before the first program is started. */
bool privileges_part(void);

/* Drops what neither the event loop, which is the calling thread, nor the agent needs any more once
 * the daemon has started. */
void privileges_drop(void);

#endif
