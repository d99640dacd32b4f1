/* SPDX-License-Identifier: BSD-2-Clause */
/* What the environment asks for: which binds become receivers, and where. Documented in
 * socketbox-preload(7). */
#ifndef SOCKETBOX_PRELOAD_PRELOAD_SETTINGS_H
#define SOCKETBOX_PRELOAD_PRELOAD_SETTINGS_H

#include <stdbool.h>
#include <sys/un.h>

#include "common/addr.h"

/* Where a bind leads. */
struct settings_target {
	int type; /* SOCK_DGRAM, or SOCK_STREAM: an ordinary Unix listener */
	struct sockaddr_un address;
	socklen_t length; /* of address */
};

/* Reads the environment. It happens once, at load, and else is for tests: while a program runs, a
 * change of its environment is not seen. Not beside calls of the others. */
void settings_load(void);

/*
 * 1: a bind of this endpoint, given as a sockaddr of `family`, becomes *target; 0: it stays the
 * program's own; or negative errno: it is a virtual address whose record cannot be read
 * (-ENOENT, -ERANGE...), or whose path is too long.
 */
int settings_match(
	int family, const struct addr_endpoint *endpoint, struct settings_target *target);

/* SKBOX_STEALTH_MODE: Unix-socket clients are shown as ::1. */
bool settings_stealth(void);

#endif
