/* SPDX-License-Identifier: BSD-2-Clause */
/* What the user engine has in place of guards: a classic BPF filter, which needs no privilege. */
#ifndef SOCKETBOX_DAEMON_USER_ROUTE_FILTER_H
#define SOCKETBOX_DAEMON_USER_ROUTE_FILTER_H

#include "daemon/routes/coverage.h"

/* Makes the socket, which is bound as `bind` says, drop new connections or packets that no route
 * gives to the service (NULL: all of them); established connections keep what they had. -E2BIG
 * where the routes of the port are too many; -EPERM on machines that forbid it to ordinary users.
 */
int filter_attach(int fd, const struct config *config, const struct config_service *service,
	const struct coverage_bind *bind, struct err *err);

#endif
