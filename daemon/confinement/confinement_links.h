/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fence's links: one pinned per program, in a folder per cgroup. The folder of a cgroup that
 * was removed stays for as long as a socket of it lives, since the links are what keeps that one
 * in.
 */
#ifndef SOCKETBOX_DAEMON_CONFINEMENT_CONFINEMENT_LINKS_H
#define SOCKETBOX_DAEMON_CONFINEMENT_CONFINEMENT_LINKS_H

#include <bpf/libbpf.h>
#include <limits.h>
#include <stdbool.h>

#include "common/err.h"
#include "daemon/confinement/confinement_cgroup.h"

/* Makes pin_dir/fence/CGROUP, the folder of this cgroup's links. */
int fence_links_folder(const char *pin_dir, const struct fence_cgroup *cgroup,
	char folder[PATH_MAX], struct err *err);

/* Attaches the program to the cgroup, in place of an earlier daemon's if there is one: then
 * *adopted. An empty folder: nothing is pinned. At no moment is there neither. */
int fence_links_attach(struct bpf_program *program, const struct fence_cgroup *cgroup,
	const char *folder, struct bpf_link **out, bool *adopted, struct err *err);

/* Removes the folders whose cgroups are gone; with all, each. */
void fence_links_clear(const char *pin_dir, bool all);

#endif
