/* SPDX-License-Identifier: BSD-2-Clause */
/* What only a handoff has: receivers that come by the control socket. */
#ifndef SOCKETBOX_DAEMON_HANDOFF_H
#define SOCKETBOX_DAEMON_HANDOFF_H

#include "daemon/deliver/delivery.h"

/* Gives the service a receiver: *fd is the daemon's end of a socket pair, which is taken.
 * -EOPNOTSUPP for another kind of delivery, or one whose path has a port. */
int handoff_open(struct delivery *delivery, int *fd, struct err *err);

#endif
