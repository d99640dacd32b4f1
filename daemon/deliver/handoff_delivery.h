/* SPDX-License-Identifier: BSD-2-Clause */
/* What only a handoff has: receivers that come by the control socket. */
#ifndef SOCKETBOX_DAEMON_DELIVER_HANDOFF_DELIVERY_H
#define SOCKETBOX_DAEMON_DELIVER_HANDOFF_DELIVERY_H

#include "daemon/deliver/delivery.h"

/* Gives the service a receiver: *fd is the daemon's end of a socket pair, which is taken.
 * -EOPNOTSUPP for another kind of delivery, or one whose path has a port. */
int handoff_open(struct delivery *delivery, int *fd, struct err *err);

/* What the names of kept receivers begin with; the service's number follows as %08x and a dot. */
#define HANDOFF_RECEIVER "receiver."

/* Takes a receiver that an earlier daemon kept under that name; delivery may be NULL. */
int handoff_restore(struct delivery *delivery, const char *name, int *fd, struct err *err);

/* Takes a connection that was sent to a receiver, but not taken yet. Where the service knows that
 * receiver no more, the connection is let go of: it may be the receiver's. delivery may be NULL. */
void handoff_retake(struct delivery *delivery, uint64_t receiver, struct accepted *accepted);

#endif
