/* SPDX-License-Identifier: BSD-2-Clause */
/* The messages of the control protocol: checks them, carries them out, answers. */
#ifndef SOCKETBOX_DAEMON_REQUESTS_H
#define SOCKETBOX_DAEMON_REQUESTS_H

#include <stdbool.h>

#include "common/wire.h"
#include "daemon/control/accounts.h"
#include "daemon/control/peer.h"
#include "daemon/state.h"

struct status_writer;

struct requests_peer {
	int fd;
	struct peer credentials;
	struct account *account;      /* NULL: nothing is counted */
	char service[WIRE_NAME_SIZE]; /* empty until the peer has greeted */
	/* The peer has asked for a status, by the request of this number: nothing more is read from
	 * it until requests_continue has answered. */
	bool asks_status;
	uint32_t status_request;
	struct status_writer *status; /* NULL until its turn comes */
};

/* Reads one message from the peer and answers it. Nonzero: the connection is over, because the peer
 * closed it, or does not read its answers, or sends what is no message of the protocol. */
int requests_serve(struct daemon_state *state, struct requests_peer *peer);

/* Writes the status that peer->asks_status is about, for some milliseconds, and answers when it is
 * whole: asks_status is false then. Nonzero as requests_serve. */
int requests_continue(struct daemon_state *state, struct requests_peer *peer);

/* Ends what is under way for a peer whose connection is over. */
void requests_abandon(struct requests_peer *peer);

#endif
