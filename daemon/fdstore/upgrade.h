/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SIGUSR2: the daemon's program is executed anew, in the same process, with the same arguments;
 * what the fdstore keeps goes with it. The program at the daemon's path may be another by then.
 * Before that a child of it has to say that it can start (--check), so that a broken one changes
 * nothing.
 */
#ifndef SOCKETBOX_DAEMON_FDSTORE_UPGRADE_H
#define SOCKETBOX_DAEMON_FDSTORE_UPGRADE_H

#include <event2/event.h>

#include "common/err.h"

struct upgrade;
struct daemon_state;

/* argv is main's, and must live as long as the object; nothing is owned. Call it before the working
 * directory changes, and before children are started: those that there are already were the earlier
 * program's, and are waited for when they end. NULL out of memory. */
struct upgrade *upgrade_new(struct event_base *base, struct daemon_state *state, char **argv);

/* Begins. Whatever goes wrong is logged, and this daemon goes on; if nothing does, it does not
 * return to the event loop. */
void upgrade_begin(struct upgrade *upgrade);

/* sigprocmask(2) for the signals that would end a program which does not catch them yet, but are
 * meant for one that does: they wait until it does. */
void upgrade_block_signals(int how);

void upgrade_free(struct upgrade *upgrade); /* NULL is allowed */

#endif
