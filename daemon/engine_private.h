/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine's inside, shared by engine*.c only. */
#ifndef SOCKETBOX_DAEMON_ENGINE_PRIVATE_H
#define SOCKETBOX_DAEMON_ENGINE_PRIVATE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/match.h"

enum { ENGINE_HOLES = 4 }; /* TCP and UDP, IPv4 and IPv6 */

struct engine {
	struct steer *skeleton;
	struct bpf_link *link;
	bool adopted, migrates;
	char pin_dir[PATH_MAX]; /* empty: nothing is pinned */
	struct err pin_fault;
	int cpus;
	int counters_fd;	 /* of the table in force; -1 before the first */
	union match_cell *cells; /* the table in force, mapped; NULL before the first */
	size_t cell_count;
	int holes[ENGINE_HOLES]; /* sockets that swallow what routes refuse in silence */
};

/* Finds the table that an earlier daemon left in force, for its counters and generation. */
void engine_adopt_table(struct engine *engine);

/* Forgets the table; the kernel's goes on. */
void engine_drop_table(struct engine *engine);

int engine_open_holes(struct engine *engine, struct err *err);
void engine_close_holes(struct engine *engine);

#endif
