// SPDX-License-Identifier: BSD-2-Clause
// Single sockets: makes them, steers to the best of those for the same packets, adopts them back.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "daemon/claims/claims_private.h"
#include "daemon/sockets.h"
#include "daemon/user/route_filter.h"

static const int families[] = {4, 6};

/* Between two single sockets for the same packets: one in use before one that waits, then one of
 * the packets' own family before a dual-stack one. */
static int single_rank(const struct claim *claim, int family)
{
	return (claim->claimant_count ? 2 : 0) + (claim->bind.family == family);
}

/* Steers the key to the best single socket of the place. Where there is none, the map's entry stays
 * until the last holder closes its socket: a program whose launcher was killed goes on serving. */
static int steer_best(struct claims *claims, const struct claims_place *place, int family,
	const struct steer_key *key, struct err *err)
{
	struct claim *best = NULL, *claim;

	LIST_FOREACH(claim, &place->claims, entry_at)
	{
		/* One that was shut down is about to be replaced; the map takes none that is. */
		if (claim->group || claim->fd < 0 || !coverage_takes(&claim->bind, family) ||
			(claim->bind.protocol == IPPROTO_TCP && !sockets_listens(claim->fd)))
			continue;
		if (!best || single_rank(claim, family) > single_rank(best, family))
			best = claim;
	}
	return best ? engine_steer(claims->engine, key, best->fd, err) : 0;
}

int claims_single_steer(struct claim *claim, struct err *err)
{
	const struct claims_place *place =
		claims_find_place(claim->claims, claim->service, &claim->bind);
	struct steer_key key;

	/* One that is dead would be reported at once, and again in each turn. */
	if (claim->fd >= 0 && claim->bind.protocol == IPPROTO_TCP && sockets_listens(claim->fd))
		claims_watch(claim);
	for (size_t f = 0; place && f < 2; f++) {
		int result;

		if (!coverage_takes(&claim->bind, families[f]))
			continue;
		claims_key(claim, families[f], &key);
		result = steer_best(claim->claims, place, families[f], &key, err);
		if (result)
			return result;
	}
	return 0;
}

int claims_filter(struct claim *claim, const struct config_service *service, struct err *err)
{
	const struct config *config = claim->claims->config;
	struct coverage_bind bound = claim->bind;

	bound.endpoint = claim->bound;
	if (drains_has(claim->claims->drains, claim->service))
		return sockets_refuse_new(claim->fd, err);
	if (service && coverage_is_exclusive(config, service, &bound))
		return sockets_set_drop_filter(claim->fd, false, err);
	return filter_attach(claim->fd, config, service, &bound, err);
}

/* Without steering the socket has to be where its packets go. */
static int make_direct(struct claim *claim, const struct config_service *service, struct err *err)
{
	const struct coverage_bind *bind = &claim->bind;
	struct sockets_request request = {
		.service = claim->service,
		.protocol = bind->protocol,
		.domain = bind->family == 4 ? AF_INET : AF_INET6,
		.v6only = bind->v6only,
		.endpoint = bind->endpoint,
	};
	int result;

	if (coverage_is_shared(claim->claims->config, service, bind))
		return err_set(err, -EADDRINUSE,
			"without BPF, port %u cannot be claimed for '%s' while routes give a part of it to another service or port; let the connections be handed over ('handoff: {path: ...}' and 'socketbox run --preload'), or run socketboxd with BPF",
			bind->endpoint.port, service->name);
	/* A wildcard for which there is but one address need not be one. */
	coverage_single_address(service, bind, &request.endpoint.addr);
	result = sockets_make(&request, &claim->fd, &claim->bound, err);
	if (result)
		return result;
	claim->cookie = sockets_cookie(claim->fd);
	result = bind->protocol == IPPROTO_UDP ? claims_udp_fit(claim, claim->fd, err)
					       : claims_filter(claim, service, err);
	if (result)
		cleanup_close_fd(&claim->fd);
	return result;
}

/* Binds to the address itself where that lets nothing else in, and to a placeholder otherwise. UDP
 * sockets answer from where they are bound, so they are always bound as asked, and guarded. */
static int make_single(struct claim *claim, const struct config_service *service, struct err *err)
{
	const struct coverage_bind *bind = &claim->bind;

	if (!engine_steers(claim->claims->engine))
		return make_direct(claim, service, err);
	bool exclusive = !addr_is_wildcard(&bind->endpoint.addr) &&
			 coverage_is_exclusive(claim->claims->config, service, bind);
	struct sockets_request request = {
		.service = claim->service,
		.protocol = bind->protocol,
		.domain = bind->family == 4 ? AF_INET : AF_INET6,
		.v6only = bind->v6only,
		.at_placeholder = bind->protocol == IPPROTO_TCP && !exclusive,
		.endpoint = bind->endpoint,
	};
	int result = sockets_make(&request, &claim->fd, &claim->bound, err);

	if (result == -EADDRINUSE && bind->protocol == IPPROTO_TCP && !request.at_placeholder) {
		request.at_placeholder = true;
		result = sockets_make(&request, &claim->fd, &claim->bound, err);
	}
	if (result)
		return result;
	claim->cookie = sockets_cookie(claim->fd);
	if (bind->protocol == IPPROTO_UDP)
		result = claims_udp_fit(claim, claim->fd, err);
	if (result)
		cleanup_close_fd(&claim->fd);
	return result;
}

/* A socket that a holder has shut down is dead for all who share it, and a UDP socket that a holder
 * has connected hears nobody else: a new one takes its place. */
static bool is_dead(const struct claim *claim)
{
	return claim->bind.protocol == IPPROTO_TCP ? !sockets_listens(claim->fd)
						   : sockets_is_connected(claim->fd);
}

/* Makes the claim's socket anew; where that fails the old one stays. */
static int remake_single(struct claim *claim, const struct config_service *service, struct err *err)
{
	cleanup_close int dead = -1;
	int result;

	claims_unwatch(claim);
	fdstore_drop(claim->claims->fdstore, claim->fd);
	claim->kept = 0;
	dead = take_fd(&claim->fd);
	/* It is still bound, for as long as somebody has it. */
	if (dead >= 0) {
		setsockopt(dead, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
		engine_unguard(claim->claims->engine, claim->cookie);
	}
	result = make_single(claim, service, err);
	if (result == -EADDRINUSE && fdstore_flush(claim->claims->fdstore))
		result = make_single(claim, service, err);
	if (result)
		claim->fd = take_fd(&dead);
	else if (claim->drops)
		result = sockets_set_drop_filter(claim->fd, true, err);
	return result;
}

int claims_single_replace(
	struct claim *claim, const struct config_service *service, struct err *err)
{
	return claim->fd >= 0 && is_dead(claim) ? remake_single(claim, service, err) : 0;
}

int claims_single_issue(struct claim *claim, const struct config_service *service,
	struct issued_socket *issued, struct err *err)
{
	bool shared = claim->fd >= 0 && !is_dead(claim);
	int result = shared ? 0 : remake_single(claim, service, err);
	cleanup_close int fd = -1;

	if (result)
		return result;
	fd = fcntl(claim->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(err, -errno, "giving the socket");
	*issued = (struct issued_socket){
		.cookie = claim->cookie, .bound = claim->bound, .shared = shared};
	issued->fd = take_fd(&fd);
	return 0;
}

/* True if fd is a socket that can serve the bind: one in force, or where none is, any that listens.
 */
static int check_registered(const struct claim *wanted, int fd, struct err *err)
{
	uint64_t cookie = sockets_cookie(fd), living;
	struct steer_key key;
	int domain = 0;
	socklen_t length = sizeof(domain);

	if (!cookie || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) ||
		domain != (wanted->bind.family == 4 ? AF_INET : AF_INET6) ||
		(wanted->bind.protocol == IPPROTO_TCP && !sockets_listens(fd)))
		return err_set(err, -ESTALE, "the registered socket cannot serve the claim");
	for (size_t f = 0; f < 2; f++) {
		if (!coverage_takes(&wanted->bind, families[f]))
			continue;
		claims_key(wanted, families[f], &key);
		if (!engine_steered(wanted->claims->engine, &key, &living) && living == cookie)
			return 0;
	}
	for (size_t f = 0; f < 2; f++) {
		claims_key(wanted, families[f], &key);
		if (coverage_takes(&wanted->bind, families[f]) &&
			!engine_steered(wanted->claims->engine, &key, &living))
			return err_set(err, -ESTALE,
				"another socket has taken the registered one's place");
	}
	return 0;
}

int claims_single_adopt(struct claim *claim, int fd, struct err *err)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	int result = check_registered(claim, fd, err);

	if (result)
		return result;
	if (getsockname(fd, (struct sockaddr *)&address, &length) ||
		addr_from_sockaddr(&address, length, &claim->bound))
		return err_set(err, -ESTALE, "the registered socket has no address");
	claim->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (claim->fd < 0)
		return err_errno(err, -errno, "keeping the registered socket");
	claim->cookie = sockets_cookie(fd);
	confinement_check_inherited(claim->claims->confinement, fd);
	if (claim->bind.protocol == IPPROTO_UDP)
		result = claims_udp_fit(claim, claim->fd, err);
	return result ? result : claims_single_steer(claim, err);
}
