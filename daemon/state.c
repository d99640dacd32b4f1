// SPDX-License-Identifier: BSD-2-Clause
// Loads configurations: read, make what the new one needs beside what runs, put it in force, then
// let go of the old one.
#include "daemon/state.h"

#include <errno.h>

#include "daemon/table.h"

static void on_room(void *context, uint32_t service)
{
	struct daemon_state *state = context;

	acceptors_resume(state->acceptors, service);
}

int state_open(struct daemon_state *state, struct event_base *base, struct err *err)
{
	struct engine_facts facts;

	engine_facts(state->engine, &facts);
	state->claims = claims_new(base, state->engine);
	if (state->claims)
		state->getsocks = getsocks_new(base, state->claims);
	state->grants = grants_new(state->engine);
	state->deliveries = deliveries_new(base, on_room, state);
	if (state->deliveries)
		state->judge = judge_new(base, state->deliveries, !facts.steers);
	if (state->judge)
		state->acceptors =
			acceptors_new(base, state->engine, state->judge, state->deliveries);
	if (!state->getsocks || !state->grants || !state->acceptors)
		return err_errno(err, -ENOMEM, "starting");
	return 0;
}

static int install(struct daemon_state *state, const struct config *config, struct err *err)
{
	struct table table = {0};
	int result = table_build(config, TABLE_OF_PACKETS, &table, err);

	if (!result)
		result = engine_install(state->engine, &table, err);
	if (!result)
		state->shapes = table.cells->header.shape_count;
	table_fini(&table);
	return result;
}

/* Makes what the configuration needs; on failure there is nothing but what there was before. The
 * engine's table comes last, since it cannot be taken back. */
static int prepare(
	struct daemon_state *state, const struct config *config, struct complaints *complaints)
{
	struct err err;
	int result = judge_prepare(state->judge, config, &err);

	if (!result)
		result = deliveries_prepare(state->deliveries, config, &err);
	if (result) {
		complaints_error(complaints, NULL, 0, 0, "%s", err.text);
		judge_abandon(state->judge);
		return result;
	}
	result = acceptors_prepare(state->acceptors, config, complaints);
	if (!result) {
		result = install(state, config, &err);
		if (result) {
			complaints_error(complaints, NULL, 0, 0, "%s", err.text);
			acceptors_abandon(state->acceptors);
		}
	}
	if (result) {
		judge_abandon(state->judge);
		if (state->config)
			deliveries_configure(state->deliveries, state->config);
	}
	return result;
}

static void commit(struct daemon_state *state, struct config *config)
{
	struct config *old = state->config;

	state->config = config;
	claims_configure(state->claims, config);
	getsocks_configure(state->getsocks, config);
	deliveries_configure(state->deliveries, config);
	judge_commit(state->judge);
	acceptors_commit(state->acceptors);
	grants_configure(state->grants, config);
	config_free(old);
	if (old)
		state->reloads++;
	state->loaded = time(NULL);
}

int state_load(struct daemon_state *state, struct complaints *complaints)
{
	struct config *config = NULL;
	int result = config_load(state->config_path, &config, complaints);

	if (result)
		return result;
	result = prepare(state, config, complaints);
	if (result) {
		config_free(config);
		return result;
	}
	if (state->config && config->engine != state->config->engine)
		complaints_warning(complaints, NULL, 0, 0,
			"'engine' has changed; restart socketboxd for that");
	commit(state, config);
	return 0;
}

void state_fini(struct daemon_state *state)
{
	acceptors_free(state->acceptors);
	judge_free(state->judge);
	deliveries_free(state->deliveries);
	getsocks_free(state->getsocks);
	claims_free(state->claims);
	grants_free(state->grants);
	engine_close(state->engine);
	config_free(state->config);
}
