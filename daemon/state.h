/* SPDX-License-Identifier: BSD-2-Clause */
/* What the daemon is made of. */
#ifndef SOCKETBOX_DAEMON_STATE_H
#define SOCKETBOX_DAEMON_STATE_H

#include <time.h>

#include "daemon/claims/claims.h"
#include "daemon/config/config.h"
#include "daemon/confinement/confinement.h"
#include "daemon/control/getsocks.h"
#include "daemon/deliver/delivery.h"
#include "daemon/drains.h"
#include "daemon/engine.h"
#include "daemon/fdstore/fdstore.h"
#include "daemon/grants.h"
#include "daemon/listen/dispatcher.h"
#include "daemon/listen/listeners.h"

struct daemon_state {
	const char *config_path;
	const char *control_path;
	struct config *config;
	struct engine *engine;
	struct fdstore *fdstore; /* NULL: nothing outlives the process */
	struct drains *drains;
	struct confinement *confinement; /* NULL: there is none */
	struct confinement_info confinement_info;
	struct claims *claims;
	struct getsocks *getsocks;
	struct deliveries *deliveries;
	struct dispatcher *dispatcher;
	struct listeners *listeners;
	struct grants *grants;
	time_t started, loaded; /* seconds since the epoch */
	unsigned reloads;	/* successful ones */
	size_t shapes;		/* of the table in force, see common/match.h */
};

/* Makes the parts that serve an engine, which state->engine is already. On failure state_fini frees
 * what there is. The state must stay where it is. */
int state_open(struct daemon_state *state, struct event_base *base, struct err *err);

/* Begins or ends to drain a service, which must not be, or must be, drained. On failure it goes on
 * as before, and may be tried again. */
int state_drain(struct daemon_state *state, const struct config_service *service, struct err *err);
int state_end_drain(
	struct daemon_state *state, const struct config_service *service, struct err *err);

/* After the first load: takes what an earlier daemon left, and lets go of what nobody needs. */
void state_restore(struct daemon_state *state);

/* Gives all connections in hand to the fdstore: the process is about to end, or to become another
 * daemon. If it does not after all, state_take_back. */
void state_save_in_flight(struct daemon_state *state);
void state_take_back(struct daemon_state *state);

void state_fini(struct daemon_state *state);

#endif
