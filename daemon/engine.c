// SPDX-License-Identifier: BSD-2-Clause
// Chooses an engine and passes calls on to it.
#include "daemon/engine.h"

#include <errno.h>

#include "daemon/engine_ops.h"
#include "daemon/kernel/kernel.h"
#include "daemon/user/user.h"

int engine_open(
	const char *run_dir, enum config_engine wanted, struct engine **out, struct err *err)
{
	struct err why;
	int result;

	if (wanted == CONFIG_ENGINE_USER)
		return user_open(
			"the configuration or the command line says engine: user", out, err);
	result = kernel_open(run_dir, out, wanted == CONFIG_ENGINE_KERNEL ? err : &why);
	if (!result || wanted == CONFIG_ENGINE_KERNEL)
		return result;
	return user_open(why.text, out, err);
}

int engine_check(enum config_engine wanted, struct err *err)
{
	return wanted == CONFIG_ENGINE_KERNEL ? kernel_check(err) : 0;
}

int engine_remove(const char *run_dir, struct err *err)
{
	return kernel_remove(run_dir, err);
}

void engine_close(struct engine *engine)
{
	if (engine)
		engine->ops->close(engine);
}

void engine_info(const struct engine *engine, struct engine_info *info)
{
	engine->ops->info(engine, info);
}

bool engine_steers(const struct engine *engine)
{
	return engine->ops->steer != NULL;
}

int engine_install(struct engine *engine, struct table *table, struct err *err)
{
	return engine->ops->install(engine, table, err);
}

int engine_attach(struct engine *engine, struct err *err)
{
	return engine->ops->attach ? engine->ops->attach(engine, err) : 0;
}

int engine_steer(struct engine *engine, const struct steer_key *key, int fd, struct err *err)
{
	return engine->ops->steer ? engine->ops->steer(engine, key, fd, err) : 0;
}

void engine_unsteer(struct engine *engine, const struct steer_key *key)
{
	if (engine->ops->unsteer)
		engine->ops->unsteer(engine, key);
}

int engine_steered(struct engine *engine, const struct steer_key *key, uint64_t *cookie)
{
	return engine->ops->steered ? engine->ops->steered(engine, key, cookie) : -ENOENT;
}

int engine_reconcile(struct engine *engine, bool (*due)(void *context, const struct steer_key *key),
	void *context)
{
	return engine->ops->reconcile ? engine->ops->reconcile(engine, due, context) : 0;
}

int engine_set_members(
	struct engine *engine, const struct steer_key *key, uint32_t members, struct err *err)
{
	if (!engine->ops->set_members)
		return 0;
	return engine->ops->set_members(engine, key, members, err);
}

uint32_t engine_members(struct engine *engine, const struct steer_key *key)
{
	return engine->ops->members ? engine->ops->members(engine, key) : 0;
}

int engine_migrate(struct engine *engine, int fd, const struct addr_endpoint *bound,
	const struct steer_key *key, struct err *err)
{
	return engine->ops->migrate ? engine->ops->migrate(engine, fd, bound, key, err) : 0;
}

void engine_stop_migrating(struct engine *engine, int domain, const struct addr_endpoint *bound)
{
	if (engine->ops->stop_migrating)
		engine->ops->stop_migrating(engine, domain, bound);
}

int engine_guard(struct engine *engine, int fd, uint32_t service, struct err *err)
{
	return engine->ops->guard ? engine->ops->guard(engine, fd, service, err) : 0;
}

void engine_unguard(struct engine *engine, uint64_t cookie)
{
	if (engine->ops->unguard)
		engine->ops->unguard(engine, cookie);
}

int engine_explain(struct engine *engine, const struct table_packet *packet,
	struct steer_verdict *verdict, uint64_t *cookie, bool *passed, struct err *err)
{
	return engine->ops->explain(engine, packet, verdict, cookie, passed, err);
}

int engine_time(struct engine *engine, const struct table_packet *packet, uint32_t repeat,
	uint32_t *nanoseconds, struct err *err)
{
	if (!engine->ops->time)
		return err_set(
			err, -EOPNOTSUPP, "this engine's lookups are not timed in the kernel");
	return engine->ops->time(engine, packet, repeat, nanoseconds, err);
}

int engine_count(struct engine *engine, uint32_t number, struct steer_count *count)
{
	return engine->ops->count ? engine->ops->count(engine, number, count) : -EOPNOTSUPP;
}
