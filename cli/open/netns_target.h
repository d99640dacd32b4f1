/* SPDX-License-Identifier: BSD-2-Clause */
/* Going to the network namespace in which a socket is to be made. */
#ifndef SOCKETBOX_CLI_OPEN_NETNS_TARGET_H
#define SOCKETBOX_CLI_OPEN_NETNS_TARGET_H

#include "cli/open/socket_spec.h"
#include "common/err.h"

/* True if sockets for this place are made where the caller is. */
bool place_is_here(const struct netns_target *place);

/*
 * Moves the calling process there for good: call it in a child with one thread. Enters the user
 * namespace that owns the network namespace first if the place says so, or if the caller may not
 * enter the network namespace otherwise; the process has all capabilities there then, and none
 * elsewhere, and it is closed to ptrace(2) by that namespace's processes.
 */
int place_enter(const struct netns_target *place, struct err *err);

#endif
