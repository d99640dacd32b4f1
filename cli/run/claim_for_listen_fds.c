// SPDX-License-Identifier: BSD-2-Clause
// Claims one socket per port of the service.
#include "cli/run/claim_for_listen_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "common/cleanup.h"

static uint16_t program_port(const struct wire_endpoint *endpoint)
{
	return endpoint->target_port ? endpoint->target_port : endpoint->port_first;
}

static bool same_socket(const struct wire_endpoint *a, const struct wire_endpoint *b)
{
	return a->protocol == b->protocol && program_port(a) == program_port(b);
}

static bool is_first(const struct claim_client *client, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (same_socket(&client->endpoints[i], &client->endpoints[index]))
			return false;
	}
	return true;
}

static bool v4_only(const struct claim_client *client, const struct wire_endpoint *endpoint)
{
	for (size_t i = 0; i < client->endpoint_count; i++) {
		if (same_socket(&client->endpoints[i], endpoint) &&
			client->endpoints[i].family != 4)
			return false;
	}
	return true;
}

static int add_listen_fds(struct claim_client *client, const struct wire_endpoint *endpoint,
	struct listen_fds *sockets, struct err *err)
{
	bool v4 = v4_only(client, endpoint);
	struct claim_client_bind bind = {
		.protocol = endpoint->protocol,
		.family = v4 ? 4 : 6,
		.endpoint = {.port = program_port(endpoint)},
	};
	cleanup_close int fd = -1;
	char name[16];
	bool granted;
	int result;

	if (v4)
		bind.endpoint.addr.bytes[10] = bind.endpoint.addr.bytes[11] = 0xff;
	result = claim_client_claim(client, &bind, &fd, &granted, err);
	if (result)
		return result;
	/* Programs that are given sockets expect them as systemd makes them: blocking. */
	fcntl(fd, F_SETFL, O_RDWR);
	snprintf(name, sizeof(name), "%s-%u", endpoint->protocol == IPPROTO_UDP ? "udp" : "tcp",
		program_port(endpoint));
	result = listen_fds_add(sockets, fd, name, err);
	if (!result)
		take_fd(&fd);
	return result;
}

int claim_for_listen_fds(struct claim_client *client, struct listen_fds *sockets, struct err *err)
{
	for (size_t i = 0; i < client->endpoint_count; i++) {
		const struct wire_endpoint *endpoint = &client->endpoints[i];
		int result;

		if (!endpoint->target_port && endpoint->port_first != endpoint->port_last)
			return err_set(err, -EINVAL,
				"service '%s' has the ports %u to %u, and --listen-fds needs single ones; give the routes single ports, or run the program without --listen-fds",
				client->service, endpoint->port_first ? endpoint->port_first : 1u,
				endpoint->port_last);
		result = is_first(client, i) ? add_listen_fds(client, endpoint, sockets, err) : 0;
		if (result)
			return result;
	}
	if (!sockets->count)
		return err_set(err, -ENOENT,
			"no route leads to service '%s', so there is no socket to pass",
			client->service);
	return 0;
}
