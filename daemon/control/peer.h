/* SPDX-License-Identifier: BSD-2-Clause */
/* Who is at the other end of a control connection, as the kernel vouches, and what they may do. */
#ifndef SOCKETBOX_DAEMON_PEER_H
#define SOCKETBOX_DAEMON_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/err.h"
#include "daemon/config/config.h"

struct peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* supplementary ones; owned */
	size_t group_count;
};

/* Reads SO_PEERCRED and SO_PEERGROUPS (Linux 4.13): what the peer was when it connected. IDs of a
 * peer in another user namespace are as this process's namespace sees them. */
int peer_read(int fd, struct peer *peer, struct err *err);
void peer_fini(struct peer *peer);

bool peer_may_claim(const struct peer *peer, const struct config_service *service);
bool peer_may_manage(const struct peer *peer); /* reload: root and the daemon's own user */

#endif
