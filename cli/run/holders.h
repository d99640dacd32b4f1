/* SPDX-License-Identifier: BSD-2-Clause */
/* Who of the program's processes has a socket open. */
#ifndef SOCKETBOX_CLI_RUN_HOLDERS_H
#define SOCKETBOX_CLI_RUN_HOLDERS_H

#include <stdbool.h>

/* True if a process below this one, which adopts all that the program leaves behind, has the socket
 * of which fd is a copy. Walks /proc; a process that may not be looked into counts as having none.
 */
bool holders_any(int fd);

#endif
