/* SPDX-License-Identifier: BSD-2-Clause */
/* What only relays have: connections that are under way when the daemon is replaced. */
#ifndef SOCKETBOX_DAEMON_DELIVER_RELAY_DELIVERY_H
#define SOCKETBOX_DAEMON_DELIVER_RELAY_DELIVERY_H

#include "daemon/deliver/delivery.h"

/* Goes on with the connections that the relays of an earlier daemon gave to the fdstore. Those of
 * a service that is no relay any more are reset. */
void relay_restore(const struct deliveries *deliveries, struct fdstore *fdstore);

#endif
