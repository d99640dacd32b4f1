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

struct dispatcher;

/* Nothing is owned. alone: no engine has decided on these connections before, and counted them.
 * NULL out of memory. */
struct dispatcher *dispatcher_new(struct event_base *base, struct deliveries *deliveries,
	const struct drains *drains, bool alone);

/* Builds the tables of a configuration beside those in force. -ENOMEM, -E2BIG. */
int dispatcher_prepare(struct dispatcher *dispatcher, const struct config *config, struct err *err);

/* Puts them in force, or forgets them. The configuration must outlive the dispatcher or the next.
 */
void dispatcher_commit(struct dispatcher *dispatcher);
void dispatcher_abandon(struct dispatcher *dispatcher);

/* Takes the connection. */
void dispatcher_take(struct dispatcher *dispatcher, struct accepted *accepted);

/* Which route would take a connection with this name (NULL: none). */
uint32_t dispatcher_find(
	const struct dispatcher *dispatcher, const struct table_packet *packet, const char *name);

/* What has been decided here for route `number`; NULL if there is no such route. */
const struct route_count *dispatcher_count(const struct dispatcher *dispatcher, uint32_t number);

/* Connections whose ClientHello is waited for; those of them that came before the generation. */
size_t dispatcher_waiting(const struct dispatcher *dispatcher);
/* Connections that were refused while they waited, because there were too many. */
uint64_t dispatcher_displaced(const struct dispatcher *dispatcher);
size_t dispatcher_waiting_before(const struct dispatcher *dispatcher, uint32_t generation);

/* Gives the fdstore what is not decided yet. */
void dispatcher_save_in_flight(struct dispatcher *dispatcher, struct fdstore *fdstore);

void dispatcher_free(struct dispatcher *dispatcher); /* NULL is allowed */

#endif
