// SPDX-License-Identifier: BSD-2-Clause
// Maps addresses, and begins connections.
#include "relay/connect.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>

#include "common/channel.h"
#include "common/cleanup.h"
#include "relay/own_address.h"
#include "relay/relay.h"

static int target_nat64(const struct relay_settings *settings, const struct relay_backend *backend,
	const struct addr_endpoint *local, struct addr_endpoint *out, struct err *err)
{
	char text[ADDR_TEXT_SIZE];
	bool listed = false;
	int own;

	if (!local)
		return err_set(err, -EADDRNOTAVAIL,
			"a connection without IP addresses cannot be mapped to a backend");
	if (relay_nat64_map(settings, backend, local, out, &listed, err))
		return err->code;
	own = listed ? 0 : own_address_is(&out->addr);
	addr_format(&out->addr, text);
	if (own < 0)
		return err_errno(err, own, "looking for the way to %s", text);
	if (own)
		return err_set(err, -EACCES,
			"%s is this machine's own address, which a client must not choose; nat64-allow would permit it",
			text);
	return 0;
}

static int target_source(const struct relay_settings *settings, const struct addr_endpoint *remote,
	int family, struct connect_target *out, struct err *err)
{
	struct addr_endpoint source = {.port = 0};

	if (!remote)
		return err_set(err, -EADDRNOTAVAIL,
			"a connection without IP addresses has no source that a backend could see");
	if (relay_source_map(settings, &remote->addr, family, &source.addr, err))
		return err->code;
	out->source_length = addr_to_sockaddr(&source, family, &out->source);
	return 0;
}

int connect_target(const struct relay_settings *settings, const struct relay_backend *backend,
	const struct addr_endpoint *local, const struct addr_endpoint *remote,
	struct connect_target *out, struct err *err)
{
	struct addr_endpoint to = backend->endpoint;
	int family;

	out->source_length = 0;
	if (backend->target == RELAY_TO_UNIX) {
		out->address_length = sizeof(struct sockaddr_un);
		return channel_address(backend->path, "the backend's path",
			(struct sockaddr_un *)&out->address, err);
	}
	if (backend->target == RELAY_TO_NAT64 && target_nat64(settings, backend, local, &to, err))
		return err->code;
	family = addr_family(&to.addr);
	out->address_length = addr_to_sockaddr(&to, family, &out->address);
	if (settings->source == RELAY_SOURCE_OWN)
		return 0;
	return target_source(settings, remote, family, out, err);
}

/* Binds to an address that need not be this machine's. */
static int bind_source(int fd, const struct connect_target *target, struct err *err)
{
	bool v4 = target->source.ss_family == AF_INET;
	int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
	struct addr_endpoint source;
	char text[ADDR_TEXT_SIZE];
	int on = 1;

	/* Not permitted without CAP_NET_ADMIN; a source that is routed to this machine as a local
	 * prefix needs no more than the second. */
	if (setsockopt(fd, level, v4 ? IP_TRANSPARENT : IPV6_TRANSPARENT, &on, sizeof(on)))
		setsockopt(fd, level, v4 ? IP_FREEBIND : IPV6_FREEBIND, &on, sizeof(on));
	/* The kernel chooses the port when it knows the destination, of which each has all ports.
	 */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (!bind(fd, (const struct sockaddr *)&target->source, target->source_length))
		return 0;
	on = -errno;
	addr_from_sockaddr(&target->source, target->source_length, &source);
	return err_errno(err, on, "cannot connect from %s", addr_format(&source.addr, text));
}

int connect_begin(const struct connect_target *target, int *fd_out, struct err *err)
{
	int family = target->address.ss_family;
	cleanup_close int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	int result = 0, pending = 0;

	if (fd < 0)
		return err_errno(err, -errno, "socket");
	if (family != AF_UNIX)
		relay_prepare(fd);
	if (target->source_length)
		result = bind_source(fd, target, err);
	if (result)
		return result;
	if (connect(fd, (const struct sockaddr *)&target->address, target->address_length)) {
		if (errno != EINPROGRESS)
			return err_errno(err, -errno, "connect");
		/* On the same machine it is through by now. */
		pending = poll(&ready, 1, 0) <= 0;
		if (ready.revents & (POLLERR | POLLHUP))
			result = connect_result(fd);
	}
	if (result)
		return err_errno(err, result, "connect");
	*fd_out = take_fd(&fd);
	return pending;
}

int connect_result(int fd)
{
	socklen_t length = sizeof(int);
	int error = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length))
		return -errno;
	return -error;
}
