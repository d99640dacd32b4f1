// SPDX-License-Identifier: BSD-2-Clause
// Asks each part for its share.
#include "daemon/control/drain_progress.h"

struct sum {
	uint32_t service;
	struct remains *remains;
};

static void add_claim(const struct claims_view *view, void *context)
{
	struct sum *sum = context;

	if (view->service != sum->service)
		return;
	sum->remains->datagrams += view->unread;
	if (view->backlog > 0)
		sum->remains->backlog += (unsigned)view->backlog;
}

struct remains remains_of(struct daemon_state *state, const struct config_service *service)
{
	const struct delivery *delivery = deliveries_find(state->deliveries, service->id);
	struct acceptors_waiting waiting = acceptors_waiting(state->acceptors, service->id);
	struct remains remains = {
		.backlog = waiting.connections,
		.datagrams = waiting.datagrams,
		.unnamed = (unsigned)judge_waiting_before(
			state->judge, drains_begun(state->drains, service->id)),
	};
	struct sum sum = {service->id, &remains};

	claims_visit(state->claims, add_claim, &sum);
	if (delivery) {
		struct delivery_load load = delivery_load(delivery);

		remains.waiting = load.waiting;
		if (service->delivery == CONFIG_RELAY)
			remains.relayed = load.running;
		else
			remains.running = load.running;
	}
	return remains;
}
