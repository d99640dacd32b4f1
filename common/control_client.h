/* SPDX-License-Identifier: BSD-2-Clause */
/* The client side of the control protocol: one request, one answer. */
#ifndef SOCKETBOX_COMMON_CONTROL_CLIENT_H
#define SOCKETBOX_COMMON_CONTROL_CLIENT_H

#include <stddef.h>

#include "common/err.h"
#include "common/wire.h"

/* Connects; *fd is the caller's. A daemon that is not there is said with the path and the remedy.
 */
int control_client_connect(const char *path, int *fd, struct err *err);

/* The header of a message of this type and size. */
struct wire_header control_client_header(enum wire_type type, size_t size);

/*
 * Sends `request` (size in its header), with send_fd unless it is -1, and waits for the answer,
 * which must be of the type and size given. A descriptor that comes with it goes to *fd (-1 if
 * none), for the caller to close. -errno as the daemon said, with its words; -EPIPE where the
 * daemon is gone; -EPROTO for an answer that is none.
 */
int control_client_ask(int connection, const void *request, int send_fd, enum wire_type answer_type,
	void *answer, size_t answer_size, int *fd, struct err *err);

#endif
