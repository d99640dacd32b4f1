// SPDX-License-Identifier: BSD-2-Clause
// Which service each guarded UDP socket is of, by its cookie.
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "daemon/kernel/kernel.h"
#include "daemon/sock_diag.h"
#include "daemon/sockets.h"
#include "steer.skel.h"

struct guarded {
	uint64_t cookie;
	bool lives;
};

struct census {
	struct guarded *list;
	size_t count;
};

int kernel_guard(struct engine *engine, int fd, uint32_t service, struct err *err)
{
	struct kernel *kernel = kernel_of(engine);
	int program = bpf_program__fd(kernel->skeleton->progs.guard);
	uint64_t cookie = sockets_cookie(fd);

	if (bpf_map_update_elem(
		    bpf_map__fd(kernel->skeleton->maps.guards), &cookie, &service, BPF_ANY))
		return err_errno(err, -errno, "guarding a UDP socket");
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof(program)))
		return err_errno(err, -errno, "SO_ATTACH_BPF");
	return 0;
}

void kernel_unguard(struct engine *engine, uint64_t cookie)
{
	struct kernel *kernel = kernel_of(engine);
	bpf_map_delete_elem(bpf_map__fd(kernel->skeleton->maps.guards), &cookie);
}

static int compare_guard(const void *a, const void *b)
{
	uint64_t of_a = ((const struct guarded *)a)->cookie,
		 of_b = ((const struct guarded *)b)->cookie;

	return of_a < of_b ? -1 : of_a > of_b;
}

static int take_census(int map, struct census *census)
{
	uint64_t cookie, *before = NULL;

	while (!bpf_map_get_next_key(map, before, &cookie)) {
		struct guarded *list =
			reallocarray(census->list, census->count + 1, sizeof(*census->list));

		if (!list)
			return -ENOMEM;
		census->list = list;
		list[census->count] = (struct guarded){.cookie = cookie};
		before = &list[census->count++].cookie;
	}
	if (census->list)
		qsort(census->list, census->count, sizeof(*census->list), compare_guard);
	return 0;
}

static void see_guard(const struct sock_diag_socket *socket, void *context)
{
	const struct census *census = context;
	const struct guarded key = {.cookie = socket->cookie};
	struct guarded *found =
		bsearch(&key, census->list, census->count, sizeof(*census->list), compare_guard);

	if (found)
		found->lives = true;
}

void kernel_forget_dead_guards(struct kernel *kernel)
{
	int map = bpf_map__fd(kernel->skeleton->maps.guards);
	struct census census = {0};
	int result = take_census(map, &census);

	if (!result && census.count)
		result = sock_diag_each(AF_INET, IPPROTO_UDP, 0, see_guard, &census);
	if (!result && census.count)
		result = sock_diag_each(AF_INET6, IPPROTO_UDP, 0, see_guard, &census);
	for (size_t i = 0; !result && i < census.count; i++) {
		if (!census.list[i].lives)
			bpf_map_delete_elem(map, &census.list[i].cookie);
	}
	free(census.list);
}
