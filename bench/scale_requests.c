// SPDX-License-Identifier: BSD-2-Clause
// One request each, of the daemon or, for comparison, of the kernel.
#include "bench/scale_requests.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/addr.h"
#include "common/cleanup.h"
#include "common/control_client.h"

#define PORT	    80u
#define NATIVE_PORT 81u

static struct addr service_address(unsigned number)
{
	struct addr address;
	char text[ADDR_TEXT_SIZE];

	snprintf(
		text, sizeof(text), "2001:db8:1::%x:%x", (number + 1) >> 16, (number + 1) & 0xffff);
	addr_parse(text, &address, NULL);
	return address;
}

int scale_claim(int connection, unsigned service, int *fd, struct err *err)
{
	struct wire_claim claim = {
		.header = control_client_header(WIRE_CLAIM, sizeof(claim)),
		.port = PORT,
		.family = 6,
		.protocol = IPPROTO_TCP,
	};
	struct wire_claimed claimed;
	struct addr address = service_address(service);

	memcpy(claim.address, address.bytes, sizeof(claim.address));
	return control_client_ask(
		connection, &claim, -1, WIRE_CLAIMED, &claimed, sizeof(claimed), fd, err);
}

int scale_ask(int connection, const void *request, struct err *err)
{
	struct wire_text text;
	cleanup_close int fd = -1;

	return control_client_ask(
		connection, request, -1, WIRE_TEXT, &text, sizeof(text), &fd, err);
}

int scale_explain(int connection, unsigned service, struct err *err)
{
	struct wire_explain explain = {
		.header = control_client_header(WIRE_EXPLAIN, sizeof(explain)),
		.local_port = PORT,
		.remote_port = 50000,
		.protocol = IPPROTO_TCP,
	};
	struct addr local = service_address(service), remote;

	addr_parse("2001:db8::100", &remote, NULL);
	memcpy(explain.local, local.bytes, sizeof(explain.local));
	memcpy(explain.remote, remote.bytes, sizeof(explain.remote));
	return scale_ask(connection, &explain, err);
}

int scale_bind_native(unsigned service, int *fd_out)
{
	const struct addr_endpoint endpoint = {service_address(service), NATIVE_PORT};
	cleanup_close int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage address;
	socklen_t length = addr_to_sockaddr(&endpoint, AF_INET6, &address);
	int on = 1;

	/* The addresses are local by a route, not by an interface. */
	if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on)) ||
		bind(fd, (struct sockaddr *)&address, length) || listen(fd, 4096))
		return -errno;
	*fd_out = take_fd(&fd);
	return 0;
}

int scale_connect(unsigned service, int *fd_out)
{
	const struct addr_endpoint endpoint = {service_address(service), PORT};
	const struct linger reset = {.l_onoff = 1};
	const struct timeval patience = {.tv_sec = 10};
	cleanup_close int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage address;
	socklen_t length = addr_to_sockaddr(&endpoint, AF_INET6, &address);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ||
		connect(fd, (struct sockaddr *)&address, length))
		return -errno;
	*fd_out = take_fd(&fd);
	return 0;
}
