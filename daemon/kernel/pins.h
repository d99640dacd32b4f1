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

/* Detaches what is pinned under run_dir/bpf in layouts other than `keep` (NULL: in all), and
 * removes the pins: programs of another version would go on deciding beside this one's. Nothing
 * where there are no pins. A pinned link that only loses its pin stays attached for some time, so
 * each is detached first. */
void pins_detach(const char *run_dir, const char *keep);

/* Detaches and removes one pinned link; nothing if there is none. */
void pins_detach_link(const char *path);

/* Unmounts run_dir/bpf, which releases everything in it; 0 if there was none. */
int pins_remove(const char *run_dir, struct err *err);

/* "DIRECTORY/NAME" into path; -ENAMETOOLONG. */
int pins_path(const char *directory, const char *name, char path[PATH_MAX]);

#endif
