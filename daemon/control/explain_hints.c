// SPDX-License-Identifier: BSD-2-Clause
// Names the remedy; judges UDP sockets by what the kernel says about them and its routes.
#include "daemon/control/explain_hints.h"

#include <stdio.h>
#include <sys/socket.h>

#include "common/cleanup.h"

static const char *option_for(const struct table_packet *packet)
{
	return addr_is_v4(&packet->local.addr) ? "IP_PKTINFO" : "IPV6_RECVPKTINFO";
}

const char *explain_hints_drained(const struct config_route *route, char *text)
{
	snprintf(text, EXPLAIN_HINTS_SIZE,
		"'socketbox drain --end %s': the service is being drained%s", route->service->name,
		route->name_count ? ", and who asks for a name of the route is refused" : "");
	return text;
}

const char *explain_hints_unclaimed(
	const struct config_route *route, const struct table_packet *packet, char *text)
{
	bool prefix = false;

	for (size_t i = 0; i < route->to_count; i++) {
		if (addr_prefix_contains(&route->to[i], &packet->local.addr))
			prefix = route->to[i].length < 128;
	}
	if (packet->protocol != IPPROTO_UDP || !prefix)
		return NULL;
	snprintf(text, EXPLAIN_HINTS_SIZE,
		"a program that binds the wildcard address and answers with %s, since the route is for a prefix; one without it has to bind each address, and needs a route for each",
		option_for(packet));
	return text;
}

/* The address that the kernel sends from where a program names none. */
static int usual_source(const struct addr_endpoint *remote, struct addr *source)
{
	int domain = addr_family(&remote->addr);
	cleanup_close int fd = socket(domain, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage address;
	socklen_t length = addr_to_sockaddr(remote, domain, &address);
	struct addr_endpoint local;

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, length))
		return -errno;
	length = sizeof(address);
	if (getsockname(fd, (struct sockaddr *)&address, &length) ||
		addr_from_sockaddr(&address, length, &local))
		return -EADDRNOTAVAIL;
	*source = local.addr;
	return 0;
}

const char *explain_hints_wildcard(
	enum claims_pktinfo pktinfo, const struct table_packet *packet, char *text)
{
	char local[ADDR_TEXT_SIZE], from[ADDR_TEXT_SIZE] = "an address that the kernel picks";
	struct addr source;

	if (pktinfo != CLAIMS_PKTINFO_OFF && pktinfo != CLAIMS_PKTINFO_UNKNOWN)
		return NULL;
	if (!usual_source(&packet->remote, &source)) {
		if (addr_equal(&source, &packet->local.addr))
			return NULL;
		addr_format(&source, from);
	}
	addr_format(&packet->local.addr, local);
	snprintf(text, EXPLAIN_HINTS_SIZE,
		pktinfo == CLAIMS_PKTINFO_OFF
			? "%s, which the program has not set: its socket is on the wildcard address, so its answers leave from %s and not from %s; have the program set it, or bind %s"
			: "%s, if the program does not set it (its SO_REUSEPORT sockets cannot be asked): without it answers leave from %s and not from %s; else have the program bind %s",
		option_for(packet), from, local, local);
	return text;
}
