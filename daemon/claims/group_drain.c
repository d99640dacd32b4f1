// SPDX-License-Identifier: BSD-2-Clause
// SO_REUSEPORT groups of drained services where nothing is steered. The members' sockets cannot be
// told to take nothing new, since there is no copy of them. So the group gets further sockets, the
// drop_group, which drop all that comes, and a program by which the kernel chooses always the same
// of them.
//
// A member that is closed leaves its place to the group's last socket. With one drop_group more
// than there are members, the place that is chosen is a drop_group's whoever is closed or joins.
#include <errno.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "daemon/claims/claims_private.h"
#include "daemon/sockets.h"

#ifndef SO_DETACH_REUSEPORT_BPF
#define SO_DETACH_REUSEPORT_BPF 68
#endif

struct drop_group {
	size_t count;
	int fds[];
};

static int add_refuser(const struct claim *claim, struct drop_group *drop_group, struct err *err)
{
	bool tcp = claim->bind.protocol == IPPROTO_TCP;
	struct sockets_request request = {
		.service = claim->service,
		.protocol = claim->bind.protocol,
		.domain = claim->bind.family == 4 ? AF_INET : AF_INET6,
		.v6only = claim->bind.v6only,
		.reuseport = true,
		.idle = tcp,
		.endpoint = claim->bind.endpoint,
	};
	cleanup_close int fd = -1;
	struct addr_endpoint bound;
	int result = sockets_make(&request, &fd, &bound, err);

	if (!result)
		result = sockets_set_drop_filter(fd, true, err);
	if (!result && tcp && listen(fd, 1))
		result = err_errno(err, -errno, "listen");
	if (!result)
		drop_group->fds[drop_group->count++] = take_fd(&fd);
	return result;
}

/* A program that the service itself has attached to the group is lost. */
static int choose_group_drain(const struct drop_group *drop_group, unsigned place, struct err *err)
{
	struct sock_filter code = BPF_STMT(BPF_RET | BPF_K, place);
	struct sock_fprog program = {.len = 1, .filter = &code};

	if (setsockopt(drop_group->fds[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
		    sizeof(program)))
		return err_errno(err, -errno, "SO_ATTACH_REUSEPORT_CBPF");
	return 0;
}

static void let_go(struct drop_group *drop_group)
{
	for (size_t i = 0; i < drop_group->count; i++)
		cleanup_close_fd(&drop_group->fds[i]);
	free(drop_group);
}

static int refuse_group_drain(struct claim *claim, struct err *err)
{
	struct drop_group *drop_group;
	struct queues group;
	int result = claims_group_queues(claim, &group);

	if (result)
		return err_errno(err, result, "counting the sockets of the group (sock_diag)");
	drop_group = calloc(1, sizeof(*drop_group) + (group.sockets + 1) * sizeof(int));
	if (!drop_group)
		return err_errno(err, -ENOMEM, "refusing connections");
	while (!result && drop_group->count <= group.sockets)
		result = add_refuser(claim, drop_group, err);
	if (!result)
		result = choose_group_drain(drop_group, group.sockets, err);
	if (result)
		let_go(drop_group);
	else
		claim->drop_group = drop_group;
	return result;
}

void claims_group_admit(struct claim *claim)
{
	struct drop_group *drop_group = take_ptr(&claim->drop_group);

	if (!drop_group)
		return;
	setsockopt(drop_group->fds[0], SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &(int){0}, sizeof(int));
	let_go(drop_group);
}

int claims_group_follow(struct claim *claim, struct err *err)
{
	if (engine_steers(claim->claims->engine))
		return 0;
	if (drains_has(claim->claims->drains, claim->service))
		return claim->drop_group ? 0 : refuse_group_drain(claim, err);
	claims_group_admit(claim);
	return 0;
}
