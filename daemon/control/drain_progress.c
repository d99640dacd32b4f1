// SPDX-License-Identifier: BSD-2-Clause
// Asks each part for its share.
#include "daemon/control/drain_progress.h"

static void add_claim(const struct claims_view *view, void *context)
{
	struct drain_progress *progress = context;

	progress->datagrams += view->unread;
	if (view->backlog > 0)
		progress->backlog += (unsigned)view->backlog;
}

struct drain_progress drain_progress_of(
	struct daemon_state *state, const struct config_service *service)
{
	const struct delivery *delivery = deliveries_find(state->deliveries, service->id);
	struct listeners_waiting waiting = listeners_waiting(state->listeners, service->id);
	struct drain_progress progress = {
		.backlog = waiting.connections,
		.datagrams = waiting.datagrams,
		.unnamed = (unsigned)dispatcher_waiting_before(
			state->dispatcher, drains_begun(state->drains, service->id)),
	};

	claims_visit_service(state->claims, service->id, add_claim, &progress);
	if (delivery) {
		struct delivery_load load = delivery_load(delivery);

		progress.waiting = load.waiting;
		if (service->delivery == CONFIG_RELAY)
			progress.relayed = load.running;
		else
			progress.running = load.running;
	}
	return progress;
}
