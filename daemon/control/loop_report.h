/* SPDX-License-Identifier: BSD-2-Clause */
/* What status and TURNS tell of the event loop, as JSON; docs/protocol.md describes the keys. */
#ifndef SOCKETBOX_DAEMON_LOOP_REPORT_H
#define SOCKETBOX_DAEMON_LOOP_REPORT_H

#include <jansson.h>

#include "daemon/loop.h"

/* Each returns an object that the caller owns, or NULL out of memory. */
json_t *loop_report(void);
json_t *loop_report_turns(const struct loop_turns *turns);

#endif
