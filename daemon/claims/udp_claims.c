// SPDX-License-Identifier: BSD-2-Clause
// What UDP sockets need beyond TCP ones: a guard where more than the routes' packets could reach
// them, the right to answer from every address of an IPv6 prefix, and a look at what they can tell.
#include <sys/socket.h>

#include "daemon/claims/claims_private.h"
#include "daemon/sockets.h"
#include "daemon/user/route_filter.h"

static int confine_udp_claim_socket(
	struct claim *claim, const struct config_service *service, int fd, struct err *err)
{
	struct confinement *confinement = claim->claims->confinement;
	int result = confinement_assign(confinement, fd, claim->service, err);

	if (!result && service && coverage_grants(service, &claim->bind) & COVERAGE_CONNECT)
		result = confinement_allow_connect(confinement, fd, err);
	return result;
}

int claims_udp_fit(struct claim *claim, int fd, struct err *err)
{
	const struct config *config = claim->claims->config;
	const struct config_service *service = config_service_by_id(config, claim->service);
	bool wildcard = addr_is_wildcard(&claim->bind.endpoint.addr);
	int result = confine_udp_claim_socket(claim, service, fd, err);

	if (result)
		return result;
	if (claim->bind.family == 6 && wildcard && service &&
		coverage_has_prefix(service, &claim->bind)) {
		result = sockets_set_freebind(fd, AF_INET6, true, err);
		if (result)
			return result;
	}
	if (!engine_steers(claim->claims->engine))
		return !claim->group && drains_has(claim->claims->drains, claim->service)
			       ? sockets_set_drop_filter(fd, true, err)
			       : filter_attach(fd, config, service, &claim->bind, err);
	if (!wildcard && !claim->group && service &&
		coverage_is_exclusive(config, service, &claim->bind))
		return 0;
	return engine_guard(claim->claims->engine, fd, claim->service, err);
}

enum claims_pktinfo claims_udp_pktinfo(const struct claim *claim)
{
	if (claim->bind.protocol != IPPROTO_UDP || !addr_is_wildcard(&claim->bind.endpoint.addr))
		return CLAIMS_PKTINFO_NOT_NEEDED;
	if (claim->group || claim->fd < 0)
		return CLAIMS_PKTINFO_UNKNOWN;
	return sockets_tells_address(claim->fd) ? CLAIMS_PKTINFO_ON : CLAIMS_PKTINFO_OFF;
}
