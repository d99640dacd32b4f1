/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files that stand in for libc's functions share. All of them keep errno on success, and
 * leave sockets that are none of the library's to the real function, whose result is the result.
 */
#ifndef SOCKETBOX_PRELOAD_HOOKS_H
#define SOCKETBOX_PRELOAD_HOOKS_H

#include <sys/socket.h>

/* Exported too by exports.map: neither alone. */
#define HOOK __attribute__((visibility("default")))

/* Gives [::1]:0 into a buffer of `room` bytes. */
void hooks_give_loopback(struct sockaddr *address, socklen_t *length, socklen_t room);

/* getpeername of a connection, as the program shall see it. */
int hooks_peer(int fd, struct sockaddr *address, socklen_t *length);

#endif
