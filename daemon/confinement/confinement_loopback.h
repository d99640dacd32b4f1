/* SPDX-License-Identifier: BSD-2-Clause */
/* Which services may answer clients on the host's loopback. */
#ifndef SOCKETBOX_DAEMON_CONFINEMENT_CONFINEMENT_LOOPBACK_H
#define SOCKETBOX_DAEMON_CONFINEMENT_CONFINEMENT_LOOPBACK_H

#include "common/err.h"
#include "daemon/config/config.h"

/* Makes the map hold the services to which the configuration's routes give UDP ports of loopback
 * addresses, and no others. On failure some may be missing. */
int confinement_loopback_update(int map, const struct config *config, struct err *err);

#endif
