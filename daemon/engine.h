/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An engine decides, by the route table, where connections and packets go. The kernel engine
 * (kernel/) does so for every packet, bound socket or not, and goes on while no daemon runs; the
 * user engine (user/) needs no privileges and only knows the table: what is accepted is dispatched
 * by it afterwards. One thread only.
 */
#ifndef SOCKETBOX_DAEMON_ENGINE_H
#define SOCKETBOX_DAEMON_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/steer_maps.h"
#include "common/err.h"
#include "daemon/routes/route_table.h"

struct engine;

struct engine_info {
	const char *name; /* "kernel" or "user" */
	const char *why;  /* of the user engine: why it is not the other one */
	bool steers;	  /* engine_steers */
	bool adopted;  /* an earlier daemon's programs and maps were running and were taken over */
	bool migrates; /* a closing SO_REUSEPORT socket's backlog moves on (Linux >= 5.14) */
	const char *pin_dir;   /* NULL: nothing is pinned */
	const char *pin_fault; /* why nothing is, else NULL */
};

/* Opens the engine that is wanted; with CONFIG_ENGINE_AUTO the kernel engine, or where that cannot
 * be had, the user engine. -EPERM, -ENOSYS and others with what is missing and the remedy. */
int engine_open(
	const char *run_dir, enum config_engine wanted, struct engine **out, struct err *err);

/* Finds out whether the engine could be opened here, by this very program; nothing that runs is
 * touched.
 */
int engine_check(enum config_engine wanted, struct err *err);

/* Frees the object; what is pinned goes on deciding. NULL is allowed. */
void engine_close(struct engine *engine);

/* Removes what the kernel engine has pinned under run_dir: the machine is as if socketbox had never
 * run. */
int engine_remove(const char *run_dir, struct err *err);

void engine_info(const struct engine *engine, struct engine_info *info);

/* True if packets find their sockets by engine_steer. Where not, sockets have to be bound to what
 * they serve, and the functions on steering, groups and guards below do nothing. */
bool engine_steers(const struct engine *engine);

/* Puts the table in force with one pointer swap; counters of routes that the old table had too go
 * on. Sets the table's header fields that are the engine's. On failure the old table stays in
 * force. */
int engine_install(struct engine *engine, struct table *table, struct err *err);

/* Starts deciding for this process's network namespace; call after the first engine_install. Where
 * an adopted link decides already, its program is replaced by this daemon's in one step. */
int engine_attach(struct engine *engine, struct err *err);

/* Adds or replaces the socket of a key. TCP sockets must listen, UDP sockets be bound. */
int engine_steer(struct engine *engine, const struct steer_key *key, int fd, struct err *err);
void engine_unsteer(struct engine *engine, const struct steer_key *key);

/* The cookie of the living socket of a key; -ENOENT if there is none. */
int engine_steered(struct engine *engine, const struct steer_key *key, uint64_t *cookie);

/* Removes from the socket map every key for which due() is false. Walks the map, so it is for
 * reloads and starts. -ENOMEM or the kernel's error: some of them may be left. */
int engine_reconcile(struct engine *engine, bool (*due)(void *context, const struct steer_key *key),
	void *context);

/* How many slots the SO_REUSEPORT group of a key (slot 0) uses; setting 0 removes the group. */
int engine_set_members(
	struct engine *engine, const struct steer_key *key, uint32_t members, struct err *err);
uint32_t engine_members(struct engine *engine, const struct steer_key *key);

/* Makes the kernel move the backlog of each closing socket of the SO_REUSEPORT group that listens
 * where fd does to the group's others; key has slot 0. Nothing before Linux 5.14. */
int engine_migrate(struct engine *engine, int fd, const struct addr_endpoint *bound,
	const struct steer_key *key, struct err *err);
void engine_stop_migrating(struct engine *engine, int domain, const struct addr_endpoint *bound);

/* Drops what arrives at a UDP socket without a route to the service. */
int engine_guard(struct engine *engine, int fd, uint32_t service, struct err *err);
void engine_unguard(struct engine *engine, uint64_t cookie);

/* Runs the engine's own decision on a made-up packet. *cookie is that of the socket it found,
 * *passed whether the packet would be let through (to that socket, or to the host's own). */
int engine_explain(struct engine *engine, const struct table_packet *packet,
	struct steer_verdict *verdict, uint64_t *cookie, bool *passed, struct err *err);

/* Time of one decision in nanoseconds, averaged over `repeat` in-kernel runs; for the benchmark. */
int engine_time(struct engine *engine, const struct table_packet *packet, uint32_t repeat,
	uint32_t *nanoseconds, struct err *err);

/* What the engine itself has counted for route `number` of the table in force. -EOPNOTSUPP where
 * it counts nothing. */
int engine_count(struct engine *engine, uint32_t number, struct steer_count *count);

#endif
