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

static bool is_first(const struct link *link, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (same_socket(&link->endpoints[i], &link->endpoints[index]))
			return false;
	}
	return true;
}

static bool v4_only(const struct link *link, const struct wire_endpoint *endpoint)
{
	for (size_t i = 0; i < link->endpoint_count; i++) {
		if (same_socket(&link->endpoints[i], endpoint) && link->endpoints[i].family != 4)
			return false;
	}
	return true;
}

static int add(struct link *link, const struct wire_endpoint *endpoint, struct pass *sockets,
	struct err *err)
{
	bool v4 = v4_only(link, endpoint);
	struct link_bind bind = {
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
	result = link_claim(link, &bind, &fd, &granted, err);
	if (result)
		return result;
	/* Programs that are given sockets expect them as systemd makes them: blocking. */
	fcntl(fd, F_SETFL, O_RDWR);
	snprintf(name, sizeof(name), "%s-%u", endpoint->protocol == IPPROTO_UDP ? "udp" : "tcp",
		program_port(endpoint));
	result = pass_add(sockets, fd, name, err);
	if (!result)
		take_fd(&fd);
	return result;
}

int listen_fds_claim(struct link *link, struct pass *sockets, struct err *err)
{
	for (size_t i = 0; i < link->endpoint_count; i++) {
		const struct wire_endpoint *endpoint = &link->endpoints[i];
		int result;

		if (!endpoint->target_port && endpoint->port_first != endpoint->port_last)
			return err_set(err, -EINVAL,
				"service '%s' has the ports %u to %u, and --listen-fds needs single ones; give the routes single ports, or run the program without --listen-fds",
				link->service, endpoint->port_first ? endpoint->port_first : 1u,
				endpoint->port_last);
		result = is_first(link, i) ? add(link, endpoint, sockets, err) : 0;
		if (result)
			return result;
	}
	if (!sockets->count)
		return err_set(err, -ENOENT,
			"no route leads to service '%s', so there is no socket to pass",
			link->service);
	return 0;
}
