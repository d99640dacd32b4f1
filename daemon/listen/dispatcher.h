/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decides, by the route table in force, which service takes an accepted connection, and gives it to
 * that service's delivery. Connections whose TLS name decides are looked into first.
 */
#ifndef SOCKETBOX_DAEMON_LISTEN_DISPATCHER_H
#define SOCKETBOX_DAEMON_LISTEN_DISPATCHER_H

#include <event2/event.h>

#include "daemon/accepted.h"
#include "daemon/config/config.h"
#include "daemon/deliver/delivery.h"
#include "daemon/drains.h"
#include "daemon/routes/route_counters.h"
#include "daemon/routes/route_table.h"

struct judge;

/* Nothing is owned. alone: no engine has decided on these connections before, and counted them.
 * NULL without memory. */
struct judge *judge_new(struct event_base *base, struct deliveries *deliveries,
	const struct drains *drains, bool alone);

/* Builds the tables of a configuration beside those in force. -ENOMEM, -E2BIG. */
int judge_prepare(struct judge *judge, const struct config *config, struct err *err);

/* Puts them in force, or forgets them. The configuration must outlive the judge or the next. */
void judge_commit(struct judge *judge);
void judge_abandon(struct judge *judge);

/* Takes the connection. */
void judge_take(struct judge *judge, struct arrival *arrival);

/* Which route would take a connection with this name (NULL: none). */
uint32_t judge_find(const struct judge *judge, const struct table_packet *packet, const char *name);

/* What has been decided here for route `number`; NULL if there is no such route. */
const struct tally_count *judge_count(const struct judge *judge, uint32_t number);

/* Connections whose ClientHello is waited for; those of them that came before the era. */
size_t judge_waiting(const struct judge *judge);
size_t judge_waiting_before(const struct judge *judge, uint32_t era);

/* Gives the handover what is not decided yet. */
void judge_keep(struct judge *judge, struct handover *handover);

void judge_free(struct judge *judge); /* NULL is allowed */

#endif
