/* SPDX-License-Identifier: BSD-2-Clause */
/* Sockets for a program to inherit: where they are, and how it is told. */
#ifndef SOCKETBOX_CLI_LISTEN_FDS_H
#define SOCKETBOX_CLI_LISTEN_FDS_H

#include <stddef.h>

#include "common/err.h"

#define LISTEN_FDS_FIRST 3 /* SD_LISTEN_FDS_START of sd_listen_fds(3) */

/* A list of sockets that grows; zeroed, it is empty. */
struct listen_fds {
	int *fds;    /* owned */
	char *names; /* "web:tcp-443", as LISTEN_FDNAMES has it; NULL while there are none */
	size_t count;
};

/* Adds a socket under a name (without ':'). The fd is the list's on success only. */
int listen_fds_add(struct listen_fds *pass, int fd, const char *name, struct err *err);
void listen_fds_fini(struct listen_fds *pass);

/*
 * Puts copies of the sockets at descriptors 3, 4 and so on of the calling process, without
 * close-on-exec, and describes them in its environment: LISTEN_FDS, LISTEN_FDNAMES and LISTEN_PID
 * (this process: call it in the one that will execute the program), and SOCKETBOX_FD_<n> and
 * CTRTOOL_NS_OPEN_FILE_FD_<n>, n from 0. Whatever was open at these numbers is closed; numbers
 * from LISTEN_FDS_FIRST + count to LISTEN_FDS_FIRST + 2 * count may be taken for a moment, if free.
 */
int listen_fds_to_program(const struct listen_fds *pass, struct err *err);

/* Sets the variable PREFIX<number> to fd. */
int listen_fds_tell(const char *prefix, unsigned long long number, int fd, struct err *err);

#endif
