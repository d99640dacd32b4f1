/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may have a process now: counts of what runs, in all and by client, and the rate of starts.
 * Pure: told of starts and ends, and of the time. Nothing has to be reset: a count falls when a
 * process ends, and the rate recovers with time.
 */
#ifndef SOCKETBOX_EXEC_QUOTA_H
#define SOCKETBOX_EXEC_QUOTA_H

#include "exec/exec_settings.h"

#define QUOTA_FOREVER UINT64_MAX

enum exec_reason {
	EXEC_ALLOWED,
	EXEC_BY_ADDRESS,   /* allow-from or deny-from */
	EXEC_BY_SOURCE,	   /* per-source */
	EXEC_BY_INSTANCES, /* and when-full: refuse, or too many that wait */
	EXEC_BY_RATE,	   /* the same */
	EXEC_REASONS,	   /* how many there are */
};

/* Where a client comes from. What is no IP client is told apart by its uid, and is in no prefix. */
struct quota_source {
	bool is_ip;
	struct addr addr;
	uid_t uid;
};

struct quota_count;

struct quota {
	const struct exec_bounds *bounds;
	unsigned running;
	uint64_t next_ns; /* when the next start would be due, were starts evenly spaced */
	struct quota_count **table;
	size_t table_size; /* a power of two */
	size_t sources;
	uint64_t seed;
};

/* bounds stays the caller's and has to live until quota_fini or the next quota_set. seed makes
 * the table's order unforeseeable for clients. */
void quota_init(struct quota *quota, const struct exec_bounds *bounds, uint64_t seed);
void quota_set(struct quota *quota, const struct exec_bounds *bounds); /* counts go on */
void quota_fini(struct quota *quota);

/* EXEC_BY_ADDRESS or EXEC_BY_SOURCE if this client may have no process now, whatever runs. */
enum exec_reason quota_check(const struct quota *quota, const struct quota_source *source);

/* EXEC_BY_INSTANCES or EXEC_BY_RATE if no client may have one now. *wait_ns then tells when that
 * ends by itself; QUOTA_FOREVER: not before a process ends. */
enum exec_reason quota_full(const struct quota *quota, uint64_t now_ns, uint64_t *wait_ns);

/* Counts a start, and an end. source NULL: a process that belongs to no client. The source is the
 * caller's to keep until the end: *kept is what quota_leave has to be told, which may be another
 * one, since bounds may have changed. quota_enter fails with -ENOMEM and has then counted nothing.
 */
int quota_enter(struct quota *quota, const struct quota_source *source, uint64_t now_ns,
	struct quota_count **kept);
void quota_leave(struct quota *quota, struct quota_count *kept);

#endif
