// SPDX-License-Identifier: BSD-2-Clause
// Asks sockets for their addresses.
#include "exec/client.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"

/* The path of a Unix address, empty where it has none or an abstract one. */
static void copy_path(const struct sockaddr_storage *address, socklen_t length, char *path)
{
	const struct sockaddr_un *name = (const struct sockaddr_un *)address;
	size_t size = length > offsetof(struct sockaddr_un, sun_path)
			      ? length - offsetof(struct sockaddr_un, sun_path)
			      : 0;

	memset(path, 0, sizeof(name->sun_path));
	if (size && name->sun_path[0])
		memcpy(path, name->sun_path,
			size < sizeof(name->sun_path) ? size : sizeof(name->sun_path) - 1);
}

static int init_unix(struct client *client, int fd, const struct sockaddr_storage *remote,
	socklen_t remote_length)
{
	struct sockaddr_storage local = {0};
	socklen_t length = sizeof(local), peer_length = sizeof(client->peer);

	client->is_unix = true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &client->peer, &peer_length) ||
		getsockname(fd, (struct sockaddr *)&local, &length))
		return -errno;
	copy_path(&local, length, client->local_path);
	copy_path(remote, remote_length, client->remote_path);
	snprintf(client->text, sizeof(client->text), "uid %d (pid %d)", (int)client->peer.uid,
		(int)client->peer.pid);
	return 0;
}

int client_init(struct client *client, int fd, const struct addr_endpoint *local,
	const struct addr_endpoint *remote)
{
	struct sockaddr_storage address = {0};
	socklen_t length = sizeof(address);
	int result;

	*client = (struct client){0};
	if (remote) {
		client->remote = *remote;
	} else {
		if (getpeername(fd, (struct sockaddr *)&address, &length))
			return -errno;
		if (address.ss_family == AF_UNIX)
			return init_unix(client, fd, &address, length);
		result = addr_from_sockaddr(&address, length, &client->remote);
		if (result)
			return result;
	}
	if (local) {
		client->local = *local;
	} else {
		length = sizeof(address);
		if (getsockname(fd, (struct sockaddr *)&address, &length))
			return -errno;
		result = addr_from_sockaddr(&address, length, &client->local);
		if (result)
			return result;
	}
	addr_endpoint_format(&client->remote, client->text);
	return 0;
}

struct quota_source client_source(const struct client *client)
{
	if (client->is_unix)
		return (struct quota_source){.uid = client->peer.uid};
	return (struct quota_source){.is_ip = true, .addr = client->remote.addr};
}
