/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes a socket as planned, in whatever network namespace. */
#ifndef SOCKETBOX_CLI_OPEN_MAKE_SOCKETS_H
#define SOCKETBOX_CLI_OPEN_MAKE_SOCKETS_H

#include "cli/open/socket_spec.h"
#include "common/err.h"

/*
 * *fd is the caller's, close-on-exec, and blocking unless the spec's type says otherwise. Unix
 * sockets are bound, and all made to listen, by the calling process: their files belong to it, and
 * a client's SO_PEERCRED names it and so the program that it becomes. Forks where the place is
 * another; call it in a process with one thread. What the kernel refuses
 * comes back as it says, with the remedy in *err.
 */
int make_socket(const struct socket_spec *spec, int *fd, struct err *err);

#endif
