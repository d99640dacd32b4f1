/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The "A" protocol: one message is one byte and exactly one connected stream socket (SCM_RIGHTS)
 * over a Unix socket of any type. Nothing here allocates, loops or waits by itself; the socket's
 * own mode decides whether a call blocks. Safe in signal handlers and forked children.
 */
#ifndef SOCKETBOX_COMMON_HANDOFF_MESSAGE_H
#define SOCKETBOX_COMMON_HANDOFF_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

/* In a path: where the port is written, as five decimal digits. */
#define HANDOFF_PORT_MARK "_@SB_"

/*
 * Receives one message with one recvmsg(2). *fd, the first descriptor in it, is the caller's to
 * check and close; others are closed. flags are recvmsg's (MSG_DONTWAIT, MSG_CMSG_CLOEXEC).
 *
 * -EBADMSG: a message without a descriptor, which is gone now; -ENODATA: an empty message or the
 * end of a connection; else -errno of recvmsg, -EINTR included.
 */
int handoff_recv(int channel, int flags, int *fd);

/* Sends one message; connection stays the caller's. flags are sendmsg's; MSG_NOSIGNAL is implied.
 * 0 or -errno of sendmsg, -EINTR included. */
int handoff_send(int channel, int connection, int flags);

/* Replaces HANDOFF_PORT_MARK, the first time it is in the `size` bytes of path, which may hold NULs
 * and need not end with one, by the port. */
void handoff_fill_port(char *path, size_t size, uint16_t port);

#endif
