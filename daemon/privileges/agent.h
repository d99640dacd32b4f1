/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A second thread, which does what the event loop's may not: it starts programs and becomes
 * another. Capabilities, system call filters and no_new_privs belong to threads, and are inherited
 * by what a thread starts; so what the agent starts has nothing of the event loop's restrictions.
 * Both never run at a time: one thread's rules for data go on to hold.
 */
#ifndef SOCKETBOX_DAEMON_AGENT_H
#define SOCKETBOX_DAEMON_AGENT_H

#include "common/err.h"

/* Call it once. The thread has all signals blocked, and ends with the process. */
int agent_start(struct err *err);

/* Calls function(argument) in that thread, and returns when it has returned; without the thread, or
 * in it, just calls it. Not for several threads at a time. */
void agent_run(void (*function)(void *argument), void *argument);

#endif
