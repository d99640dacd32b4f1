/* SPDX-License-Identifier: BSD-2-Clause */
/* A route as one line of YAML: what people are shown, and what its counters are known by. */
#ifndef SOCKETBOX_DAEMON_TEXT_H
#define SOCKETBOX_DAEMON_TEXT_H

#include "daemon/config/config.h"

/* The keys in a fixed order, defaults left out. The caller frees it; NULL out of memory. */
char *text_of_route(
	const struct config_route *route, const char *service, const struct names *names);

#endif
