/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file of a receiver: a Unix socket is bound under a temporary name in the same directory, gets
 * its mode, and is then put in place in one step, so that senders meet the old receiver or the new
 * one and never a gap. The socket's own name (getsockname) stays the temporary one. Allocates
 * nothing.
 */
#ifndef SOCKETBOX_COMMON_RECEIVER_PATH_H
#define SOCKETBOX_COMMON_RECEIVER_PATH_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

/* What is at a path. */
enum receiver_found {
	RECEIVER_NONE,	 /* nothing */
	RECEIVER_STALE,	 /* a socket file that no process has open */
	RECEIVER_LIVE,	 /* a socket that is open; its own name is told */
	RECEIVER_FOREIGN /* no socket, or one that cannot be asked */
};

/* Looks, by connecting a datagram socket, which the receiver does not see. name, if it is not NULL,
 * gets what a live one was bound as. */
enum receiver_found receiver_look(const char *path, struct sockaddr_un *name);

/* Puts the socket file `temporary` at path. With `live` it may take the place of a live one.
 * -EADDRINUSE otherwise; -errno of rename(2). `temporary` is gone either way. */
int receiver_publish(const char *temporary, const char *path, bool live);

#endif
