/* SPDX-License-Identifier: BSD-2-Clause */
/* The functions that this library stands in front of: the next library's, or libc's. */
#ifndef SOCKETBOX_PRELOAD_REAL_H
#define SOCKETBOX_PRELOAD_REAL_H

#include <sys/socket.h>

struct real {
	int (*bind)(int, const struct sockaddr *, socklen_t);
	int (*listen)(int, int);
	int (*accept)(int, struct sockaddr *, socklen_t *);
	int (*accept4)(int, struct sockaddr *, socklen_t *, int);
	int (*getsockname)(int, struct sockaddr *, socklen_t *);
	int (*getpeername)(int, struct sockaddr *, socklen_t *);
	int (*getsockopt)(int, int, int, void *, socklen_t *);
	int (*setsockopt)(int, int, int, const void *, socklen_t);
};

/* Never NULL members. Looked up when the library is loaded; a caller that is earlier (another
 * library's constructor) looks them up itself. No lock is taken afterwards. */
const struct real *real_get(void);

/* An integer socket option at SOL_SOCKET, or -1. Leaves errno as it was. */
int real_number(int fd, int name);

#endif
