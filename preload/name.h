/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bound name of a listener: a file name beside the receiver's path, in which the address that
 * the program has bound is written. The file is renamed to the path afterwards, and the name stays
 * with the socket: across dup, fork and exec, getsockname finds there what the program shall see.
 */
#ifndef SOCKETBOX_PRELOAD_NAME_H
#define SOCKETBOX_PRELOAD_NAME_H

#include <stdbool.h>
#include <sys/un.h>

#include "common/addr.h"

/* What a listener is to the program. */
struct name {
	int family; /* AF_INET or AF_INET6 */
	bool v6only, reuseport;
	struct addr_endpoint endpoint;
	uint32_t process; /* that has bound it */
	int fd;		  /* what it was there, if that is below 2^24 */
};

/* Writes the name for a receiver at `path` into *out. -ENAMETOOLONG: the directory of path has more
 * than 66 characters. */
int name_encode(const struct name *name, const char *path, struct sockaddr_un *out);

/* False: the socket is none of a listener of ours. length is that of getsockname. */
bool name_decode(const struct sockaddr_un *address, socklen_t length, struct name *out);

/* Reads the name of a descriptor. Leaves errno as it was. */
bool name_of(int fd, struct name *out);

#endif
