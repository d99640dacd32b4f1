// SPDX-License-Identifier: BSD-2-Clause
// Reads a configuration, has each part prepare for it, and then commit it or abandon it.
#include "daemon/config_reload.h"

#include <string.h>

#include "daemon/log.h"
#include "daemon/routes/route_table.h"

static void refuse_drained(
	const struct daemon_state *state, const struct config *config, struct table *table)
{
	for (size_t r = 0; r < config->route_count; r++) {
		const struct config_service *service = config->routes[r].service;

		if (service && drains_has(state->drains, service->id))
			table_drain(table, (uint32_t)r);
	}
}

int config_reload_table(struct daemon_state *state, const struct config *config, struct err *err)
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

void config_reload_reconcile(struct daemon_state *state)
{
	int result = engine_reconcile(state->engine, is_due, state);

	if (result)
		log_warning(
			"programs of services that are not claimed any more may go on serving: %s",
			strerror(-result));
}

static int complain(int result, const struct err *err, struct diagnostics *diagnostics)
{
	if (result)
		diagnostics_error(diagnostics, NULL, 0, 0, "%s", err->text);
	return result;
}

static int prepare_deliveries(
	struct daemon_state *state, const struct config *config, struct diagnostics *diagnostics)
{
	struct err err;

	return complain(deliveries_prepare(state->deliveries, config, &err), &err, diagnostics);
}

static void commit_deliveries(struct daemon_state *state, const struct config *config)
{
	/* A delivery that goes must not go on having a listening socket. */
	listeners_release(state->listeners, config);
	deliveries_commit(state->deliveries, config);
}

static void abandon_deliveries(struct daemon_state *state)
{
	deliveries_abandon(state->deliveries);
}

static int prepare_dispatcher(
	struct daemon_state *state, const struct config *config, struct diagnostics *diagnostics)
{
	struct err err;

	return complain(dispatcher_prepare(state->dispatcher, config, &err), &err, diagnostics);
}

static void commit_dispatcher(struct daemon_state *state, const struct config *config)
{
	(void)config;
	dispatcher_commit(state->dispatcher);
}

static void abandon_dispatcher(struct daemon_state *state)
{
	dispatcher_abandon(state->dispatcher);
}

static int prepare_listeners(
	struct daemon_state *state, const struct config *config, struct diagnostics *diagnostics)
{
	return listeners_prepare(state->listeners, config, diagnostics);
}

static void commit_listeners(struct daemon_state *state, const struct config *config)
{
	listeners_commit(state->listeners, config);
}

static void abandon_listeners(struct daemon_state *state)
{
	listeners_abandon(state->listeners);
}

static int prepare_table(
	struct daemon_state *state, const struct config *config, struct diagnostics *diagnostics)
{
	struct err err;

	return complain(config_reload_table(state, config, &err), &err, diagnostics);
}

static void commit_others(struct daemon_state *state, const struct config *config)
{
	confinement_configure(state->confinement, config);
	drains_configure(state->drains, config);
	claims_configure(state->claims, config);
	getsocks_configure(state->getsocks, config);
	grants_configure(state->grants, config);
}

static void commit_socket_map(struct daemon_state *state, const struct config *config)
{
	(void)config;
	config_reload_reconcile(state);
}

/* In the order in which they prepare and commit; they abandon in the opposite one. A part is not
 * asked to abandon what it failed to prepare. NULL: there is nothing to do. */
static const struct {
	int (*prepare)(struct daemon_state *state, const struct config *config,
		struct diagnostics *diagnostics);
	void (*commit)(struct daemon_state *state, const struct config *config);
	void (*abandon)(struct daemon_state *state);
} parts[] = {
	{NULL, commit_others, NULL},
	{prepare_deliveries, commit_deliveries, abandon_deliveries},
	/* It finds deliveries, and listeners give it connections. */
	{prepare_dispatcher, commit_dispatcher, abandon_dispatcher},
	{prepare_listeners, commit_listeners, abandon_listeners},
	/* The last to prepare, since packets are decided by it from then on. */
	{prepare_table, NULL, NULL},
	/* The last to commit: it looks at what the others have become. */
	{NULL, commit_socket_map, NULL},
};

#define PART_COUNT (sizeof(parts) / sizeof(*parts))

static int prepare_all(
	struct daemon_state *state, const struct config *config, struct diagnostics *diagnostics)
{
	for (size_t i = 0; i < PART_COUNT; i++) {
		int result = parts[i].prepare ? parts[i].prepare(state, config, diagnostics) : 0;

		if (!result)
			continue;
		while (i-- > 0) {
			if (parts[i].abandon)
				parts[i].abandon(state);
		}
		return result;
	}
	return 0;
}

static void commit_all(struct daemon_state *state, struct config *config)
{
	struct config *old = state->config;

	state->config = config;
	for (size_t i = 0; i < PART_COUNT; i++) {
		if (parts[i].commit)
			parts[i].commit(state, config);
	}
	config_free(old);
	if (old)
		state->reloads++;
	state->loaded = time(NULL);
}

int config_reload(struct daemon_state *state, struct diagnostics *diagnostics)
{
	struct config *config = NULL;
	int result = config_load(state->config_path, &config, diagnostics);

	if (result)
		return result;
	result = prepare_all(state, config, diagnostics);
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
	commit_all(state, config);
	return 0;
}
