// SPDX-License-Identifier: BSD-2-Clause
// Holds the route table for those who ask.
#include "daemon/user/user.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine_ops.h"

struct user {
	struct engine base;
	struct table table;
	uint32_t generation;
	char why[ERR_TEXT_SIZE];
};

static struct user *user_of(struct engine *engine)
{
	return (struct user *)engine; /* its first member */
}

static void close_user_engine(struct engine *engine)
{
	table_fini(&user_of(engine)->table);
	free(engine);
}

static void user_engine_info(const struct engine *engine, struct engine_info *out)
{
	*out = (struct engine_info){.name = "user", .why = ((const struct user *)engine)->why};
}

static int install_user_engine(struct engine *engine, struct table *table, struct err *err)
{
	struct user *user = user_of(engine);
	union match_cell *cells = calloc(table->count, sizeof(*cells));

	if (!cells)
		return err_errno(err, -ENOMEM, "installing a table of %u routes",
			table->cells->header.route_count);
	table->cells->header.generation = ++user->generation;
	memcpy(cells, table->cells, table->count * sizeof(*cells));
	table_fini(&user->table);
	user->table = (struct table){cells, table->count};
	return 0;
}

static int explain_user_engine(struct engine *engine, const struct table_packet *packet,
	struct steer_verdict *verdict, uint64_t *cookie, bool *passed, struct err *err)
{
	struct user *user = user_of(engine);
	struct match_route *route;

	(void)err;
	*cookie = 0;
	*verdict = (struct steer_verdict){
		.route = table_find(&user->table, packet),
		.action = MATCH_PASS,
		.generation = user->generation,
	};
	route = match_route(user->table.cells, verdict->route);
	if (route) {
		verdict->action = route->action;
		verdict->service = route->service;
	}
	*passed = verdict->action == MATCH_PASS || verdict->action == MATCH_SERVICE ||
		  verdict->action == MATCH_NAMED;
	return 0;
}

static const struct engine_ops ops = {
	.close = close_user_engine,
	.info = user_engine_info,
	.install = install_user_engine,
	.explain = explain_user_engine,
};

int user_open(const char *why, struct engine **out, struct err *err)
{
	struct user *user = calloc(1, sizeof(*user));

	if (!user)
		return err_errno(err, -ENOMEM, "starting the user engine");
	user->base.ops = &ops;
	snprintf(user->why, sizeof(user->why), "%s", why);
	*out = &user->base;
	return 0;
}
