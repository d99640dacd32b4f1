/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel engine: the route table, the sockets and the programs of bpf/steer.bpf.c as one
 * object. Everything it needs to go on deciding is pinned, so it works on while no daemon runs, and
 * the next kernel_open adopts it. What is below kernel_open is shared by the files of this
 * directory only.
 */
#ifndef SOCKETBOX_DAEMON_KERNEL_H
#define SOCKETBOX_DAEMON_KERNEL_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/match.h"
#include "daemon/engine_ops.h"

enum { KERNEL_DROP_SOCKETS = 4 }; /* TCP and UDP, IPv4 and IPv6 */

/* Loads the programs, adopting what is pinned under run_dir/bpf (mounted if need be). A failure to
 * pin is not an error but a fact. -EPERM, -ENOSYS and others with what is missing and the remedy.
 */
int kernel_open(const char *run_dir, struct engine **out, struct err *err);

/* Removes what is pinned under run_dir. */
int kernel_check(struct err *err);
int kernel_remove(const char *run_dir, struct err *err);

struct kernel {
	struct engine base;
	struct steer *skeleton;
	struct bpf_link *link;
	bool adopted, migrates;
	char pin_dir[PATH_MAX]; /* empty: nothing is pinned */
	struct err pin_fault;
	int cpus;
	int counters_fd;	 /* of the table in force; -1 before the first */
	union match_cell *cells; /* the table in force, mapped; NULL before the first */
	size_t cell_count;
	int drop_sockets[KERNEL_DROP_SOCKETS]; /* sockets that swallow what routes refuse in silence
						*/
};

static inline struct kernel *kernel_of(struct engine *engine)
{
	return (struct kernel *)engine; /* its first member */
}

/* Finds the table that an earlier daemon left in force, for its counters and generation. */
void kernel_adopt_table(struct kernel *kernel);

/* Forgets the table; the kernel's goes on. */
void kernel_drop_table(struct kernel *kernel);

/* An earlier daemon's that ended with sockets of its own leaves entries of theirs. Where that
 * cannot be found out they stay. */
void kernel_forget_dead_guards(struct kernel *kernel);

int kernel_open_drop_sockets(struct kernel *kernel, struct err *err);
void kernel_close_drop_sockets(struct kernel *kernel);

/* What daemon/engine.h says of the functions of these names. */
int kernel_install(struct engine *engine, struct table *table, struct err *err);
int kernel_count(struct engine *engine, uint32_t number, struct steer_count *count);
int kernel_steer(struct engine *engine, const struct steer_key *key, int fd, struct err *err);
void kernel_unsteer(struct engine *engine, const struct steer_key *key);
int kernel_steered(struct engine *engine, const struct steer_key *key, uint64_t *cookie);
int kernel_reconcile(struct engine *engine, bool (*due)(void *context, const struct steer_key *key),
	void *context);
int kernel_set_members(
	struct engine *engine, const struct steer_key *key, uint32_t members, struct err *err);
uint32_t kernel_members(struct engine *engine, const struct steer_key *key);
int kernel_migrate(struct engine *engine, int fd, const struct addr_endpoint *bound,
	const struct steer_key *key, struct err *err);
void kernel_stop_migrating(struct engine *engine, int domain, const struct addr_endpoint *bound);
int kernel_guard(struct engine *engine, int fd, uint32_t service, struct err *err);
void kernel_unguard(struct engine *engine, uint64_t cookie);
int kernel_explain(struct engine *engine, const struct table_packet *packet,
	struct steer_verdict *verdict, uint64_t *cookie, bool *passed, struct err *err);
int kernel_time(struct engine *engine, const struct table_packet *packet, uint32_t repeat,
	uint32_t *nanoseconds, struct err *err);

#endif
