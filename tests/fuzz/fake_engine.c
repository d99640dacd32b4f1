// SPDX-License-Identifier: BSD-2-Clause
// An engine that steers nothing. It refuses what the kernel would.
#include "tests/fuzz/fake_engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/confinement/confinement.h"
#include "daemon/sockets.h"
#include "tests/fuzz/fuzz.h"

#define MAX_ENTRIES 512

struct entry {
	struct steer_key key;
	uint64_t cookie;
};

struct engine {
	struct entry sockets[MAX_ENTRIES], groups[MAX_ENTRIES]; /* of a group: its members */
	size_t socket_count, group_count;
	struct table table;
	unsigned until_failure; /* 0: none is due */
};

struct engine *fake_engine_new(void)
{
	return calloc(1, sizeof(struct engine));
}

void fake_engine_forget(struct engine *engine)
{
	engine->socket_count = engine->group_count = 0;
	engine->until_failure = 0;
}

void engine_close(struct engine *engine)
{
	if (engine)
		free(engine->table.cells);
	free(engine);
}

void fake_engine_fail(struct engine *engine, unsigned calls)
{
	engine->until_failure = calls + 1;
}

static int may_fail(struct engine *engine, struct err *err)
{
	if (engine->until_failure && !--engine->until_failure)
		return err_errno(err, -ENOSPC, "the engine");
	return 0;
}

/* What differs most often first: this is most of the work of a group. */
static bool same(const struct steer_key *a, const struct steer_key *b)
{
	return a->slot == b->slot && a->port == b->port && a->family == b->family &&
	       a->service == b->service && !memcmp(a, b, sizeof(*a));
}

static struct entry *find(struct entry *list, size_t count, const struct steer_key *key)
{
	for (size_t i = 0; i < count; i++) {
		if (same(&list[i].key, key))
			return &list[i];
	}
	return NULL;
}

static int set(struct entry *list, size_t *count, const struct steer_key *key, uint64_t value)
{
	struct entry *entry = find(list, *count, key);

	if (!entry && *count == MAX_ENTRIES)
		return -ENOSPC;
	if (!entry)
		entry = &list[(*count)++];
	*entry = (struct entry){*key, value};
	return 0;
}

static void forget(struct entry *list, size_t *count, const struct steer_key *key)
{
	struct entry *entry = find(list, *count, key);

	if (entry)
		*entry = list[--*count];
}

void fake_engine_lose(struct engine *engine, unsigned pick)
{
	size_t last = engine->socket_count - 1;

	if (!engine->socket_count)
		return;
	engine->sockets[pick % engine->socket_count] = engine->sockets[last];
	engine->socket_count = last;
}

void engine_info(const struct engine *engine, struct engine_info *info)
{
	*info = (struct engine_info){.name = "fake",
		.steers = true,
		.migrates = engine->group_count,
		.pin_fault = "nothing is pinned here"};
}

bool engine_steers(const struct engine *engine)
{
	(void)engine;
	return true;
}

int engine_install(struct engine *engine, struct table *table, struct err *err)
{
	union match_cell *cells;
	int result = may_fail(engine, err);

	if (result)
		return result;
	cells = calloc(table->count, sizeof(*cells));
	FUZZ_REQUIRE(cells);
	memcpy(cells, table->cells, table->count * sizeof(*cells));
	free(engine->table.cells);
	engine->table = (struct table){cells, table->count};
	return 0;
}

static bool has_address(const struct steer_key *key)
{
	return memcmp(key->address, (uint8_t[16]){0}, sizeof(key->address)) != 0;
}

int engine_steer(struct engine *engine, const struct steer_key *key, int fd, struct err *err)
{
	int result = may_fail(engine, err);

	if (result)
		return result;
	FUZZ_REQUIRE(key->family == 4 || key->family == 6);
	/* An listener takes any port of its service. */
	FUZZ_REQUIRE(key->port || (key->service && !has_address(key)));
	FUZZ_REQUIRE(key->service || has_address(key));
	FUZZ_REQUIRE(sockets_cookie(fd));
	if (key->protocol == IPPROTO_TCP && !sockets_listens(fd))
		return err_errno(err, -EOPNOTSUPP, "steering to a socket that does not listen");
	result = set(engine->sockets, &engine->socket_count, key, sockets_cookie(fd));
	return result ? err_errno(err, result, "the socket map") : 0;
}

void engine_unsteer(struct engine *engine, const struct steer_key *key)
{
	forget(engine->sockets, &engine->socket_count, key);
}

int engine_reconcile(struct engine *engine, bool (*due)(void *context, const struct steer_key *key),
	void *context)
{
	for (size_t i = engine->socket_count; i-- > 0;) {
		struct steer_key key = engine->sockets[i].key;

		if (!due(context, &key))
			forget(engine->sockets, &engine->socket_count, &key);
	}
	return 0;
}

int engine_steered(struct engine *engine, const struct steer_key *key, uint64_t *cookie)
{
	const struct entry *entry = find(engine->sockets, engine->socket_count, key);

	if (!entry)
		return -ENOENT;
	*cookie = entry->cookie;
	return 0;
}

int engine_set_members(
	struct engine *engine, const struct steer_key *key, uint32_t members, struct err *err)
{
	int result = may_fail(engine, err);

	if (result)
		return result;
	FUZZ_REQUIRE(!key->slot && members <= STEER_MAX_MEMBERS);
	if (!members) {
		forget(engine->groups, &engine->group_count, key);
		return 0;
	}
	result = set(engine->groups, &engine->group_count, key, members);
	return result ? err_errno(err, result, "the group map") : 0;
}

uint32_t engine_members(struct engine *engine, const struct steer_key *key)
{
	const struct entry *entry = find(engine->groups, engine->group_count, key);

	return entry ? (uint32_t)entry->cookie : 0;
}

int engine_migrate(struct engine *engine, int fd, const struct addr_endpoint *bound,
	const struct steer_key *key, struct err *err)
{
	FUZZ_REQUIRE(sockets_reuseport(fd) && bound->port && !key->slot);
	return may_fail(engine, err);
}

void engine_stop_migrating(struct engine *engine, int domain, const struct addr_endpoint *bound)
{
	(void)engine;
	(void)bound;
	FUZZ_REQUIRE(domain == AF_INET || domain == AF_INET6);
}

int engine_guard(struct engine *engine, int fd, uint32_t service, struct err *err)
{
	FUZZ_REQUIRE(sockets_cookie(fd) && service);
	return may_fail(engine, err);
}

void engine_unguard(struct engine *engine, uint64_t cookie)
{
	(void)engine;
	(void)cookie;
}

int engine_explain(struct engine *engine, const struct table_packet *packet,
	struct steer_verdict *verdict, uint64_t *cookie, bool *passed, struct err *err)
{
	int result = may_fail(engine, err);
	const struct match_route *route;

	if (result)
		return result;
	*verdict = (struct steer_verdict){.route = table_find(&engine->table, packet)};
	*passed = verdict->route == MATCH_NONE;
	*cookie = 0;
	if (*passed)
		return 0;
	route = match_route(engine->table.cells, verdict->route);
	verdict->action = route->action;
	verdict->service = route->service;
	for (size_t i = 0; i < engine->socket_count; i++) {
		const struct entry *entry = &engine->sockets[i];

		if (entry->key.service != route->service || entry->key.port != packet->local.port)
			continue;
		verdict->found = 1;
		verdict->slot = entry->key.slot;
		*cookie = entry->cookie;
		*passed = true;
	}
	return 0;
}

int engine_count(struct engine *engine, uint32_t number, struct steer_count *count)
{
	struct err err;

	FUZZ_REQUIRE(number < engine->table.cells->header.route_count);
	*count = (struct steer_count){.lookups = number, .no_socket = 1};
	return may_fail(engine, &err);
}

/* There is none to lift. */
int confinement_allow_connect(struct confinement *confinement, int fd, struct err *err)
{
	(void)confinement;
	(void)fd;
	(void)err;
	return 0;
}

void confinement_configure(struct confinement *confinement, const struct config *config)
{
	(void)confinement;
	(void)config;
}

int confinement_assign(struct confinement *confinement, int fd, uint32_t service, struct err *err)
{
	(void)confinement;
	(void)fd;
	(void)service;
	(void)err;
	return 0;
}

void confinement_check_inherited(struct confinement *confinement, int fd)
{
	(void)confinement;
	(void)fd;
}

unsigned confinement_unconfined(const struct confinement *confinement)
{
	(void)confinement;
	return 0;
}
