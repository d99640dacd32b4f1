// SPDX-License-Identifier: BSD-2-Clause
// Creates, binds and mutes the sockets that are given away.
#include "daemon/sockets.h"

#include <errno.h>
#include <linux/filter.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpf/steer_maps.h"
#include "common/cleanup.h"

#define PLACEHOLDER_TRIES STEER_PLACEHOLDERS

/* <linux/in6.h> has it, but cannot stand beside <netinet/in.h>. */
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

static const uint8_t v6_placeholder_prefix[8] = {0x01};

static void placeholder_address(
	const struct sockets_request *request, unsigned try, struct addr *out)
{
	uint32_t service = request->service;

	memset(out, 0, sizeof(*out));
	if (request->domain == AF_INET || !request->v6only) {
		out->bytes[10] = out->bytes[11] = 0xff;
		out->bytes[12] = STEER_PLACEHOLDER_V4_FIRST;
		out->bytes[13] = (uint8_t)(STEER_PLACEHOLDER_V4_SECOND + try);
		out->bytes[14] = (uint8_t)(service >> 8);
		out->bytes[15] = (uint8_t)service;
		return;
	}
	memcpy(out->bytes, v6_placeholder_prefix, sizeof(v6_placeholder_prefix));
	out->bytes[9] = (uint8_t)(77 + try);
	for (int i = 0; i < 4; i++)
		out->bytes[12 + i] = (uint8_t)(service >> (24 - 8 * i));
}

bool sockets_is_placeholder(const struct addr *addr)
{
	if (addr_is_v4(addr))
		return addr->bytes[12] == STEER_PLACEHOLDER_V4_FIRST &&
		       addr->bytes[13] >= STEER_PLACEHOLDER_V4_SECOND &&
		       addr->bytes[13] < STEER_PLACEHOLDER_V4_SECOND + PLACEHOLDER_TRIES;
	return !memcmp(addr->bytes, v6_placeholder_prefix, sizeof(v6_placeholder_prefix));
}

static int set_option(int fd, int level, int name, int value, const char *text, struct err *err)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)))
		return err_errno(err, -errno, "setsockopt %s", text);
	return 0;
}

int sockets_set_freebind(int fd, int domain, bool on, struct err *err)
{
	if (domain == AF_INET)
		return set_option(fd, IPPROTO_IP, IP_FREEBIND, on, "IP_FREEBIND", err);
	return set_option(fd, IPPROTO_IPV6, IPV6_FREEBIND, on, "IPV6_FREEBIND", err);
}

static int set_socket_options(int fd, const struct sockets_request *request, struct err *err)
{
	int result = 0;

	if (!request->unshared)
		result = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR", err);
	if (!result && request->reuseport)
		result = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT", err);
	if (!result && request->transparent)
		result = request->domain == AF_INET ? set_option(fd, IPPROTO_IP, IP_TRANSPARENT, 1,
							      "IP_TRANSPARENT", err)
						    : set_option(fd, IPPROTO_IPV6, IPV6_TRANSPARENT,
							      1, "IPV6_TRANSPARENT", err);
	if (!result && request->domain == AF_INET6)
		result = set_option(
			fd, IPPROTO_IPV6, IPV6_V6ONLY, request->v6only, "IPV6_V6ONLY", err);
	return result;
}

static int bind_to(int fd, int domain, const struct addr_endpoint *endpoint)
{
	struct sockaddr_storage address;
	socklen_t length = addr_to_sockaddr(endpoint, domain, &address);

	return bind(fd, (struct sockaddr *)&address, length) ? -errno : 0;
}

static int bind_placeholder(
	int fd, const struct sockets_request *request, struct addr_endpoint *bound)
{
	int result = -EADDRINUSE;

	bound->port = request->endpoint.port;
	for (unsigned try = 0; result == -EADDRINUSE && try < PLACEHOLDER_TRIES; try++) {
		placeholder_address(request, try, &bound->addr);
		result = bind_to(fd, request->domain, bound);
	}
	return result;
}

/* Learns the port where the kernel has picked it. */
static int read_socket_port(int fd, struct addr_endpoint *bound, struct err *err)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &length))
		return err_errno(err, -errno, "getsockname");
	return addr_from_sockaddr(&address, length, bound);
}

static int explain_socket_bind(int code, const struct sockets_request *request, struct err *err)
{
	char text[ADDR_TEXT_SIZE];

	addr_endpoint_format(&request->endpoint, text);
	if (code == -EADDRINUSE)
		return err_set(err, code,
			"the host has a socket on %s %s already; stop the program that holds it (see 'ss -lnp')",
			request->protocol == IPPROTO_TCP ? "tcp" : "udp", text);
	if (code == -EACCES)
		return err_set(err, code,
			"socketboxd may not bind port %u: it lacks CAP_NET_BIND_SERVICE",
			request->endpoint.port);
	return err_errno(err, code, "binding %s", text);
}

int sockets_make(const struct sockets_request *request, int *fd_out, struct addr_endpoint *bound,
	struct err *err)
{
	int type = request->protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM;
	cleanup_close int fd =
		socket(request->domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, request->protocol);
	int result;

	if (fd < 0)
		return err_errno(err, -errno, "socket");
	result = set_socket_options(fd, request, err);
	if (!result)
		result = sockets_set_freebind(fd, request->domain, true, err);
	if (result)
		return result;
	if (request->at_placeholder) {
		result = bind_placeholder(fd, request, bound);
	} else {
		*bound = request->endpoint;
		result = bind_to(fd, request->domain, bound);
	}
	if (result)
		return explain_socket_bind(result, request, err);
	result = sockets_set_freebind(fd, request->domain, false, err);
	if (!result && !bound->port)
		result = read_socket_port(fd, bound, err);
	if (result)
		return result;
	if (type == SOCK_STREAM && !request->idle && listen(fd, SOMAXCONN))
		return err_errno(err, -errno, "listen");
	*fd_out = take_fd(&fd);
	return 0;
}

int sockets_stop_listening(int fd, struct err *err)
{
	/* On a listening socket this is the disconnect that connect(AF_UNSPEC) makes. */
	return shutdown(fd, SHUT_RDWR) ? err_errno(err, -errno, "shutdown") : 0;
}

int sockets_refuse_new(int fd, struct err *err)
{
	/* The filter sees a segment from its TCP header on: byte 13 has the flags. */
	struct sock_filter drop_opening[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12), /* SYN and ACK */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
	};
	struct sock_fprog program = {
		.len = sizeof(drop_opening) / sizeof(*drop_opening), .filter = drop_opening};

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)))
		return err_errno(err, -errno, "SO_ATTACH_FILTER");
	return 0;
}

int sockets_refuse_callers(int fd, struct err *err)
{
	int result = sockets_refuse_new(fd, err);

	if (result)
		return result;
	return set_option(fd, SOL_SOCKET, SO_LOCK_FILTER, 1, "SO_LOCK_FILTER", err);
}

int sockets_set_drop_filter(int fd, bool drops, struct err *err)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = {.len = 1, .filter = &drop};

	if (drops && setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)))
		return err_errno(err, -errno, "SO_ATTACH_FILTER");
	if (!drops && setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)) &&
		errno != ENOENT)
		return err_errno(err, -errno, "SO_DETACH_FILTER");
	return 0;
}

uint64_t sockets_cookie(int fd)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof(cookie);

	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length);
	return cookie;
}

static bool get_flag(int fd, int level, int name)
{
	int value = 0;
	socklen_t length = sizeof(value);

	return !getsockopt(fd, level, name, &value, &length) && value;
}

bool sockets_listens(int fd)
{
	return get_flag(fd, SOL_SOCKET, SO_ACCEPTCONN);
}

bool sockets_reuseport(int fd)
{
	return get_flag(fd, SOL_SOCKET, SO_REUSEPORT);
}

bool sockets_is_connected(int fd)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof(peer);

	return !getpeername(fd, (struct sockaddr *)&peer, &length);
}

bool sockets_has_unread(int fd)
{
	struct pollfd look = {.fd = fd, .events = POLLIN};

	return poll(&look, 1, 0) > 0 && look.revents & POLLIN;
}

bool sockets_tells_address(int fd)
{
	return get_flag(fd, IPPROTO_IP, IP_PKTINFO) ||
	       get_flag(fd, IPPROTO_IP, IP_RECVORIGDSTADDR) ||
	       get_flag(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO) ||
	       get_flag(fd, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR);
}
