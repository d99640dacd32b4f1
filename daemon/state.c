// SPDX-License-Identifier: BSD-2-Clause
// Makes and frees the parts, begins and ends drains, takes what an earlier daemon left, and leaves
// to the next what is in flight.
#include "daemon/state.h"

#include <errno.h>
#include <stdio.h>

#include "daemon/config_reload.h"
#include "daemon/deliver/handoff_delivery.h"
#include "daemon/deliver/relay_delivery.h"
#include "daemon/log.h"

static void on_state_ready(void *context, uint32_t service)
{
	struct daemon_state *state = context;

	listeners_resume(state->listeners, service);
}

int state_open(struct daemon_state *state, struct event_base *base, struct err *err)
{
	struct engine_info info;

	engine_info(state->engine, &info);
	state->drains = drains_new(state->fdstore);
	if (state->drains)
		state->claims = claims_new(
			base, state->engine, state->confinement, state->drains, state->fdstore);
	if (state->claims)
		state->getsocks = getsocks_new(base, state->claims);
	state->grants = grants_new(state->engine, state->confinement);
	state->deliveries = deliveries_new(base, state->fdstore, on_state_ready, state);
	if (state->drains && state->deliveries)
		state->dispatcher =
			dispatcher_new(base, state->deliveries, state->drains, !info.steers);
	if (state->dispatcher)
		state->listeners = listeners_new(base, state->engine, state->confinement,
			state->dispatcher, state->deliveries, state->drains, state->fdstore);
	if (!state->getsocks || !state->grants || !state->listeners)
		return err_errno(err, -ENOMEM, "starting");
	return 0;
}

/* The engine refuses what is new, where it decides; where it does not, whoever has sockets does. */
static int follow_drain(struct daemon_state *state, uint32_t service, struct err *err)
{
	int result = config_reload_table(state, state->config, err);

	if (!result)
		result = listeners_follow(state->listeners, state->config, err);
	if (!result)
		result = claims_follow(state->claims, service, err);
	return result;
}

/* The drains are again as they were. */
static void go_on(struct daemon_state *state, const struct config_service *service)
{
	struct err err;

	if (follow_drain(state, service->id, &err))
		log_warning("service '%s' may be half drained until the next reload: %s",
			service->name, err.text);
}

int state_drain(struct daemon_state *state, const struct config_service *service, struct err *err)
{
	int result = drains_begin(state->drains, service->id, err);

	if (result)
		return result;
	result = follow_drain(state, service->id, err);
	if (!result)
		return 0;
	drains_drop(state->drains, drains_take(state->drains, service->id));
	go_on(state, service);
	return result;
}

int state_end_drain(
	struct daemon_state *state, const struct config_service *service, struct err *err)
{
	struct drain *drain = drains_take(state->drains, service->id);
	int result = follow_drain(state, service->id, err);

	if (!result) {
		drains_drop(state->drains, drain);
		return 0;
	}
	drains_put_back(state->drains, drain);
	go_on(state, service);
	return result;
}

static void restore_receiver(void *context, const char *name, int *fd)
{
	struct daemon_state *state = context;
	unsigned service = 0;
	struct err err;

	if (sscanf(name, HANDOFF_RECEIVER "%8x.", &service) != 1 ||
		handoff_restore(deliveries_find(state->deliveries, service), name, fd, &err))
		log_debug("%s: not taken", name);
}

static void restore_connection(void *context, struct fdstore_connection *connection)
{
	struct daemon_state *state = context;
	struct delivery *delivery = deliveries_find(state->deliveries, connection->service);

	if (connection->receiver)
		handoff_retake(delivery, connection->receiver, &connection->accepted);
	else if (delivery)
		delivery_retake(delivery, &connection->accepted);
	else
		dispatcher_take(state->dispatcher, &connection->accepted);
}

static void restore_connections(struct daemon_state *state)
{
	fdstore_visit_connections(state->fdstore, restore_connection, state);
	relay_restore(state->deliveries, state->fdstore);
}

void state_restore(struct daemon_state *state)
{
	drains_restore(state->drains);
	claims_restore(state->claims);
	fdstore_visit_inherited(state->fdstore, HANDOFF_RECEIVER, restore_receiver, state);
	restore_connections(state);
	config_reload_reconcile(state);
	fdstore_settle(state->fdstore);
}

void state_save_in_flight(struct daemon_state *state)
{
	dispatcher_save_in_flight(state->dispatcher, state->fdstore);
	deliveries_save_in_flight(state->deliveries, state->fdstore);
}

void state_take_back(struct daemon_state *state)
{
	fdstore_take_back(state->fdstore);
	restore_connections(state);
}

void state_fini(struct daemon_state *state)
{
	listeners_free(state->listeners);
	dispatcher_free(state->dispatcher);
	deliveries_free(state->deliveries);
	getsocks_free(state->getsocks);
	claims_free(state->claims);
	grants_free(state->grants);
	drains_free(state->drains);
	engine_close(state->engine);
	fdstore_free(state->fdstore);
	config_free(state->config);
}
