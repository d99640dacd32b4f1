/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the daemon tells people, as JSON: status, explain and the outcome of a reload or drain.
 * docs/protocol.md describes the keys.
 */
#ifndef SOCKETBOX_DAEMON_REPORT_H
#define SOCKETBOX_DAEMON_REPORT_H

#include <jansson.h>

#include "daemon/state.h"

/* Each returns an object that the caller owns, or NULL out of memory. */

/* All of a status but its services and routes. */
json_t *report_whole(struct daemon_state *state);
json_t *report_service(struct daemon_state *state, const struct config_service *service);
/* number is below config->route_count. */
json_t *report_route(struct daemon_state *state, uint32_t number);
json_t *report_reload(int result, const struct diagnostics *diagnostics);

/* changed: the request has begun or ended it. */
json_t *report_drain(
	struct daemon_state *state, const struct config_service *service, bool changed);

/* Asks the engine what it would do with the packet. NULL with *err set if it cannot say. */
json_t *report_explain(
	struct daemon_state *state, const struct table_packet *packet, struct err *err);

#endif
