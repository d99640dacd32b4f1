// SPDX-License-Identifier: BSD-2-Clause
// Lone sockets, and the lifetimes of all claims.
#include "daemon/claims.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "common/cleanup.h"
#include "daemon/claims_private.h"
#include "daemon/log.h"
#include "daemon/sockets.h"

static const int families[] = {4, 6};

struct claims *claims_new(struct event_base *base, struct engine *engine)
{
	struct claims *claims = calloc(1, sizeof(*claims));

	if (claims) {
		claims->base = base;
		claims->engine = engine;
	}
	return claims;
}

void claims_key(const struct claim *claim, int family, struct steer_key *key)
{
	*key = (struct steer_key){
		.service = claim->service,
		.port = claim->bind.endpoint.port,
		.protocol = claim->bind.protocol,
		.family = (uint8_t)family,
	};
	if (!addr_is_wildcard(&claim->bind.endpoint.addr))
		memcpy(key->address, claim->bind.endpoint.addr.bytes, sizeof(key->address));
}

static bool same_key(const struct claim *claim, int family, const struct steer_key *key)
{
	struct steer_key theirs;

	if (!coverage_takes(&claim->bind, family))
		return false;
	claims_key(claim, family, &theirs);
	return !memcmp(&theirs, key, sizeof(theirs));
}

/* Between two lone sockets for the same packets: one in use before one that waits, then one of the
 * packets' own family before a dual-stack one. */
static int rank(const struct claim *claim, int family)
{
	return (claim->claimant_count ? 2 : 0) + (claim->bind.family == family);
}

/* Steers the key to the best lone socket that there is for it. Where there is none, the map's entry
 * stays until the last holder closes its socket: a program whose launcher was killed goes on
 * serving. */
static int steer_best(
	struct claims *claims, int family, const struct steer_key *key, struct err *err)
{
	struct claim *best = NULL;

	for (struct claim *claim = claims->first; claim; claim = claim->next) {
		if (!claim->group && same_key(claim, family, key) &&
			(!best || rank(claim, family) > rank(best, family)))
			best = claim;
	}
	return best ? engine_steer(claims->engine, key, best->fd, err) : 0;
}

static int steer(struct claim *claim, struct err *err)
{
	struct steer_key key;

	for (size_t f = 0; f < 2; f++) {
		int result;

		if (!coverage_takes(&claim->bind, families[f]))
			continue;
		claims_key(claim, families[f], &key);
		result = steer_best(claim->claims, families[f], &key, err);
		if (result)
			return result;
	}
	return 0;
}

static void unlink_claim(struct claim *claim)
{
	struct claim **link = &claim->claims->first;

	while (*link != claim)
		link = &(*link)->next;
	*link = claim->next;
}

static void free_claim(struct claim *claim)
{
	event_free(claim->hold);
	cleanup_close_fd(&claim->fd);
	free(claim->claimants);
	free(claim);
}

void claims_forget(struct claim *claim)
{
	struct claims *claims = claim->claims;
	struct err ignored;

	unlink_claim(claim);
	if (claim->bind.protocol == IPPROTO_UDP && !claim->group)
		engine_unguard(claims->engine, claim->cookie);
	if (claim->group)
		claims_group_drop(claim);
	else
		steer(claim, &ignored);
	free_claim(claim);
}

void claims_free(struct claims *claims)
{
	if (!claims)
		return;
	while (claims->first) {
		struct claim *claim = claims->first;

		claims->first = claim->next;
		free_claim(claim);
	}
	free(claims);
}

static void hold_over(evutil_socket_t fd, short what, void *context)
{
	struct claim *claim = context;
	char text[ADDR_TEXT_SIZE];

	(void)fd;
	(void)what;
	log_info("nobody claimed %s again: closing it",
		addr_endpoint_format(&claim->bind.endpoint, text));
	claims_forget(claim);
}

static struct claim *new_claim(struct claims *claims, uint32_t service,
	const struct coverage_bind *bind, bool group, struct err *err)
{
	struct claim *claim = calloc(1, sizeof(*claim));

	if (claim)
		claim->hold = evtimer_new(claims->base, hold_over, claim);
	if (!claim || !claim->hold) {
		free(claim);
		err_errno(err, -ENOMEM, "recording a claim");
		return NULL;
	}
	claim->claims = claims;
	claim->service = service;
	claim->bind = *bind;
	claim->group = group;
	claim->fd = -1;
	claim->next = claims->first;
	claims->first = claim;
	return claim;
}

static int add_claimant(struct claim *claim, const struct peer *peer)
{
	for (size_t i = 0; i < claim->claimant_count; i++) {
		if (claim->claimants[i] == peer)
			return 0;
	}
	if (claim->claimant_count == claim->claimant_room) {
		size_t room = claim->claimant_room ? claim->claimant_room * 2 : 4;
		const struct peer **list = reallocarray(claim->claimants, room, sizeof(*list));

		if (!list)
			return -ENOMEM;
		claim->claimants = list;
		claim->claimant_room = room;
	}
	claim->claimants[claim->claimant_count++] = peer;
	event_del(claim->hold);
	return 0;
}

static void hold(struct claim *claim)
{
	const struct config_service *service =
		config_service_by_id(claim->claims->config, claim->service);
	unsigned hold_ms = service ? service->hold_ms : 0;
	struct timeval wait = {.tv_sec = hold_ms / 1000, .tv_usec = hold_ms % 1000 * 1000};

	if (!hold_ms)
		claims_forget(claim);
	else
		evtimer_add(claim->hold, &wait);
}

void claims_release(struct claims *claims, const struct peer *claimant)
{
	struct claim *next;

	for (struct claim *claim = claims->first; claim; claim = next) {
		next = claim->next;
		for (size_t i = 0; i < claim->claimant_count; i++) {
			if (claim->claimants[i] != claimant)
				continue;
			claim->claimants[i] = claim->claimants[--claim->claimant_count];
			if (!claim->claimant_count)
				hold(claim);
			break;
		}
	}
}

static bool same_bind(const struct coverage_bind *a, const struct coverage_bind *b)
{
	return a->protocol == b->protocol && a->family == b->family && a->v6only == b->v6only &&
	       a->endpoint.port == b->endpoint.port &&
	       addr_equal(&a->endpoint.addr, &b->endpoint.addr);
}

static struct claim *find(
	struct claims *claims, uint32_t service, const struct coverage_bind *bind, bool group)
{
	for (struct claim *claim = claims->first; claim; claim = claim->next) {
		if (claim->service == service && claim->group == group &&
			same_bind(&claim->bind, bind))
			return claim;
	}
	return NULL;
}

/* Binds to the address itself where that lets nothing else in, and to an anchor otherwise. UDP
 * sockets answer from where they are bound, so they are always bound as asked, and guarded. */
static int make_lone(struct claim *claim, const struct config_service *service, struct err *err)
{
	const struct coverage_bind *bind = &claim->bind;
	bool exclusive = !addr_is_wildcard(&bind->endpoint.addr) &&
			 coverage_is_exclusive(claim->claims->config, service, bind);
	struct sockets_request request = {
		.service = claim->service,
		.protocol = bind->protocol,
		.domain = bind->family == 4 ? AF_INET : AF_INET6,
		.v6only = bind->v6only,
		.anchored = bind->protocol == IPPROTO_TCP && !exclusive,
		.endpoint = bind->endpoint,
	};
	int result = sockets_make(&request, &claim->fd, &claim->bound, err);

	if (result == -EADDRINUSE && bind->protocol == IPPROTO_TCP && !request.anchored) {
		request.anchored = true;
		result = sockets_make(&request, &claim->fd, &claim->bound, err);
	}
	if (result)
		return result;
	claim->cookie = sockets_cookie(claim->fd);
	if (bind->protocol == IPPROTO_UDP && !exclusive)
		return engine_guard(claim->claims->engine, claim->fd, claim->service, err);
	return 0;
}

/* A socket that a holder has shut down is dead for all who share it: a new one takes its place. */
static int replace_dead(struct claim *claim, const struct config_service *service, struct err *err)
{
	cleanup_close int dead = take_fd(&claim->fd);
	int result = make_lone(claim, service, err);

	if (!result)
		return steer(claim, err);
	claim->fd = take_fd(&dead);
	return result;
}

static int fill_grant(
	const struct claim *claim, bool shared, struct claims_grant *grant, struct err *err)
{
	int fd = fcntl(claim->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return err_errno(err, -errno, "giving the socket");
	*grant = (struct claims_grant){
		.fd = fd, .cookie = claim->cookie, .bound = claim->bound, .shared = shared};
	return 0;
}

static int claim_lone(struct claims *claims, const struct config_service *service,
	const struct peer *claimant, const struct coverage_bind *bind, struct claims_grant *grant,
	struct err *err)
{
	struct claim *claim = find(claims, service->id, bind, false);
	bool shared = claim != NULL;
	int result = 0;

	if (!claim) {
		claim = new_claim(claims, service->id, bind, false, err);
		if (!claim)
			return -ENOMEM;
		result = make_lone(claim, service, err);
	} else if (claim->fd < 0 ||
		   (bind->protocol == IPPROTO_TCP && !sockets_listens(claim->fd))) {
		result = replace_dead(claim, service, err);
	}
	if (!result)
		result = fill_grant(claim, shared, grant, err);
	if (!result) {
		result = add_claimant(claim, claimant);
		if (!result)
			result = steer(claim, err);
		if (result)
			close(grant->fd);
	}
	if (result && !shared)
		claims_forget(claim);
	return result;
}

static int claim_group(struct claims *claims, const struct config_service *service,
	const struct peer *claimant, const struct coverage_bind *bind, struct claims_grant *grant,
	struct err *err)
{
	struct claim *claim = find(claims, service->id, bind, true);
	bool existed = claim != NULL;
	int result;

	if (!claim)
		claim = new_claim(claims, service->id, bind, true, err);
	if (!claim)
		return -ENOMEM;
	result = claims_group_grant(claim, grant, err);
	if (!result) {
		result = add_claimant(claim, claimant);
		if (result)
			close(grant->fd);
	}
	if (result && !existed)
		claims_forget(claim);
	return result;
}

/* A lone socket and a group cannot both have the same packets, as in the kernel. What nobody uses
 * changes its kind and keeps its waiting connections; a lone socket in use that has been given
 * SO_REUSEPORT since becomes a member. */
static int make_way(struct claims *claims, uint32_t service, const struct coverage_bind *bind,
	bool reuseport, struct err *err)
{
	struct claim *other = find(claims, service, bind, !reuseport);
	char text[ADDR_TEXT_SIZE];

	if (!other)
		return 0;
	if (reuseport && (!other->claimant_count || sockets_reuseport(other->fd)))
		return claims_group_from_lone(other, err);
	if (!reuseport && !claims_group_living(other)) {
		int result = claims_group_to_lone(other, err);

		return result ? result : steer(other, err);
	}
	return err_set(err, -EADDRINUSE,
		"%s is claimed already by a program that %s SO_REUSEPORT; both have to set it",
		addr_endpoint_format(&bind->endpoint, text), reuseport ? "does not set" : "sets");
}

static int refuse_uncovered(
	const struct config_service *service, const struct coverage_bind *bind, struct err *err)
{
	char endpoint[ADDR_TEXT_SIZE], to[ADDR_TEXT_SIZE + 8] = "";
	bool wildcard = addr_is_wildcard(&bind->endpoint.addr);

	if (!wildcard) {
		char address[ADDR_TEXT_SIZE];

		snprintf(
			to, sizeof(to), "to: \"%s\", ", addr_format(&bind->endpoint.addr, address));
	}
	return err_set(err, -ENOENT,
		"no route of service '%s' covers %s %s; to serve it, add the route {%sport: %u%s, service: %s}",
		service->name, bind->protocol == IPPROTO_TCP ? "tcp" : "udp",
		addr_endpoint_format(&bind->endpoint, endpoint), wildcard ? "to: ADDRESS, " : to,
		bind->endpoint.port, bind->protocol == IPPROTO_TCP ? "" : ", protocol: udp",
		service->name);
}

int claims_claim(struct claims *claims, const struct config_service *service,
	const struct peer *claimant, const struct coverage_bind *bind, bool reuseport,
	struct claims_grant *grant, struct err *err)
{
	int result;

	if (!coverage_allows(claims->config, service, bind))
		return refuse_uncovered(service, bind, err);
	result = make_way(claims, service->id, bind, reuseport, err);
	if (result)
		return result;
	if (reuseport)
		return claim_group(claims, service, claimant, bind, grant, err);
	return claim_lone(claims, service, claimant, bind, grant, err);
}

/* True if fd is a socket that can serve the bind: one in force, or where none is, any that listens.
 */
static int check_registered(
	struct claims *claims, const struct claim *wanted, int fd, struct err *err)
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
		if (!engine_steered(claims->engine, &key, &living) && living == cookie)
			return 0;
	}
	for (size_t f = 0; f < 2; f++) {
		claims_key(wanted, families[f], &key);
		if (coverage_takes(&wanted->bind, families[f]) &&
			!engine_steered(claims->engine, &key, &living))
			return err_set(err, -ESTALE,
				"another socket has taken the registered one's place");
	}
	return 0;
}

static int adopt_lone(struct claims *claims, struct claim *claim, int fd, struct err *err)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	int result = check_registered(claims, claim, fd, err);

	if (result)
		return result;
	if (getsockname(fd, (struct sockaddr *)&address, &length) ||
		addr_from_sockaddr(&address, length, &claim->bound))
		return err_set(err, -ESTALE, "the registered socket has no address");
	claim->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (claim->fd < 0)
		return err_errno(err, -errno, "keeping the registered socket");
	claim->cookie = sockets_cookie(fd);
	return steer(claim, err);
}

int claims_register(struct claims *claims, const struct config_service *service,
	const struct peer *claimant, const struct coverage_bind *bind, int fd,
	struct claims_grant *grant, struct err *err)
{
	bool group = fd < 0;
	struct claim *claim = find(claims, service->id, bind, group);
	bool existed = claim != NULL;
	int result = 0;

	if (!coverage_allows(claims->config, service, bind))
		return refuse_uncovered(service, bind, err);
	if (existed && !group && claim->cookie != sockets_cookie(fd))
		return err_set(err, -ESTALE, "another socket has taken the registered one's place");
	if (!existed) {
		claim = new_claim(claims, service->id, bind, group, err);
		if (!claim)
			return -ENOMEM;
		result = group ? claims_group_keep(claim, err) : adopt_lone(claims, claim, fd, err);
	}
	if (!result)
		result = add_claimant(claim, claimant);
	if (result && !existed)
		claims_forget(claim);
	if (!result)
		*grant = (struct claims_grant){
			.fd = -1, .cookie = claim->cookie, .bound = claim->bound, .shared = true};
	return result;
}

/* Only sockets that are really bound to their address can hear what no route gives them. */
static void mute_uncovered(struct claim *claim, const struct config_service *service)
{
	bool deaf = !service || !coverage_allows(claim->claims->config, service, &claim->bind);
	struct err err;

	if (claim->group || claim->bind.protocol == IPPROTO_UDP ||
		sockets_is_anchor(&claim->bound.addr) || deaf == claim->deaf)
		return;
	if (sockets_deafen(claim->fd, deaf, &err))
		log_warning("%s", err.text);
	else
		claim->deaf = deaf;
}

void claims_configure(struct claims *claims, const struct config *config)
{
	claims->config = config;
	for (struct claim *claim = claims->first; claim; claim = claim->next)
		mute_uncovered(claim, config_service_by_id(config, claim->service));
}

/* TCP_INFO of a listening socket: tcpi_unacked is the length of its accept queue. */
static int32_t backlog(const struct claim *claim)
{
	struct tcp_info info;
	socklen_t length = sizeof(info);

	if (claim->fd < 0 || claim->bind.protocol != IPPROTO_TCP ||
		getsockopt(claim->fd, IPPROTO_TCP, TCP_INFO, &info, &length))
		return -1;
	return (int32_t)info.tcpi_unacked;
}

static int64_t hold_left(const struct claim *claim)
{
	struct timeval end, now, left;

	if (!evtimer_pending(claim->hold, &end))
		return -1;
	evutil_gettimeofday(&now, NULL);
	evutil_timersub(&end, &now, &left);
	return left.tv_sec < 0 ? 0 : left.tv_sec * 1000 + left.tv_usec / 1000;
}

void claims_visit(struct claims *claims,
	void (*visit)(const struct claims_view *view, void *context), void *context)
{
	for (struct claim *claim = claims->first; claim; claim = claim->next) {
		struct claims_view view = {
			.service = claim->service,
			.bind = claim->bind,
			.bound = claim->bound,
			.group = claim->group,
			.cookie = claim->group ? 0 : claim->cookie,
			.members = claim->group ? claims_group_living(claim) : 1,
			.claimants = claim->claimants,
			.claimant_count = claim->claimant_count,
			.hold_left_ms = hold_left(claim),
			.backlog = backlog(claim),
		};
		visit(&view, context);
	}
}
