/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Gives HAProxy its listening sockets as its own predecessor would: `haproxy -x PATH` connects to a
 * Unix stream socket, asks "_getsocks", and takes every socket whose address one of its plain
 * "bind" lines names (HAProxy, doc/management.txt on -x; the exchange is in src/sock.c and
 * src/cli.c).
 */
#ifndef SOCKETBOX_DAEMON_GETSOCKS_H
#define SOCKETBOX_DAEMON_GETSOCKS_H

#include <event2/event.h>

#include "daemon/claims/claims.h"
#include "daemon/config/config.h"

struct getsocks;

/* Nothing is owned. NULL out of memory. */
struct getsocks *getsocks_new(struct event_base *base, struct claims *claims);

/* Listens where services of the configuration say `getsocks`, and nowhere else. A path that cannot
 * be listened at is logged. The configuration must outlive the object or the next call. */
void getsocks_configure(struct getsocks *getsocks, const struct config *config);

void getsocks_free(struct getsocks *getsocks); /* NULL is allowed */

#endif
