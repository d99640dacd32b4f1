// SPDX-License-Identifier: BSD-2-Clause
// Loads configurations: read, build the table aside, put it in force, then let go of the old one.
#include "daemon/state.h"

#include "daemon/table.h"

static int install(struct daemon_state *state, const struct config *config, struct err *err)
{
	struct table table = {0};
	int result = table_build(config, &table, err);

	if (!result)
		result = engine_install(state->engine, &table, err);
	if (!result)
		state->shapes = table.cells->header.shape_count;
	table_fini(&table);
	return result;
}

int state_load(struct daemon_state *state, struct complaints *complaints)
{
	struct config *config = NULL, *old = state->config;
	struct err err;
	int result = config_load(state->config_path, &config, complaints);

	if (result)
		return result;
	result = install(state, config, &err);
	if (result) {
		complaints_error(complaints, NULL, 0, 0, "%s", err.text);
		config_free(config);
		return result;
	}
	state->config = config;
	claims_configure(state->claims, config);
	config_free(old);
	if (old)
		state->reloads++;
	state->loaded = time(NULL);
	return 0;
}

void state_fini(struct daemon_state *state)
{
	claims_free(state->claims);
	engine_close(state->engine);
	config_free(state->config);
}
