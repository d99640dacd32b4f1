/* SPDX-License-Identifier: BSD-2-Clause */
/* What an engine is to daemon/engine.c: an object that begins with struct engine. */
#ifndef SOCKETBOX_DAEMON_ENGINE_OPS_H
#define SOCKETBOX_DAEMON_ENGINE_OPS_H

#include "daemon/engine.h"

/* Each is the function engine_NAME of daemon/engine.h. NULL: nothing is to be done, or there is
 * nothing. */
struct engine_ops {
	void (*close)(struct engine *engine);
	void (*info)(const struct engine *engine, struct engine_info *info);
	int (*install)(struct engine *engine, struct table *table, struct err *err);
	int (*attach)(struct engine *engine, struct err *err);
	int (*steer)(struct engine *engine, const struct steer_key *key, int fd, struct err *err);
	void (*unsteer)(struct engine *engine, const struct steer_key *key);
	int (*steered)(struct engine *engine, const struct steer_key *key, uint64_t *cookie);
	int (*reconcile)(struct engine *engine,
		bool (*due)(void *context, const struct steer_key *key), void *context);
	int (*set_members)(struct engine *engine, const struct steer_key *key, uint32_t members,
		struct err *err);
	uint32_t (*members)(struct engine *engine, const struct steer_key *key);
	int (*migrate)(struct engine *engine, int fd, const struct addr_endpoint *bound,
		const struct steer_key *key, struct err *err);
	void (*stop_migrating)(
		struct engine *engine, int domain, const struct addr_endpoint *bound);
	int (*guard)(struct engine *engine, int fd, uint32_t service, struct err *err);
	void (*unguard)(struct engine *engine, uint64_t cookie);
	int (*explain)(struct engine *engine, const struct table_packet *packet,
		struct steer_verdict *verdict, uint64_t *cookie, bool *passed, struct err *err);
	int (*time)(struct engine *engine, const struct table_packet *packet, uint32_t repeat,
		uint32_t *nanoseconds, struct err *err);
	int (*count)(struct engine *engine, uint32_t number, struct steer_count *count);
};

struct engine {
	const struct engine_ops *ops;
};

#endif
