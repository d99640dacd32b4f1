// SPDX-License-Identifier: BSD-2-Clause
// The registry: finds, makes, holds and forgets claims of either kind.
#include "daemon/claims/claims.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/cleanup.h"
#include "daemon/claims/claims_private.h"
#include "daemon/log.h"
#include "daemon/sockets.h"

struct claims *claims_new(struct event_base *base, struct engine *engine,
	struct confinement *confinement, const struct drains *drains, struct fdstore *fdstore)
{
	struct claims *claims = calloc(1, sizeof(*claims));

	if (!claims)
		return NULL;
	claims->base = base;
	claims->engine = engine;
	claims->confinement = confinement;
	claims->drains = drains;
	claims->fdstore = fdstore;
	if (claims_watch_init(claims)) {
		claims_free(claims);
		return NULL;
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

static void make_place_key(
	uint32_t service, const struct coverage_bind *bind, struct claims_place_key *key)
{
	*key = (struct claims_place_key){
		.service = service,
		.port = bind->endpoint.port,
		.protocol = bind->protocol,
	};
	if (!addr_is_wildcard(&bind->endpoint.addr))
		memcpy(key->address, bind->endpoint.addr.bytes, sizeof(key->address));
}

struct claims_place *claims_find_place(
	struct claims *claims, uint32_t service, const struct coverage_bind *bind)
{
	struct claims_place_key key;
	struct claims_place *place;

	make_place_key(service, bind, &key);
	HASH_FIND(hh, claims->places, &key, sizeof(key), place);
	return place;
}

static struct claims_place *get_place(
	struct claims *claims, uint32_t service, const struct coverage_bind *bind)
{
	struct claims_place *place = claims_find_place(claims, service, bind);

	if (place)
		return place;
	place = calloc(1, sizeof(*place));
	if (!place)
		return NULL;
	make_place_key(service, bind, &place->key);
	HASH_ADD(hh, claims->places, key, sizeof(place->key), place);
	if (!place->hh.tbl)
		free(take_ptr(&place));
	return place;
}

static struct claims_service *find_claims_service(const struct claims *claims, uint32_t id)
{
	struct claims_service *service;

	HASH_FIND(hh, claims->services, &id, sizeof(id), service);
	return service;
}

static struct claims_service *get_claims_service(struct claims *claims, uint32_t id)
{
	struct claims_service *service = find_claims_service(claims, id);

	if (service)
		return service;
	service = calloc(1, sizeof(*service));
	if (!service)
		return NULL;
	service->id = id;
	HASH_ADD(hh, claims->services, id, sizeof(service->id), service);
	if (!service->hh.tbl)
		free(take_ptr(&service));
	return service;
}

static void put_place(struct claims *claims, struct claims_place *place)
{
	if (!place || !LIST_EMPTY(&place->claims))
		return;
	HASH_DEL(claims->places, place);
	free(place);
}

static void put_claims_service(struct claims *claims, struct claims_service *service)
{
	if (!service || !LIST_EMPTY(&service->claims))
		return;
	HASH_DEL(claims->services, service);
	free(service);
}

static void put_claimant(struct claims *claims, struct claims_claimant *claimant)
{
	if (!LIST_EMPTY(&claimant->holdings))
		return;
	HASH_DEL(claims->claimants, claimant);
	free(claimant);
}

/* The claimant holds the claim no more. Its record may be freed with the last of its holdings. */
static void end_holding(struct claim_holding *holding)
{
	struct claim *claim = holding->claim;
	struct claims_claimant *claimant = holding->claimant;
	size_t last = --claim->claimant_count;

	claim->claimants[holding->index] = claim->claimants[last];
	claim->holdings[holding->index] = claim->holdings[last];
	claim->holdings[holding->index]->index = holding->index;
	LIST_REMOVE(holding, entry);
	free(holding);
	put_claimant(claim->claims, claimant);
}

static void unlink_claim(struct claim *claim)
{
	LIST_REMOVE(claim, entry);
	LIST_REMOVE(claim, entry_at);
	LIST_REMOVE(claim, entry_of);
	put_place(claim->claims, claim->at);
	put_claims_service(claim->claims, claim->of);
}

static void free_claim(struct claim *claim)
{
	while (claim->claimant_count)
		end_holding(claim->holdings[0]);
	event_free(claim->hold);
	claims_group_admit(claim);
	claims_close(claim);
	free(claim->claimants);
	free(claim->holdings);
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
		claims_single_steer(claim, &ignored);
	free_claim(claim);
}

void claims_free(struct claims *claims)
{
	if (!claims)
		return;
	while (!LIST_EMPTY(&claims->all)) {
		struct claim *claim = LIST_FIRST(&claims->all);

		unlink_claim(claim);
		free_claim(claim);
	}
	claims_watch_fini(claims);
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

struct claim *claims_add(struct claims *claims, uint32_t service, const struct coverage_bind *bind,
	bool group, struct err *err)
{
	struct claim *claim = calloc(1, sizeof(*claim));

	if (claim)
		claim->hold = evtimer_new(claims->base, hold_over, claim);
	if (claim) {
		claim->at = get_place(claims, service, bind);
		claim->of = get_claims_service(claims, service);
	}
	if (!claim || !claim->hold || !claim->at || !claim->of) {
		if (claim) {
			put_place(claims, claim->at);
			put_claims_service(claims, claim->of);
		}
		if (claim && claim->hold)
			event_free(claim->hold);
		free(claim);
		err_errno(err, -ENOMEM, "recording a claim");
		return NULL;
	}
	claim->claims = claims;
	claim->service = service;
	claim->bind = *bind;
	claim->group = group;
	claim->fd = -1;
	LIST_INSERT_HEAD(&claims->all, claim, entry);
	LIST_INSERT_HEAD(&claim->at->claims, claim, entry_at);
	LIST_INSERT_HEAD(&claim->of->claims, claim, entry_of);
	return claim;
}

static struct claims_claimant *get_claimant(struct claims *claims, const struct peer *peer)
{
	struct claims_claimant *claimant;

	HASH_FIND_PTR(claims->claimants, &peer, claimant);
	if (claimant)
		return claimant;
	claimant = calloc(1, sizeof(*claimant));
	if (!claimant)
		return NULL;
	claimant->peer = peer;
	HASH_ADD_PTR(claims->claimants, peer, claimant);
	if (!claimant->hh.tbl)
		free(take_ptr(&claimant));
	return claimant;
}

static int grow_claimants(struct claim *claim)
{
	size_t capacity = claim->claimant_capacity ? claim->claimant_capacity * 2 : 4;
	const struct peer **claimants =
		reallocarray(claim->claimants, capacity, sizeof(*claimants));
	struct claim_holding **holdings;

	if (!claimants)
		return -ENOMEM;
	claim->claimants = claimants;
	holdings = reallocarray(claim->holdings, capacity, sizeof(*holdings));
	if (!holdings)
		return -ENOMEM;
	claim->holdings = holdings;
	claim->claimant_capacity = capacity;
	return 0;
}

static int add_claimant(struct claim *claim, const struct peer *peer, struct err *err)
{
	struct claims_claimant *claimant;
	struct claim_holding *holding;

	for (size_t i = 0; i < claim->claimant_count; i++) {
		if (claim->claimants[i] == peer)
			return 0;
	}
	if (claim->claimant_count == claim->claimant_capacity && grow_claimants(claim))
		return err_errno(err, -ENOMEM, "recording a claimant");
	claimant = get_claimant(claim->claims, peer);
	holding = claimant ? calloc(1, sizeof(*holding)) : NULL;
	if (!holding) {
		if (claimant)
			put_claimant(claim->claims, claimant);
		return err_errno(err, -ENOMEM, "recording a claimant");
	}
	*holding = (struct claim_holding){
		.claim = claim, .claimant = claimant, .index = claim->claimant_count};
	LIST_INSERT_HEAD(&claimant->holdings, holding, entry);
	claim->holdings[claim->claimant_count] = holding;
	claim->claimants[claim->claimant_count++] = peer;
	event_del(claim->hold);
	return 0;
}

static int64_t now_claim_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void claims_hold(struct claim *claim, unsigned least_ms)
{
	const struct config_service *service =
		config_service_by_id(claim->claims->config, claim->service);
	unsigned hold_ms = service && service->hold_ms > least_ms ? service->hold_ms : least_ms;
	struct timeval wait = {.tv_sec = hold_ms / 1000, .tv_usec = hold_ms % 1000 * 1000};

	/* Where it cannot be timed, it is better closed than kept for ever. */
	if (!hold_ms || evtimer_add(claim->hold, &wait))
		claims_forget(claim);
	else
		claim->hold_until_ms = now_claim_ms() + hold_ms;
}

void claims_release(struct claims *claims, const struct peer *peer)
{
	struct claims_claimant *claimant;
	bool more = true;

	HASH_FIND_PTR(claims->claimants, &peer, claimant);
	/* The record goes with its last holding. */
	while (claimant && more) {
		struct claim_holding *holding = LIST_FIRST(&claimant->holdings);
		struct claim *claim = holding->claim;

		more = LIST_NEXT(holding, entry);
		end_holding(holding);
		if (!claim->claimant_count)
			claims_hold(claim, 0);
	}
}

static bool same_claim_bind(const struct coverage_bind *a, const struct coverage_bind *b)
{
	return a->protocol == b->protocol && a->family == b->family && a->v6only == b->v6only &&
	       a->endpoint.port == b->endpoint.port &&
	       addr_equal(&a->endpoint.addr, &b->endpoint.addr);
}

static struct claim *find_claim(
	struct claims *claims, uint32_t service, const struct coverage_bind *bind, bool group)
{
	const struct claims_place *place = claims_find_place(claims, service, bind);
	struct claim *claim;

	if (!place)
		return NULL;
	LIST_FOREACH(claim, &place->claims, entry_at)
	{
		if (claim->group == group && same_claim_bind(&claim->bind, bind))
			return claim;
	}
	return NULL;
}

static int give_claim(struct claims *claims, const struct config_service *service,
	const struct peer *claimant, const struct coverage_bind *bind, bool reuseport,
	struct issued_socket *issued, struct err *err)
{
	struct claim *claim = find_claim(claims, service->id, bind, reuseport);
	bool existed = claim != NULL;
	int result;

	if (!claim)
		claim = claims_add(claims, service->id, bind, reuseport, err);
	if (!claim)
		return -ENOMEM;
	result = reuseport ? claims_group_issue(claim, issued, err)
			   : claims_single_issue(claim, service, issued, err);
	if (!result) {
		result = add_claimant(claim, claimant, err);
		/* Only now, since a claim in use comes before one that waits. */
		if (!result && !reuseport)
			result = claims_single_steer(claim, err);
		if (result)
			close(issued->fd);
	}
	if (!result && reuseport)
		claims_restrict(claim);
	if (result && !existed)
		claims_forget(claim);
	else
		claims_store(claim);
	return result;
}

/* A single socket and a group cannot both have the same packets, as in the kernel. What nobody uses
 * changes its kind and keeps its waiting connections; a single socket in use that has been given
 * SO_REUSEPORT since becomes a member. */
static int make_way(struct claims *claims, uint32_t service, const struct coverage_bind *bind,
	bool reuseport, struct err *err)
{
	struct claim *other = find_claim(claims, service, bind, !reuseport);
	char text[ADDR_TEXT_SIZE];
	int result;

	if (!other)
		return 0;
	if (reuseport && (!other->claimant_count || sockets_reuseport(other->fd))) {
		result = claims_group_from_single(other, err);
		claims_store(other);
		return result;
	}
	if (!reuseport && !claims_group_living(other)) {
		result = claims_group_to_single(other, err);
		claims_store(other);
		return result ? result : claims_single_steer(other, err);
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

static int refuse_delivered(const struct config_service *service, struct err *err)
{
	if (service->delivery == CONFIG_CLAIM)
		return 0;
	return err_set(err, -EOPNOTSUPP,
		"service '%s' has no socket to claim: its connections are accepted by socketboxd and delivered as %s:%u says",
		service->name, service->place.file, service->place.line);
}

int claims_claim(struct claims *claims, const struct config_service *service,
	const struct peer *claimant, const struct coverage_bind *bind, bool reuseport,
	struct issued_socket *issued, struct err *err)
{
	int result = refuse_delivered(service, err);

	if (result)
		return result;
	if (!coverage_allows(service, bind))
		return refuse_uncovered(service, bind, err);
	result = make_way(claims, service->id, bind, reuseport, err);
	if (result)
		return result;
	return give_claim(claims, service, claimant, bind, reuseport, issued, err);
}

int claims_register(struct claims *claims, const struct config_service *service,
	const struct peer *claimant, const struct coverage_bind *bind, int fd,
	struct issued_socket *issued, struct err *err)
{
	bool group = fd < 0;
	struct claim *claim = find_claim(claims, service->id, bind, group);
	bool existed = claim != NULL;
	int result = refuse_delivered(service, err);

	if (result)
		return result;
	if (!coverage_allows(service, bind))
		return refuse_uncovered(service, bind, err);
	if (existed && !group && claim->cookie != sockets_cookie(fd))
		return err_set(err, -ESTALE, "another socket has taken the registered one's place");
	if (!existed) {
		claim = claims_add(claims, service->id, bind, group, err);
		if (!claim)
			return -ENOMEM;
		result = group ? claims_group_make_standby(claim, err)
			       : claims_single_adopt(claim, fd, err);
	}
	if (!result)
		result = add_claimant(claim, claimant, err);
	/* Whether the daemon before made it drops is not known. */
	if (!result && !existed)
		claims_restrict(claim);
	if (result && !existed)
		claims_forget(claim);
	else
		claims_store(claim);
	if (!result)
		*issued = (struct issued_socket){
			.fd = -1, .cookie = claim->cookie, .bound = claim->bound, .shared = true};
	return result;
}

/* A service whose connections the daemon accepts from now on has no claims: what is left of them
 * must not stand before the listeners. */
static void drop_claim(struct claim *claim)
{
	for (int family = 4; family <= 6; family += 2) {
		struct steer_key key;

		if (!coverage_takes(&claim->bind, family))
			continue;
		claims_key(claim, family, &key);
		engine_unsteer(claim->claims->engine, &key);
	}
	claims_forget(claim);
}

/* Only sockets that are really bound to their address can hear what no route gives them. */
static int restrict_claim(struct claim *claim, struct err *err)
{
	const struct config_service *service =
		config_service_by_id(claim->claims->config, claim->service);
	bool drops;
	int result;

	if (claim->group)
		return claims_group_follow(claim, err);
	if (claim->bind.protocol == IPPROTO_UDP)
		return claims_udp_fit(claim, claim->fd, err);
	if (!engine_steers(claim->claims->engine))
		return claims_filter(claim, service, err);
	if (sockets_is_placeholder(&claim->bound.addr))
		return 0;
	drops = !service || !coverage_allows(service, &claim->bind);
	if (drops == claim->drops)
		return 0;
	result = sockets_set_drop_filter(claim->fd, drops, err);
	if (!result)
		claim->drops = drops;
	return result;
}

void claims_restrict(struct claim *claim)
{
	char text[ADDR_TEXT_SIZE];
	struct err err;

	if (restrict_claim(claim, &err))
		log_warning("%s hears more than it should: %s",
			addr_endpoint_format(&claim->bind.endpoint, text), err.text);
}

int claims_follow(struct claims *claims, uint32_t service, struct err *err)
{
	const struct claims_service *of = find_claims_service(claims, service);
	char text[ADDR_TEXT_SIZE];
	struct claim *claim;

	if (!of)
		return 0;
	LIST_FOREACH(claim, &of->claims, entry_of)
	{
		if (restrict_claim(claim, err))
			return err_prefix(err, "%s would go on taking connections",
				addr_endpoint_format(&claim->bind.endpoint, text));
	}
	return 0;
}

void claims_configure(struct claims *claims, const struct config *config)
{
	struct claim *next;

	claims->config = config;
	for (struct claim *claim = LIST_FIRST(&claims->all); claim; claim = next) {
		const struct config_service *service = config_service_by_id(config, claim->service);

		next = LIST_NEXT(claim, entry);
		if (service && service->delivery != CONFIG_CLAIM)
			drop_claim(claim);
		else
			claims_restrict(claim);
	}
}

/* TCP_INFO of a listening socket: tcpi_unacked is the length of its accept queue. */
static int32_t claim_backlog(const struct claim *claim)
{
	struct tcp_info info;
	socklen_t length = sizeof(info);
	struct queues group;

	if (claim->bind.protocol != IPPROTO_TCP)
		return -1;
	if (claim->group && !claims_group_queues(claim, &group))
		return (int32_t)group.waiting;
	if (claim->fd < 0 || getsockopt(claim->fd, IPPROTO_TCP, TCP_INFO, &info, &length))
		return -1;
	return (int32_t)info.tcpi_unacked;
}

static bool has_unread(const struct claim *claim)
{
	struct queues group;

	if (claim->bind.protocol != IPPROTO_UDP)
		return false;
	if (claim->group && !claims_group_queues(claim, &group))
		return group.waiting;
	return claim->fd >= 0 && sockets_has_unread(claim->fd);
}

static int64_t hold_left(const struct claim *claim)
{
	int64_t left = claim->hold_until_ms - now_claim_ms();

	if (!evtimer_pending(claim->hold, NULL))
		return -1;
	return left < 0 ? 0 : left;
}

static void visit_claim(const struct claim *claim,
	void (*visit)(const struct claims_view *view, void *context), void *context)
{
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
		.backlog = claim_backlog(claim),
		.unread = has_unread(claim),
		.pktinfo = claims_udp_pktinfo(claim),
	};

	visit(&view, context);
}

void claims_visit(struct claims *claims,
	void (*visit)(const struct claims_view *view, void *context), void *context)
{
	const struct claim *claim;

	LIST_FOREACH(claim, &claims->all, entry)
	visit_claim(claim, visit, context);
}

void claims_visit_service(struct claims *claims, uint32_t service,
	void (*visit)(const struct claims_view *view, void *context), void *context)
{
	const struct claims_service *of = find_claims_service(claims, service);
	const struct claim *claim;

	if (!of)
		return;
	LIST_FOREACH(claim, &of->claims, entry_of)
	visit_claim(claim, visit, context);
}
