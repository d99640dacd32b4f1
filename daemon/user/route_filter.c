// SPDX-License-Identifier: BSD-2-Clause
// Compiles the routes of one port, in their order, into comparisons of a packet's addresses.
#include "daemon/user/route_filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define V4_SOURCE 12
#define V4_TARGET 16
#define V6_SOURCE 8
#define V6_TARGET 24

#define DROP 0u
#define KEEP 0xffffffffu

struct program {
	struct sock_filter code[BPF_MAXINSNS];
	size_t count;
};

static void emit_filter(struct program *program, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
	if (program->count < BPF_MAXINSNS)
		program->code[program->count] = (struct sock_filter){code, jt, jf, k};
	program->count++;
}

static uint32_t filter_word(const struct addr *addr, size_t number)
{
	const uint8_t *bytes = addr->bytes + 4 * number;

	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

/* Compares the address at an offset of the network header with the prefix; what differs jumps to a
 * place that close_block will fill in. */
static void compare_filter(
	struct program *program, const struct addr_prefix *prefix, uint32_t offset)
{
	bool v4 = prefix->family == AF_INET;
	unsigned first = v4 ? 3 : 0;

	for (unsigned i = first; prefix->family && i * 32 < prefix->length; i++) {
		unsigned bits = prefix->length - i * 32 < 32 ? prefix->length - i * 32 : 32;

		emit_filter(program, BPF_LD | BPF_W | BPF_ABS, 0, 0,
			(uint32_t)SKF_NET_OFF + offset + 4 * (i - first));
		if (bits < 32)
			emit_filter(program, BPF_ALU | BPF_AND | BPF_K, 0, 0, ~0u << (32 - bits));
		emit_filter(program, BPF_JMP | BPF_JEQ | BPF_K, 0, UINT8_MAX,
			filter_word(&prefix->addr, i));
	}
}

/* Makes the comparisons since `start` jump to the end of the program so far. */
static void close_filter_block(struct program *program, size_t start)
{
	if (program->count > BPF_MAXINSNS)
		return;
	for (size_t i = start; i < program->count; i++) {
		if (program->code[i].jf == UINT8_MAX)
			program->code[i].jf = (uint8_t)(program->count - i - 1);
	}
}

static bool is_of(const struct addr_prefix *prefix, int family)
{
	return !prefix->family || prefix->family == family;
}

static void add_filter_route(
	struct program *program, const struct config_route *route, int family, uint32_t verdict)
{
	bool v4 = family == AF_INET;

	for (size_t t = 0; t < route->to_count; t++) {
		for (size_t f = 0; f < route->from_count; f++) {
			size_t start = program->count;

			if (!is_of(&route->to[t], family) || !is_of(&route->from[f], family))
				continue;
			compare_filter(program, &route->to[t], v4 ? V4_TARGET : V6_TARGET);
			compare_filter(program, &route->from[f], v4 ? V4_SOURCE : V6_SOURCE);
			emit_filter(program, BPF_RET | BPF_K, 0, 0, verdict);
			close_filter_block(program, start);
		}
	}
}

static bool has_filter_port(const struct config_route *route, uint16_t port)
{
	for (size_t p = 0; p < route->port_count; p++) {
		if (port >= route->ports[p].first && port <= route->ports[p].last)
			return true;
	}
	return false;
}

static void add_family(struct program *program, const struct config *config,
	const struct config_service *service, const struct coverage_bind *bind, int family)
{
	for (size_t r = 0; service && r < config->route_count; r++) {
		const struct config_route *route = &config->routes[r];

		if ((bind->protocol == IPPROTO_TCP ? route->tcp : route->udp) &&
			has_filter_port(route, bind->endpoint.port))
			add_filter_route(
				program, route, family, route->service == service ? KEEP : DROP);
	}
	emit_filter(program, BPF_RET | BPF_K, 0, 0, DROP);
}

int filter_attach(int fd, const struct config *config, const struct config_service *service,
	const struct coverage_bind *bind, struct err *err)
{
	struct program program = {.count = 0};
	struct sock_fprog attached = {.filter = program.code};
	size_t jump;

	/* The version of IP decides; the IPv6 part is too far for a conditional jump. */
	emit_filter(&program, BPF_LD | BPF_B | BPF_ABS, 0, 0, (uint32_t)SKF_NET_OFF);
	emit_filter(&program, BPF_ALU | BPF_RSH | BPF_K, 0, 0, 4);
	emit_filter(&program, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 4);
	jump = program.count;
	emit_filter(&program, BPF_JMP | BPF_JA, 0, 0, 0);
	add_family(&program, config, service, bind, AF_INET);
	if (program.count < BPF_MAXINSNS)
		program.code[jump].k = (uint32_t)(program.count - jump - 1);
	add_family(&program, config, service, bind, AF_INET6);
	if (program.count > BPF_MAXINSNS)
		return err_set(err, -E2BIG,
			"without BPF, the routes of port %u compare too many addresses for one socket's filter; use prefixes in place of long lists",
			bind->endpoint.port);
	attached.len = (unsigned short)program.count;
	if (!setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &attached, sizeof(attached)))
		return 0;
	if (errno == EPERM)
		return err_set(err, -EPERM,
			"this machine lets no ordinary user filter sockets (SO_ATTACH_FILTER), so port %u can be claimed only for all that would come to it: bind one of the routes' addresses in place of the wildcard, or write a route without 'to' and 'from'",
			bind->endpoint.port);
	return err_errno(err, -errno, "SO_ATTACH_FILTER");
}
