// SPDX-License-Identifier: BSD-2-Clause
// Two lookups: by the packet, and where that says so, by the name too.
#include "daemon/listen/dispatcher.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "daemon/listen/peek.h"
#include "daemon/log.h"

/* Clients that keep silent must not use up the daemon's descriptors. */
#define MAX_PEEKS 8192

/* The tables of one configuration. */
struct law {
	const struct config *config;
	struct table packets, names; /* names.cells is NULL where no route tests one */
};

struct judge {
	struct deliveries *deliveries;
	const struct drains *drains;
	struct peeks *peeks;
	struct law law, next;
	struct tally tally;
	bool alone;
};

static void decide_by_name(void *context, struct arrival *arrival, const char *name);

struct judge *judge_new(struct event_base *base, struct deliveries *deliveries,
	const struct drains *drains, bool alone)
{
	struct judge *judge = calloc(1, sizeof(*judge));

	if (!judge)
		return NULL;
	judge->deliveries = deliveries;
	judge->drains = drains;
	judge->alone = alone;
	judge->peeks = peeks_new(base, decide_by_name, judge);
	if (!judge->peeks) {
		free(judge);
		return NULL;
	}
	return judge;
}

static void law_fini(struct law *law)
{
	table_fini(&law->packets);
	table_fini(&law->names);
	law->config = NULL;
}

static bool has_names(const struct config *config)
{
	for (size_t r = 0; r < config->route_count; r++) {
		if (config->routes[r].name_count)
			return true;
	}
	return false;
}

int judge_prepare(struct judge *judge, const struct config *config, struct err *err)
{
	struct law law = {.config = config};
	int result = table_build(config, TABLE_OF_PACKETS, &law.packets, err);

	if (!result && has_names(config))
		result = table_build(config, TABLE_OF_NAMES, &law.names, err);
	if (result) {
		law_fini(&law);
		return result;
	}
	judge_abandon(judge);
	judge->next = law;
	return 0;
}

void judge_commit(struct judge *judge)
{
	law_fini(&judge->law);
	judge->law = judge->next;
	judge->next = (struct law){0};
	if (tally_configure(&judge->tally, &judge->law.packets))
		log_warning("without memory, the counts of routes begin anew");
}

void judge_abandon(struct judge *judge)
{
	law_fini(&judge->next);
}

static void packet_of(const struct arrival *arrival, struct table_packet *packet)
{
	*packet = (struct table_packet){
		.protocol = IPPROTO_TCP, .local = arrival->local, .remote = arrival->remote};
}

uint32_t judge_find(const struct judge *judge, const struct table_packet *packet, const char *name)
{
	const struct law *law = &judge->law;

	if (!law->config)
		return MATCH_NONE;
	if (!law->names.cells)
		return table_find(&law->packets, packet);
	return table_find_named(&law->names, law->config->names, packet, name);
}

/* The delivery of the route's service; NULL where the connection is to be refused. decides: an
 * engine has not. What one has let in came before a drain. */
static struct delivery *delivery_of(
	const struct judge *judge, const struct arrival *arrival, uint32_t route, bool decides)
{
	const struct config *config = judge->law.config;
	const struct config_service *service;

	if (route >= config->route_count || config->routes[route].action != MATCH_SERVICE)
		return NULL;
	service = config->routes[route].service;
	if (decides && arrival->era >= drains_begun(judge->drains, service->id))
		return NULL;
	return deliveries_find(judge->deliveries, service->id);
}

static void carry_out(struct judge *judge, struct arrival *arrival, uint32_t route, bool decides)
{
	struct delivery *delivery = delivery_of(judge, arrival, route, decides);

	if (decides)
		tally_note(&judge->tally, route,
			!delivery && route < judge->law.config->route_count &&
				judge->law.config->routes[route].action == MATCH_SERVICE);
	if (!delivery) {
		arrival_refuse(arrival);
		return;
	}
	if (judge->law.config->routes[route].target_port)
		arrival->service_port = judge->law.config->routes[route].target_port;
	delivery_take(delivery, arrival);
}

static void decide_by_name(void *context, struct arrival *arrival, const char *name)
{
	struct judge *judge = context;
	struct table_packet packet;

	packet_of(arrival, &packet);
	carry_out(judge, arrival, judge_find(judge, &packet, name), true);
}

void judge_take(struct judge *judge, struct arrival *arrival)
{
	struct table_packet packet;
	uint32_t route;

	packet_of(arrival, &packet);
	route = table_find(&judge->law.packets, &packet);
	if (route < judge->law.config->route_count && judge->law.names.cells &&
		judge->law.config->routes[route].name_count) {
		if (peeks_count(judge->peeks) < MAX_PEEKS)
			peeks_add(judge->peeks, arrival);
		else
			arrival_refuse(arrival);
		return;
	}
	carry_out(judge, arrival, route, judge->alone);
}

const struct tally_count *judge_count(const struct judge *judge, uint32_t number)
{
	return number < judge->tally.count ? &judge->tally.counts[number] : NULL;
}

size_t judge_waiting(const struct judge *judge)
{
	return peeks_count(judge->peeks);
}

size_t judge_waiting_before(const struct judge *judge, uint32_t era)
{
	return peeks_count_before(judge->peeks, era);
}

void judge_keep(struct judge *judge, struct handover *handover)
{
	peeks_keep(judge->peeks, handover);
}

void judge_free(struct judge *judge)
{
	if (!judge)
		return;
	peeks_free(judge->peeks);
	law_fini(&judge->law);
	law_fini(&judge->next);
	tally_fini(&judge->tally);
	free(judge);
}
