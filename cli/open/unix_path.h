/* SPDX-License-Identifier: BSD-2-Clause */
/* The file of a Unix socket. */
#ifndef SOCKETBOX_CLI_OPEN_UNIX_PATH_H
#define SOCKETBOX_CLI_OPEN_UNIX_PATH_H

#include "cli/open/socket_spec.h"
#include "common/err.h"

/*
 * Binds fd to the plan's Unix address, path or abstract name, with the plan's mode and owner. A
 * file of a socket that nobody has open any more is replaced; -EADDRINUSE for one that somebody
 * has, -EEXIST for another file. Changes the umask for a moment: one thread only.
 */
int path_bind(int fd, const struct socket_spec *plan, struct err *err);

#endif
