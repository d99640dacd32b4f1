/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the kernel engine's maps and link are pinned: a bpffs of the daemon's own under its run
 * directory, since /sys/fs/bpf may not be mounted and is not ours to fill.
 */
#ifndef SOCKETBOX_DAEMON_KERNEL_PINS_H
#define SOCKETBOX_DAEMON_KERNEL_PINS_H

#include <limits.h>

#include "common/err.h"

/* Makes and mounts run_dir/bpf unless a bpffs is there already, and in it the directory of this
 * layout, whose path goes into directory. */
int pins_open(const char *run_dir, char directory[PATH_MAX], struct err *err);

/* Unmounts run_dir/bpf, which releases everything in it; 0 if there was none. */
int pins_remove(const char *run_dir, struct err *err);

/* "DIRECTORY/NAME" into path; -ENAMETOOLONG. */
int pins_path(const char *directory, const char *name, char path[PATH_MAX]);

#endif
