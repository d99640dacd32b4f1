/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket: accepts connections, checks messages, and answers them from the daemon's
 * state. The protocol is in common/wire.h and docs/protocol.md.
 */
#ifndef SOCKETBOX_DAEMON_CONTROL_H
#define SOCKETBOX_DAEMON_CONTROL_H

#include <event2/event.h>

#include "common/err.h"

struct control;
struct daemon_state;

/* Listens at path, which must be free or a socket that nobody listens on (it is replaced). Neither
 * pointer is owned; both must outlive the object. */
int control_open(struct event_base *base, struct daemon_state *state, const char *path,
	struct control **out, struct err *err);

/* Closes all connections (their claims are released) and removes the path. NULL is allowed. */
void control_close(struct control *control);

#endif
