/* SPDX-License-Identifier: BSD-2-Clause */
/* Who is at the other end of a connection, and at which address of ours. */
#ifndef SOCKETBOX_EXEC_CLIENT_H
#define SOCKETBOX_EXEC_CLIENT_H

#include <sys/un.h>

#include "common/addr.h"
#include "exec/quota.h"

struct client {
	bool is_unix;
	union {
		struct {
			struct addr_endpoint local, remote;
		};
		struct {
			struct ucred peer;
			/* Empty where that end is not bound to a path. */
			char local_path[108], remote_path[108];
		};
	};
	char text[ADDR_TEXT_SIZE]; /* for the log */
};

/* What is NULL is asked of the socket. -ENOTCONN if the client is gone, -EAFNOSUPPORT for another
 * family than IPv4, IPv6 and Unix. */
int client_init(struct client *client, int fd, const struct addr_endpoint *local,
	const struct addr_endpoint *remote);

struct quota_source client_source(const struct client *client);

#endif
