/* SPDX-License-Identifier: BSD-2-Clause */
/* --listen-fds: claims what a service's routes cover, for programs that take sockets from their
 * parent. */
#ifndef SOCKETBOX_CLI_RUN_CLAIM_FOR_LISTEN_FDS_H
#define SOCKETBOX_CLI_RUN_CLAIM_FOR_LISTEN_FDS_H

#include "cli/listen_fds.h"
#include "common/claim_client.h"

/* One wildcard socket per protocol and port, in the order of the routes: AF_INET6 for both
 * families, or AF_INET where the routes are IPv4 only; named such as "tcp-443". Ranges of ports are
 * refused. */
int claim_for_listen_fds(struct claim_client *client, struct listen_fds *sockets, struct err *err);

#endif
