/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which capabilities the daemon keeps once it has started, thread by thread. SECURITY.md says what
 * each is for. The bounding set stays, and so does the inheritable one: a program that root's
 * daemon starts, and the daemon that it becomes, have root's rights from their execve(2).
 */
#ifndef SOCKETBOX_DAEMON_CAPABILITIES_H
#define SOCKETBOX_DAEMON_CAPABILITIES_H

#include "common/err.h"

/* Each drops, of the calling thread, what is not listed. */
int capabilities_keep_for_loop(struct err *err);
int capabilities_keep_for_agent(struct err *err);

#endif
