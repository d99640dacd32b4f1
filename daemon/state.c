// SPDX-License-Identifier: BSD-2-Clause
// Loads configurations: read, make what the new one needs beside what runs, put it in force, then
// let go of the old one. Takes what an earlier daemon left, and leaves to the next what is in hand.
#include "daemon/state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/deliver/handoff_delivery.h"
#include "daemon/deliver/relay_delivery.h"
#include "daemon/log.h"
#include "daemon/routes/route_table.h"

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

static void refuse_drained(
	const struct daemon_state *state, const struct config *config, struct table *table)
{
	for (size_t r = 0; r < config->route_count; r++) {
		const struct config_service *service = config->routes[r].service;

		if (service && drains_has(state->drains, service->id))
			table_drain(table, (uint32_t)r);
	}
}

static int install_state(struct daemon_state *state, const struct config *config, struct err *err)
{
	struct table table = {0};
	int result = table_build(config, TABLE_OF_PACKETS, &table, err);

	if (!result) {
		refuse_drained(state, config, &table);
		result = engine_install(state->engine, &table, err);
	}
	if (!result)
		state->shapes = table.cells->header.shape_count;
	table_fini(&table);
	return result;
}

/* Forgets what was made for a configuration that does not come into force: nothing may point into
 * it any more. */
static void abandon_state(struct daemon_state *state)
{
	dispatcher_abandon(state->dispatcher);
	if (state->config)
		deliveries_configure(state->deliveries, state->config);
}

/* Makes what the configuration needs; on failure there is nothing but what there was before. The
 * engine's table comes last, since it cannot be taken back. */
static int prepare_state(
	struct daemon_state *state, const struct config *config, struct diagnostics *diagnostics)
{
	struct err err;
	int result = dispatcher_prepare(state->dispatcher, config, &err);

	if (!result)
		result = deliveries_prepare(state->deliveries, config, &err);
	if (result) {
		diagnostics_error(diagnostics, NULL, 0, 0, "%s", err.text);
		abandon_state(state);
		return result;
	}
	result = listeners_prepare(state->listeners, config, diagnostics);
	if (!result) {
		result = install_state(state, config, &err);
		if (result) {
			diagnostics_error(diagnostics, NULL, 0, 0, "%s", err.text);
			listeners_abandon(state->listeners);
		}
	}
	if (result)
		abandon_state(state);
	return result;
}

/* Packets of a service find its claimed sockets, or the daemon's listeners, as its delivery says.
 * Sockets of a service that the configuration does not have are found by no route. */
static bool is_due(void *context, const struct steer_key *key)
{
	const struct daemon_state *state = context;
	const struct config_service *service = config_service_by_id(state->config, key->service);

	if (!service)
		return true;
	if (service->delivery == CONFIG_CLAIM)
		return key->port != STEER_ANY_PORT;
	return listeners_have_key(state->listeners, key);
}

/* Takes sockets out of the engine's map that an earlier configuration, or an earlier daemon's, left
 * there: their programs may live on, and would go on getting the service's connections. */
static void reconcile_state(struct daemon_state *state)
{
	int result = engine_reconcile(state->engine, is_due, state);

	if (result)
		log_warning(
			"programs of services that are not claimed any more may go on serving: %s",
			strerror(-result));
}

static void commit_state(struct daemon_state *state, struct config *config)
{
	struct config *old = state->config;

	state->config = config;
	confinement_configure(state->confinement, config);
	drains_configure(state->drains, config);
	claims_configure(state->claims, config);
	getsocks_configure(state->getsocks, config);
	listeners_release(state->listeners, config);
	deliveries_configure(state->deliveries, config);
	dispatcher_commit(state->dispatcher);
	listeners_commit(state->listeners, config);
	grants_configure(state->grants, config);
	reconcile_state(state);
	config_free(old);
	if (old)
		state->reloads++;
	state->loaded = time(NULL);
}

int state_load(struct daemon_state *state, struct diagnostics *diagnostics)
{
	struct config *config = NULL;
	int result = config_load(state->config_path, &config, diagnostics);

	if (result)
		return result;
	result = prepare_state(state, config, diagnostics);
	if (result) {
		config_free(config);
		return result;
	}
	if (state->config && config->engine != state->config->engine)
		diagnostics_warning(diagnostics, NULL, 0, 0,
			"'engine' has changed; restart socketboxd for that");
	if (state->config && config->confinement != state->config->confinement)
		diagnostics_warning(diagnostics, NULL, 0, 0,
			"'confinement' has changed; restart socketboxd for that");
	commit_state(state, config);
	return 0;
}

/* The engine refuses what is new, where it decides; where it does not, whoever has sockets does. */
static int follow_drain(struct daemon_state *state, uint32_t service, struct err *err)
{
	int result = install_state(state, state->config, err);

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
	reconcile_state(state);
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
