/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unix sockets that carry messages with descriptors (SCM_RIGHTS, unix(7)). Safe in a forked child;
 * nothing is allocated.
 */
#ifndef SOCKETBOX_COMMON_CHANNEL_H
#define SOCKETBOX_COMMON_CHANNEL_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/un.h>

#include "common/err.h"

/* -ENAMETOOLONG for a path that does not fit; `what` names it in the error. */
int channel_address(
	const char *path, const char *what, struct sockaddr_un *address, struct err *err);

/* Sends one message, with fd unless it is -1; fd stays the caller's. flags are sendmsg's;
 * MSG_NOSIGNAL is implied. 0 or -errno; never -EINTR. */
int channel_send(int channel, const void *message, size_t length, int fd, int flags);

/* Receives one message and returns its length, which is that of the whole message with MSG_TRUNC
 * among the flags (recvmsg's); 0 at the end; or -errno, never -EINTR. The first descriptor that
 * came with it goes to *fd, which must be -1, close-on-exec and the caller's to close; others are
 * closed. */
ssize_t channel_receive(int channel, void *message, size_t size, int *fd, int flags);

#endif
