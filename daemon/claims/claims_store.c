// SPDX-License-Identifier: BSD-2-Clause
// Keeps the sockets of claims beyond the daemon's end, and takes up those of the daemon before.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "daemon/claims/claims_private.h"
#include "daemon/log.h"
#include "daemon/sockets.h"

#define CLAIM "claim."

/* How long launchers have to come back, whatever the service's hold time: they try every second. */
#define REGISTER_MS 5000

static void name_claim(const struct claim *claim, char name[FDSTORE_NAME_SIZE])
{
	char endpoint[FDSTORE_ENDPOINT_SIZE];

	snprintf(name, FDSTORE_NAME_SIZE, CLAIM "%08x.%u.%u%d%d.%s", claim->service,
		claim->bind.protocol, claim->bind.family, claim->bind.v6only, claim->group,
		fdstore_endpoint(&claim->bind.endpoint, endpoint));
}

static int read_claim_name(
	const char *name, uint32_t *service, struct coverage_bind *bind, bool *group)
{
	char endpoint[FDSTORE_ENDPOINT_SIZE];
	unsigned id, protocol, family, v6only, is_group;

	if (sscanf(name, CLAIM "%8x.%3u.%1u%1u%1u.%36[0-9a-f]", &id, &protocol, &family, &v6only,
		    &is_group, endpoint) != 6 ||
		fdstore_read_endpoint(endpoint, &bind->endpoint))
		return -EINVAL;
	*service = id;
	*group = is_group;
	bind->protocol = (uint8_t)protocol;
	bind->family = (uint8_t)family;
	bind->v6only = v6only;
	return 0;
}

void claims_store(struct claim *claim)
{
	struct fdstore *fdstore = claim->claims->fdstore;
	uint64_t cookie = claim->fd < 0 ? 0 : sockets_cookie(claim->fd);
	char name[FDSTORE_NAME_SIZE];

	if (cookie == claim->kept && claim->group == claim->kept_group)
		return;
	fdstore_drop(fdstore, claim->fd);
	claim->kept = cookie;
	claim->kept_group = claim->group;
	if (!cookie)
		return;
	name_claim(claim, name);
	fdstore_put(fdstore, claim->fd, name);
}

void claims_close(struct claim *claim)
{
	claims_unwatch(claim);
	fdstore_drop(claim->claims->fdstore, claim->fd);
	claim->kept = 0;
	cleanup_close_fd(&claim->fd);
}

/* A service that is gone, or whose connections the daemon accepts now, has no claims. */
static bool has_claims(const struct claims *claims, uint32_t id)
{
	const struct config_service *service = config_service_by_id(claims->config, id);

	return service && service->delivery == CONFIG_CLAIM;
}

static void restore_one(void *context, const char *name, int *fd)
{
	struct claims *claims = context;
	struct coverage_bind bind;
	struct claim *claim;
	struct err err;
	uint32_t service;
	bool group;
	int result;

	if (read_claim_name(name, &service, &bind, &group) || !has_claims(claims, service))
		return;
	claim = claims_add(claims, service, &bind, group, &err);
	if (!claim)
		return;
	result = group ? claims_group_adopt(claim, *fd, &err)
		       : claims_single_adopt(claim, *fd, &err);
	if (result) {
		log_debug("%s: %s", name, err.text);
		claims_forget(claim);
		return;
	}
	cleanup_close_fd(fd);
	claims_store(claim);
	/* Whether the daemon before made it drops is not known. */
	if (!group && bind.protocol == IPPROTO_TCP && !sockets_is_placeholder(&claim->bound.addr))
		sockets_set_drop_filter(claim->fd, false, &err);
	claims_restrict(claim);
	claims_hold(claim, REGISTER_MS);
}

void claims_restore(struct claims *claims)
{
	fdstore_visit_inherited(claims->fdstore, CLAIM, restore_one, claims);
}
