// SPDX-License-Identifier: BSD-2-Clause
// Reads peer credentials and judges them.
#include "daemon/control/peer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int peer_read(int fd, struct peer *peer, struct err *err)
{
	struct ucred credentials;
	socklen_t length = sizeof(credentials);
	gid_t *groups = NULL;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length))
		return err_errno(err, -errno, "SO_PEERCRED");
	length = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &length) && errno == ERANGE) {
		groups = malloc(length);
		if (!groups)
			return err_errno(err, -ENOMEM, "SO_PEERGROUPS");
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length)) {
			free(groups);
			return err_errno(err, -errno, "SO_PEERGROUPS");
		}
	}
	*peer = (struct peer){
		.pid = credentials.pid,
		.uid = credentials.uid,
		.gid = credentials.gid,
		.groups = groups,
		.group_count = groups ? length / sizeof(*groups) : 0,
	};
	return 0;
}

void peer_fini(struct peer *peer)
{
	free(peer->groups);
	peer->groups = NULL;
	peer->group_count = 0;
}

static bool in_group(const struct peer *peer, gid_t group)
{
	if (peer->gid == group)
		return true;
	for (size_t i = 0; i < peer->group_count; i++) {
		if (peer->groups[i] == group)
			return true;
	}
	return false;
}

bool peer_may_manage(const struct peer *peer)
{
	return peer->uid == 0 || peer->uid == geteuid();
}

bool peer_may_claim(const struct peer *peer, const struct config_service *service)
{
	if (peer_may_manage(peer))
		return true;
	for (size_t i = 0; i < service->user_count; i++) {
		if (peer->uid == service->users[i])
			return true;
	}
	for (size_t i = 0; i < service->group_count; i++) {
		if (in_group(peer, service->groups[i]))
			return true;
	}
	return false;
}
