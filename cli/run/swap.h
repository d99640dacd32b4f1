/* SPDX-License-Identifier: BSD-2-Clause */
/* Puts another socket in place of a program's own, everywhere where the program has it. */
#ifndef SOCKETBOX_CLI_RUN_SWAP_H
#define SOCKETBOX_CLI_RUN_SWAP_H

#include <stdint.h>
#include <sys/types.h>

#include "cli/run/tracee.h"

/*
 * Replaces fd, and every other descriptor of the process for the same socket (known by its inode),
 * with `socket`, while the thread waits in the notification `id`; each keeps its close-on-exec
 * flag. Renews the epoll registrations that name one of them. The caller must not hold a copy of
 * the old socket: its registrations would live on. -ENOENT: the thread does not wait any more.
 */
int swap_socket(int notify_fd, uint64_t id, const struct tracee *tracee, int fd, ino_t inode,
	int socket, struct err *err);

#endif
