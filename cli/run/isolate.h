/* SPDX-License-Identifier: BSD-2-Clause */
/* The empty network namespace of a launched program. */
#ifndef SOCKETBOX_CLI_RUN_ISOLATE_H
#define SOCKETBOX_CLI_RUN_ISOLATE_H

#include <stddef.h>

#include "common/addr.h"

/*
 * Moves the calling process into a new network namespace with `lo` up and the addresses on it (as
 * /32 and /128): many programs fail without the one, and look for the others. Where the caller may
 * not, makes a user namespace around it, with its own user and group mapped to themselves.
 */
int isolate_enter(const struct addr *addresses, size_t count, struct err *err);

#endif
