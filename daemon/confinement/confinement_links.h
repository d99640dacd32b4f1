/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The confinement's links: one pinned per program, in a directory per cgroup. The directory of a
 * cgroup that was removed stays for as long as a socket of it lives, since the links are what keeps
 * that one in.
 */
#ifndef SOCKETBOX_DAEMON_CONFINEMENT_CONFINEMENT_LINKS_H
#define SOCKETBOX_DAEMON_CONFINEMENT_CONFINEMENT_LINKS_H

#include <bpf/libbpf.h>
#include <limits.h>
#include <stdbool.h>

#include "common/err.h"
#include "daemon/confinement/confinement_cgroup.h"

/* Makes pin_dir/confinement/CGROUP, the directory of this cgroup's links. */
int confinement_links_directory(const char *pin_dir, const struct confinement_cgroup *cgroup,
	char directory[PATH_MAX], struct err *err);

/* Attaches the program to the cgroup, in place of an earlier daemon's if there is one: then
 * *adopted. An empty directory: nothing is pinned. At no moment is there neither. */
int confinement_links_attach(struct bpf_program *program, const struct confinement_cgroup *cgroup,
	const char *directory, struct bpf_link **out, bool *adopted, struct err *err);

/* Removes the directories whose cgroups are gone; with all, each. */
void confinement_links_clear(const char *pin_dir, bool all);

#endif
