/* SPDX-License-Identifier: BSD-2-Clause */
/* The socket that connections come from: made at a path, or inherited. */
#ifndef SOCKETBOX_CLI_INETD_INETD_SOCKET_H
#define SOCKETBOX_CLI_INETD_INETD_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"

struct socket {
	int fd;
	bool accepts;	  /* it listens; else connections come in messages */
	bool datagrams;	  /* a message of no length is not the end */
	const char *path; /* that was made here; NULL: inherited */
	dev_t device;
	ino_t inode;
};

/*
 * word is the path of a Unix datagram socket, which is made with this mode (-1: as the umask says),
 * or the number of an inherited descriptor. A socket file that nobody serves any more is replaced;
 * -EADDRINUSE for one that somebody does, -EEXIST for another kind of file. With `any` an inherited
 * socket may be of any kind; else it has to be one that connections come from. word must outlive
 * *out, which is the caller's to end with socket_close.
 */
int socket_open(const char *word, int mode, bool any, struct socket *out, struct err *err);

/* Closes it, and removes its file, unless that is somebody else's by now. */
void socket_close(struct socket *socket);

/*
 * The next connection, close-on-exec and the caller's: 0. -EAGAIN if none is there; -EPIPE if none
 * will ever come again; -EMFILE and the like while this process is short of something, and then
 * nothing is lost; -EPROTO with a sentence for a message that brings none.
 */
int socket_next(const struct socket *socket, int *connection, struct err *err);

#endif
