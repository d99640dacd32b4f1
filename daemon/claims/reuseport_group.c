// SPDX-License-Identifier: BSD-2-Clause
// SO_REUSEPORT groups: their members' slots, and the standby.
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "daemon/claims/claims_private.h"
#include "daemon/log.h"
#include "daemon/sockets.h"
#include "daemon/user/route_filter.h"

/* The first family that the group takes packets of: its slots are the same for both. */
static int first_family(const struct claim *claim)
{
	return coverage_takes(&claim->bind, 4) ? 4 : 6;
}

static int group_domain(const struct claim *claim)
{
	return claim->bind.family == 4 ? AF_INET : AF_INET6;
}

static bool slot_lives(const struct claim *claim, uint32_t slot)
{
	struct steer_key key;
	uint64_t cookie;

	claims_key(claim, first_family(claim), &key);
	key.slot = slot;
	return !engine_steered(claim->claims->engine, &key, &cookie);
}

uint32_t claims_group_living(const struct claim *claim)
{
	uint32_t living = 0;

	for (uint32_t slot = 1; slot <= STEER_MAX_MEMBERS; slot++)
		living += slot_lives(claim, slot);
	return living;
}

int claims_group_queues(const struct claim *claim, struct queues *queues)
{
	/* It is not known where nothing is steered, but as they were asked for then. */
	const struct addr_endpoint *bound =
		claim->bound.port ? &claim->bound : &claim->bind.endpoint;

	return queues_at(bound, group_domain(claim), claim->bind.protocol, queues);
}

static int steer_slot(struct claim *claim, uint32_t slot, int fd, struct err *err)
{
	for (int family = 4; family <= 6; family += 2) {
		struct steer_key key;
		int result;

		if (!coverage_takes(&claim->bind, family))
			continue;
		claims_key(claim, family, &key);
		key.slot = slot;
		result = engine_steer(claim->claims->engine, &key, fd, err);
		if (result)
			return result;
	}
	return 0;
}

static int set_members(struct claim *claim, uint32_t members, struct err *err)
{
	for (int family = 4; family <= 6; family += 2) {
		struct steer_key key;
		int result;

		if (!coverage_takes(&claim->bind, family))
			continue;
		claims_key(claim, family, &key);
		result = engine_set_members(claim->claims->engine, &key, members, err);
		if (result)
			return result;
	}
	return 0;
}

/* Gives the socket the lowest slot that no living one has. The count of slots, which balancing
 * divides by, becomes that of the highest living one. */
static int add_member(struct claim *claim, int fd, struct err *err)
{
	uint32_t slot = 1, highest = STEER_MAX_MEMBERS;
	int result;

	while (slot <= STEER_MAX_MEMBERS && slot_lives(claim, slot))
		slot++;
	if (slot > STEER_MAX_MEMBERS)
		return err_set(err, -ENOSPC,
			"the SO_REUSEPORT group has %d sockets already, the most that can share connections",
			STEER_MAX_MEMBERS);
	result = steer_slot(claim, slot, fd, err);
	if (result)
		return result;
	if (claim->bind.protocol == IPPROTO_UDP) {
		engine_unguard(claim->claims->engine, claim->guarded[slot]);
		claim->guarded[slot] = sockets_cookie(fd);
	}
	while (highest > slot && !slot_lives(claim, highest))
		highest--;
	return set_members(claim, highest, err);
}

static int make_group_socket(struct claim *claim, int *fd, struct err *err)
{
	struct sockets_request request = {
		.service = claim->service,
		.protocol = claim->bind.protocol,
		.domain = group_domain(claim),
		.v6only = claim->bind.v6only,
		.reuseport = true,
		.at_placeholder =
			claim->bind.protocol == IPPROTO_TCP && engine_steers(claim->claims->engine),
		.endpoint = claim->bind.endpoint,
	};
	cleanup_close int made = -1;
	int result;

	/* All members have to be where the first one is, to be a group for the kernel too. */
	if (claim->bound.port) {
		request.at_placeholder = false;
		request.endpoint = claim->bound;
	}
	result = sockets_make(&request, &made, &claim->bound, err);
	if (result == -EADDRINUSE && fdstore_flush(claim->claims->fdstore))
		result = sockets_make(&request, &made, &claim->bound, err);
	if (!result && claim->bind.protocol == IPPROTO_TCP) {
		struct steer_key key;

		claims_key(claim, first_family(claim), &key);
		result = engine_migrate(claim->claims->engine, made, &claim->bound, &key, err);
	}
	if (!result && claim->bind.protocol == IPPROTO_UDP)
		result = claims_udp_fit(claim, made, err);
	else if (!result && !engine_steers(claim->claims->engine))
		result = filter_attach(made, claim->claims->config,
			config_service_by_id(claim->claims->config, claim->service), &claim->bind,
			err);
	if (!result)
		*fd = take_fd(&made);
	return result;
}

int claims_group_make_standby(struct claim *claim, struct err *err)
{
	cleanup_close int fd = -1;
	int result;

	/* Where the kernel chooses the member, the standby would have its share. */
	if (claim->fd >= 0 || !engine_steers(claim->claims->engine))
		return 0;
	result = make_group_socket(claim, &fd, err);
	if (result)
		return result;
	result = steer_slot(claim, STEER_SLOT_STANDBY, fd, err);
	if (result)
		return result;
	claim->fd = take_fd(&fd);
	return 0;
}

int claims_group_adopt(struct claim *claim, int fd, struct err *err)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	cleanup_close int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int result;

	if (copy < 0)
		return err_errno(err, -errno, "keeping a socket");
	if (getsockname(fd, (struct sockaddr *)&address, &length) ||
		addr_from_sockaddr(&address, length, &claim->bound))
		return err_set(err, -ESTALE, "the kept socket has no address");
	confinement_check_inherited(claim->claims->confinement, fd);
	result = steer_slot(claim, STEER_SLOT_STANDBY, copy, err);
	if (!result)
		claim->fd = take_fd(&copy);
	return result;
}

int claims_group_issue(struct claim *claim, struct issued_socket *issued, struct err *err)
{
	cleanup_close int fd = -1;
	bool standby = claim->fd >= 0 && !claims_group_living(claim);
	int result = 0;

	if (standby)
		fd = fcntl(claim->fd, F_DUPFD_CLOEXEC, 0);
	else
		result = make_group_socket(claim, &fd, err);
	if (result)
		return result;
	if (fd < 0)
		return err_errno(err, -errno, "giving the group's socket");
	result = add_member(claim, fd, err);
	if (result)
		return result;
	if (standby)
		claims_close(claim);
	result = claims_group_make_standby(claim, err);
	if (result)
		return result;
	*issued = (struct issued_socket){
		.cookie = sockets_cookie(fd), .bound = claim->bound, .shared = standby};
	issued->fd = take_fd(&fd);
	return 0;
}

int claims_group_from_single(struct claim *claim, struct err *err)
{
	cleanup_close int fd = -1;
	int result = 0;

	claims_unwatch(claim);
	fdstore_drop(claim->claims->fdstore, claim->fd);
	claim->kept = 0;
	fd = take_fd(&claim->fd);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int)))
		result = err_errno(err, -errno, "SO_REUSEPORT");
	if (!result && claim->bind.protocol == IPPROTO_UDP)
		result = engine_guard(claim->claims->engine, fd, claim->service, err);
	/* It may refuse what is new; from now on that is not for a single socket to do. */
	if (!result && !engine_steers(claim->claims->engine))
		result = filter_attach(fd, claim->claims->config,
			config_service_by_id(claim->claims->config, claim->service), &claim->bind,
			err);
	if (!result)
		result = claim->claimant_count ? add_member(claim, fd, err)
					       : steer_slot(claim, STEER_SLOT_STANDBY, fd, err);
	if (result) {
		claim->fd = take_fd(&fd);
		return result;
	}
	for (int family = 4; family <= 6; family += 2) {
		struct steer_key key;

		claims_key(claim, family, &key);
		if (coverage_takes(&claim->bind, family))
			engine_unsteer(claim->claims->engine, &key);
	}
	claim->group = true;
	claim->cookie = 0;
	if (claim->claimant_count)
		return claims_group_make_standby(claim, err);
	claim->fd = take_fd(&fd);
	return 0;
}

int claims_group_to_single(struct claim *claim, struct err *err)
{
	int result = set_members(claim, 0, err);

	if (result)
		return result;
	engine_stop_migrating(claim->claims->engine, group_domain(claim), &claim->bound);
	claims_group_admit(claim);
	claim->group = false;
	claim->cookie = claim->fd < 0 ? 0 : sockets_cookie(claim->fd);
	return 0;
}

void claims_group_drop(struct claim *claim)
{
	struct err ignored;

	for (uint32_t slot = 1; slot <= STEER_MAX_MEMBERS; slot++) {
		if (claim->guarded[slot] && !slot_lives(claim, slot))
			engine_unguard(claim->claims->engine, claim->guarded[slot]);
	}
	if (claim->bind.protocol == IPPROTO_UDP && claim->fd >= 0)
		engine_unguard(claim->claims->engine, sockets_cookie(claim->fd));
	if (claims_group_living(claim))
		return;
	set_members(claim, 0, &ignored);
	engine_stop_migrating(claim->claims->engine, group_domain(claim), &claim->bound);
}
