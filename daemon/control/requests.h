/* SPDX-License-Identifier: BSD-2-Clause */
/* The messages of the control protocol: checks them, carries them out, answers. */
#ifndef SOCKETBOX_DAEMON_REQUESTS_H
#define SOCKETBOX_DAEMON_REQUESTS_H

#include "common/wire.h"
#include "daemon/control/accounts.h"
#include "daemon/control/peer.h"
#include "daemon/state.h"

struct requests_peer {
	int fd;
	struct peer credentials;
	struct account *account;      /* NULL: nothing is counted */
	char service[WIRE_NAME_SIZE]; /* empty until the peer has greeted */
};

/* Reads one message from the peer and answers it. Nonzero: the connection is over, because the peer
 * closed it, or does not read its answers, or sends what is no message of the protocol. */
int requests_serve(struct daemon_state *state, struct requests_peer *peer);

#endif
