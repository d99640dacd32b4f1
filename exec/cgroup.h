/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A cgroup v2 directory for each service's processes, wherever that hierarchy is mounted: on
 * /sys/fs/cgroup, or beside the older ones on /sys/fs/cgroup/unified.
 */
#ifndef SOCKETBOX_EXEC_CGROUP_H
#define SOCKETBOX_EXEC_CGROUP_H

#include <limits.h>
#include <stdio.h>

#include "common/err.h"

/* Finds the mount point of the first cgroup2 in mounts (the text of /proc/self/mounts). -ENOENT if
 * there is none, -ENAMETOOLONG if it does not fit. */
int cgroup_find(FILE *mounts, char *path, size_t size);

/*
 * Makes the directory `name` in parent (a path; NULL: this process's own cgroup), unless it is
 * there, and opens it. path (PATH_MAX bytes) and *fd are the caller's; the directory is removed
 * with rmdir(2) when it is empty. Negative errno with a sentence where that cannot be.
 */
int cgroup_open(const char *parent, const char *name, char *path, int *fd, struct err *err);

/* From now on this cgroup stands for the caller's: programs that have none of their own start in
 * it, and theirs are made in it. For a process whose own cgroup is not for others. Call it once,
 * before threads. */
int cgroup_set_home(const char *path, struct err *err);

/* Its descriptor, which is not the caller's to close; -1: the caller's own cgroup is meant. */
int cgroup_home(void);

#endif
