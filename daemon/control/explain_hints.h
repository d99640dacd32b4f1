/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What explain says about a packet beyond the engine's verdict: what its service needs to get it,
 * and for its UDP answers to come from the address that was asked, without which clients do not
 * take them.
 */
#ifndef SOCKETBOX_DAEMON_CONTROL_EXPLAIN_HINTS_H
#define SOCKETBOX_DAEMON_CONTROL_EXPLAIN_HINTS_H

#include "daemon/claims/claims.h"
#include "daemon/routes/route_table.h"

#define EXPLAIN_HINTS_SIZE 512

/* For a packet of a route whose service is being drained; as below. */
const char *explain_hints_drained(const struct config_route *route, char *text);

/* For a packet that a route gives to a service which has no socket for it. NULL: nothing to say,
 * else text (EXPLAIN_HINTS_SIZE bytes). */
const char *explain_hints_unclaimed(
	const struct config_route *route, const struct table_packet *packet, char *text);

/* For a packet that a socket on the wildcard address takes; as above. Asks the kernel which address
 * an answer without IP_PKTINFO would come from. */
const char *explain_hints_wildcard(
	enum claims_pktinfo pktinfo, const struct table_packet *packet, char *text);

#endif
