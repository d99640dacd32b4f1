/* SPDX-License-Identifier: BSD-2-Clause */
/* The messages of the control protocol: checks them, carries them out, answers. */
#ifndef SOCKETBOX_DAEMON_REQUESTS_H
#define SOCKETBOX_DAEMON_REQUESTS_H

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
	/* A status that is being written for the peer, and the number of its request: nothing more
	 * is read from the peer until requests_continue has answered. NULL: none is. */
	struct status_writer *status;
	uint32_t status_request;
};

/* Reads one message from the peer and answers it. Nonzero: the connection is over, because the peer
 * closed it, or does not read its answers, or sends what is no message of the protocol. */
int requests_serve(struct daemon_state *state, struct requests_peer *peer);

/* Writes on at peer->status, which must not be NULL, for some milliseconds, and answers when it is
 * whole: it is NULL then. Nonzero as requests_serve. */
int requests_continue(struct daemon_state *state, struct requests_peer *peer);

/* Ends what is under way for a peer whose connection is over. */
void requests_abandon(struct requests_peer *peer);

#endif
