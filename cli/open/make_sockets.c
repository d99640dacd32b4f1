// SPDX-License-Identifier: BSD-2-Clause
// socket(2), its options, bind(2) and listen(2), as far as needed in a child that has gone to the
// socket's namespace.
#include "cli/open/make_sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/open/netns_target.h"
#include "cli/open/unix_path.h"
#include "common/addr.h"
#include "common/channel.h"
#include "common/cleanup.h"

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

static int set_spec_socket_options(int fd, const struct socket_spec *spec, struct err *err)
{
	bool v6 = spec->domain == AF_INET6;
	int ip = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
	const struct {
		const char *name, *remedy;
		bool wanted;
		int level, option, value;
	} options[] = {
		{"reuseaddr", "", spec->reuseaddr, SOL_SOCKET, SO_REUSEADDR, 1},
		{"reuseport", "", spec->reuseport, SOL_SOCKET, SO_REUSEPORT, 1},
		{"freebind", "", spec->freebind, ip, v6 ? IPV6_FREEBIND : IP_FREEBIND, 1},
		{"transparent", " (needs CAP_NET_ADMIN in its network namespace)",
			spec->transparent, ip, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, 1},
		{"v6only", "", spec->v6only >= 0, IPPROTO_IPV6, IPV6_V6ONLY, spec->v6only},
		{"defer-accept", "", spec->defer_accept_s > 0, IPPROTO_TCP, TCP_DEFER_ACCEPT,
			spec->defer_accept_s},
		{"nodelay", "", spec->nodelay, IPPROTO_TCP, TCP_NODELAY, 1},
	};

	for (size_t i = 0; i < COUNT(options); i++) {
		if (options[i].wanted && setsockopt(fd, options[i].level, options[i].option,
						 &options[i].value, sizeof(options[i].value)))
			return err_errno(
				err, -errno, "setting %s%s", options[i].name, options[i].remedy);
	}
	if (spec->interface[0] && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, spec->interface,
					  (socklen_t)strlen(spec->interface)))
		return err_errno(err, -errno, "binding to interface %s", spec->interface);
	return 0;
}

static int find_scope(const char *scope, uint32_t *index, struct err *err)
{
	*index = if_nametoindex(scope);
	if (!*index && strspn(scope, "0123456789") == strlen(scope))
		*index = (uint32_t)strtoul(scope, NULL, 10);
	if (!*index)
		return err_set(err, -ENODEV, "there is no interface '%s' in the namespace", scope);
	return 0;
}

static int explain_spec_socket_bind(int code, const struct socket_spec *spec, struct err *err)
{
	const struct sockaddr *address = (const struct sockaddr *)&spec->address;
	char text[ADDR_TEXT_SIZE] = "the address";
	struct addr_endpoint endpoint;
	const char *remedy = "";

	if (!addr_from_sockaddr(&spec->address, spec->address_size, &endpoint))
		addr_endpoint_format(&endpoint, text);
	if (code == -EADDRINUSE)
		remedy = " by another socket; stop its program, or see reuseport";
	else if (code == -EADDRNOTAVAIL)
		remedy = "; no interface there has it: see freebind";
	else if (code == -EACCES)
		remedy =
			"; ports below net.ipv4.ip_unprivileged_port_start (1024) need CAP_NET_BIND_SERVICE";
	else if (address->sa_family != spec->domain)
		remedy = "; it is of another family than the socket";
	return err_set(err, code, "binding %s: %s%s", text, strerror(-code), remedy);
}

static int bind_address(int fd, const struct socket_spec *spec, struct err *err)
{
	struct sockaddr_storage address = spec->address;

	if (spec->scope[0]) {
		int result = find_scope(
			spec->scope, &((struct sockaddr_in6 *)&address)->sin6_scope_id, err);

		if (result)
			return result;
	}
	if (bind(fd, (struct sockaddr *)&address, spec->address_size))
		return explain_spec_socket_bind(-errno, spec, err);
	return 0;
}

/* All that depends on the namespaces of the calling process. */
static int make_here(const struct socket_spec *spec, int *fd_out, struct err *err)
{
	cleanup_close int fd = socket(spec->domain, spec->type | SOCK_CLOEXEC, spec->protocol);
	int result;

	if (fd < 0)
		return err_errno(err, -errno, "making a socket of domain %d, type %d, protocol %d",
			spec->domain, spec->type, spec->protocol);
	result = set_spec_socket_options(fd, spec, err);
	if (!result && spec->address_size && spec->domain != AF_UNIX)
		result = bind_address(fd, spec, err);
	if (!result)
		*fd_out = take_fd(&fd);
	return result;
}

static _Noreturn void be_child(const struct socket_spec *spec, int channel)
{
	struct err err = {0};
	int fd = -1;

	if (!place_enter(&spec->place, &err))
		make_here(spec, &fd, &err);
	_exit(channel_send(channel, &err, sizeof(err), fd, 0) ? 1 : 0);
}

static int make_there(const struct socket_spec *spec, int *fd, struct err *err)
{
	struct err told = {.code = -EIO, .text = "the child that was to make the socket died"};
	ssize_t length;
	int channel[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel))
		return err_errno(err, -errno, "socketpair");
	pid = fork();
	if (!pid) {
		close(channel[0]);
		be_child(spec, channel[1]);
	}
	close(channel[1]);
	if (pid < 0) {
		close(channel[0]);
		return err_errno(err, -errno, "fork");
	}
	length = channel_receive(channel[0], &told, sizeof(told), fd, 0);
	close(channel[0]);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (length == sizeof(told) && !told.code && *fd < 0)
		return err_set(err, -EMFILE, "no descriptor is left for the socket (ulimit -n)");
	return told.code ? err_set(err, told.code, "%s", told.text) : 0;
}

int make_socket(const struct socket_spec *spec, int *fd_out, struct err *err)
{
	cleanup_close int fd = -1;
	int result = place_is_here(&spec->place) ? make_here(spec, &fd, err)
						 : make_there(spec, &fd, err);

	if (!result && spec->address_size && spec->domain == AF_UNIX)
		result = path_bind(fd, spec, err);
	if (!result && spec->listen && listen(fd, spec->backlog))
		result = explain_spec_socket_bind(-errno, spec, err);
	if (!result)
		*fd_out = take_fd(&fd);
	return result;
}
