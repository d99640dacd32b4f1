// SPDX-License-Identifier: BSD-2-Clause
// Two lookups: by the packet, and where that says so, by the name too.
#include "daemon/listen/dispatcher.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "daemon/listen/peek.h"
#include "daemon/log.h"

/* The tables of one configuration. */
struct ruleset {
	const struct config *config;
	struct table packets, names; /* names.cells is NULL where no route tests one */
};

struct dispatcher {
	struct deliveries *deliveries;
	const struct drains *drains;
	struct peeks *peeks;
	struct ruleset ruleset, next;
	struct route_counters counters;
	bool alone;
};

static void decide_by_name(void *context, struct accepted *accepted, const char *name);

struct dispatcher *dispatcher_new(struct event_base *base, struct deliveries *deliveries,
	const struct drains *drains, bool alone)
{
	struct dispatcher *dispatcher = calloc(1, sizeof(*dispatcher));

	if (!dispatcher)
		return NULL;
	dispatcher->deliveries = deliveries;
	dispatcher->drains = drains;
	dispatcher->alone = alone;
	dispatcher->peeks = peeks_new(base, decide_by_name, dispatcher);
	if (!dispatcher->peeks) {
		free(dispatcher);
		return NULL;
	}
	return dispatcher;
}

static void ruleset_fini(struct ruleset *ruleset)
{
	table_fini(&ruleset->packets);
	table_fini(&ruleset->names);
	ruleset->config = NULL;
}

static bool has_names(const struct config *config)
{
	for (size_t r = 0; r < config->route_count; r++) {
		if (config->routes[r].name_count)
			return true;
	}
	return false;
}

int dispatcher_prepare(struct dispatcher *dispatcher, const struct config *config, struct err *err)
{
	struct ruleset ruleset = {.config = config};
	int result = table_build(config, TABLE_OF_PACKETS, &ruleset.packets, err);

	if (!result && has_names(config))
		result = table_build(config, TABLE_OF_NAMES, &ruleset.names, err);
	if (result) {
		ruleset_fini(&ruleset);
		return result;
	}
	dispatcher_abandon(dispatcher);
	dispatcher->next = ruleset;
	return 0;
}

void dispatcher_commit(struct dispatcher *dispatcher)
{
	ruleset_fini(&dispatcher->ruleset);
	dispatcher->ruleset = dispatcher->next;
	dispatcher->next = (struct ruleset){0};
	if (route_counters_configure(&dispatcher->counters, &dispatcher->ruleset.packets))
		log_warning("out of memory, the counts of routes begin anew");
}

void dispatcher_abandon(struct dispatcher *dispatcher)
{
	ruleset_fini(&dispatcher->next);
}

static void packet_of(const struct accepted *accepted, struct table_packet *packet)
{
	*packet = (struct table_packet){
		.protocol = IPPROTO_TCP, .local = accepted->local, .remote = accepted->remote};
}

uint32_t dispatcher_find(
	const struct dispatcher *dispatcher, const struct table_packet *packet, const char *name)
{
	const struct ruleset *ruleset = &dispatcher->ruleset;

	if (!ruleset->config)
		return MATCH_NONE;
	if (!ruleset->names.cells)
		return table_find(&ruleset->packets, packet);
	return table_find_named(&ruleset->names, ruleset->config->names, packet, name);
}

/* The delivery of the route's service; NULL where the connection is to be refused. decides: an
 * engine has not. What one has let in came before a drain. */
static struct delivery *delivery_of(const struct dispatcher *dispatcher,
	const struct accepted *accepted, uint32_t route, bool decides)
{
	const struct config *config = dispatcher->ruleset.config;
	const struct config_service *service;

	if (route >= config->route_count || config->routes[route].action != MATCH_SERVICE)
		return NULL;
	service = config->routes[route].service;
	if (decides && accepted->generation >= drains_begun(dispatcher->drains, service->id))
		return NULL;
	return deliveries_find(dispatcher->deliveries, service->id);
}

static void carry_dispatch_out(
	struct dispatcher *dispatcher, struct accepted *accepted, uint32_t route, bool decides)
{
	struct delivery *delivery = delivery_of(dispatcher, accepted, route, decides);

	if (decides)
		route_counters_add(&dispatcher->counters, route,
			!delivery && route < dispatcher->ruleset.config->route_count &&
				dispatcher->ruleset.config->routes[route].action == MATCH_SERVICE);
	if (!delivery) {
		accepted_refuse(accepted);
		return;
	}
	if (dispatcher->ruleset.config->routes[route].target_port)
		accepted->service_port = dispatcher->ruleset.config->routes[route].target_port;
	delivery_take(delivery, accepted);
}

static void decide_by_name(void *context, struct accepted *accepted, const char *name)
{
	struct dispatcher *dispatcher = context;
	struct table_packet packet;

	packet_of(accepted, &packet);
	carry_dispatch_out(dispatcher, accepted, dispatcher_find(dispatcher, &packet, name), true);
}

void dispatcher_take(struct dispatcher *dispatcher, struct accepted *accepted)
{
	struct table_packet packet;
	uint32_t route;

	packet_of(accepted, &packet);
	route = table_find(&dispatcher->ruleset.packets, &packet);
	if (route < dispatcher->ruleset.config->route_count && dispatcher->ruleset.names.cells &&
		dispatcher->ruleset.config->routes[route].name_count) {
		peeks_add(dispatcher->peeks, accepted);
		return;
	}
	carry_dispatch_out(dispatcher, accepted, route, dispatcher->alone);
}

const struct route_count *dispatcher_count(const struct dispatcher *dispatcher, uint32_t number)
{
	return number < dispatcher->counters.count ? &dispatcher->counters.counts[number] : NULL;
}

size_t dispatcher_waiting(const struct dispatcher *dispatcher)
{
	return peeks_count(dispatcher->peeks);
}

uint64_t dispatcher_displaced(const struct dispatcher *dispatcher)
{
	return peeks_displaced(dispatcher->peeks);
}

size_t dispatcher_waiting_before(const struct dispatcher *dispatcher, uint32_t generation)
{
	return peeks_count_before(dispatcher->peeks, generation);
}

void dispatcher_save_in_flight(struct dispatcher *dispatcher, struct fdstore *fdstore)
{
	peeks_save_in_flight(dispatcher->peeks, fdstore);
}

void dispatcher_free(struct dispatcher *dispatcher)
{
	if (!dispatcher)
		return;
	peeks_free(dispatcher->peeks);
	ruleset_fini(&dispatcher->ruleset);
	ruleset_fini(&dispatcher->next);
	route_counters_fini(&dispatcher->counters);
	free(dispatcher);
}
