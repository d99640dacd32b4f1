// SPDX-License-Identifier: BSD-2-Clause
// Adds up what the kernel tells of one address.
#include "daemon/claims/socket_queues.h"

#include <stddef.h>

#include "daemon/sock_diag.h"

struct sum {
	const struct addr *addr;
	struct queues queues;
};

static void add_queue(const struct sock_diag_socket *socket, void *context)
{
	struct sum *sum = context;

	if (!addr_equal(&socket->local.addr, sum->addr))
		return;
	sum->queues.sockets++;
	sum->queues.waiting += socket->waiting;
}

int queues_at(
	const struct addr_endpoint *bound, int domain, uint8_t protocol, struct queues *queues)
{
	struct sum sum = {.addr = &bound->addr};
	int result = sock_diag_each(domain, protocol, bound->port, add_queue, &sum);

	if (!result)
		*queues = sum.queues;
	return result;
}
