/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cgroup that the confinement is attached to: made, entered, left and removed. Sockets belong
 * for ever to the cgroup of the process that made them, so a cgroup that is removed lives on,
 * unseen, until its last socket is closed.
 */
#ifndef SOCKETBOX_DAEMON_CONFINEMENT_CONFINEMENT_CGROUP_H
#define SOCKETBOX_DAEMON_CONFINEMENT_CONFINEMENT_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct confinement_cgroup {
	char path[PATH_MAX];
	char outside[PATH_MAX]; /* where the process was, or would be without a confinement */
	uint64_t id;		/* the kernel's */
	int fd;			/* of the directory; -1: none */
};

/* Makes the cgroup of this run directory, or finds the one that an earlier daemon left: below that
 * of the process, else below the hierarchy's root. Enters it, which the process must do before it
 * makes the first socket. One that this run directory had elsewhere is removed if it is empty.
 * -ENOENT without cgroup v2, -EACCES, -EROFS and others. */
int confinement_cgroup_enter(
	const char *run_dir, struct confinement_cgroup *cgroup, struct err *err);

/* Finds out whether it could be entered, as far as can be told without doing it. */
int confinement_cgroup_check(struct err *err);

/* Leaves the cgroup if the process is in it, and removes the one that run_dir remembers, if nobody
 * else is. */
void confinement_cgroup_remove(const char *run_dir);

#endif
