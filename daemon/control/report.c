// SPDX-License-Identifier: BSD-2-Clause
// Turns the daemon's state into JSON.
#include "daemon/control/report.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "build_info.h"
#include "daemon/control/drain_progress.h"
#include "daemon/control/explain_hints.h"
#include "daemon/control/loop_report.h"

static const char *const action_names[] = {
	[MATCH_PASS] = "pass",
	[MATCH_SERVICE] = "service",
	[MATCH_RESET] = "reset",
	[MATCH_SILENT] = "silent",
	[MATCH_NAMED] = "named",
	[MATCH_DRAINED] = "drained",
};

static const char *const delivery_names[] = {
	[CONFIG_CLAIM] = "claim",
	[CONFIG_HANDOFF] = "handoff",
	[CONFIG_EXEC] = "exec",
	[CONFIG_RELAY] = "relay",
};

static const char *protocol_name(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? "tcp" : "udp";
}

static json_t *report_engine(struct daemon_state *state)
{
	struct engine_info info;
	struct utsname name = {0};
	json_t *object;

	uname(&name);
	engine_info(state->engine, &info);
	object = json_pack("{s:s, s:s, s:s, s:b, s:b, s:s?, s:s?}", "name", info.name, "reason",
		info.why ? info.why
		: state->config->engine == CONFIG_ENGINE_KERNEL
			? "the configuration says engine: kernel"
			: "BPF is available",
		"kernel", name.release, "adopted", info.adopted, "migrates", info.migrates, "pins",
		info.pin_dir, "pins_fault", info.pin_fault);
	return object;
}

/* NULL for an empty text, which is null in JSON. */
static const char *text_report_of(const struct err *err)
{
	return err->text[0] ? err->text : NULL;
}

static json_t *report_confinement(const struct daemon_state *state)
{
	const struct confinement_info *info = &state->confinement_info;

	return json_pack("{s:b, s:b, s:s?, s:s?, s:s?, s:s?, s:i}", "active", info->active,
		"adopted", info->adopted, "cgroup", info->cgroup[0] ? info->cgroup : NULL, "why",
		text_report_of(&info->why), "limitation", text_report_of(&info->limitation),
		"unpinned", text_report_of(&info->unpinned), "unconfined",
		(int)confinement_unconfined(state->confinement));
}

static json_t *claim_object(const struct claims_view *view)
{
	char endpoint[ADDR_TEXT_SIZE], bound[ADDR_TEXT_SIZE];
	json_t *claimants = json_array(), *object;

	for (size_t i = 0; i < view->claimant_count; i++)
		json_array_append_new(
			claimants, json_pack("{s:i, s:i}", "pid", (int)view->claimants[i]->pid,
					   "uid", (int)view->claimants[i]->uid));
	object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:i, s:I, s:o}", "protocol",
		protocol_name(view->bind.protocol), "family",
		view->bind.family == 4 ? "ipv4" : "ipv6", "address",
		addr_endpoint_format(&view->bind.endpoint, endpoint), "bound",
		addr_endpoint_format(&view->bound, bound), "state",
		view->claimant_count ? "claimed" : "held", "v6only", view->bind.v6only, "reuseport",
		view->group, "sockets", (int)view->members, "cookie", (json_int_t)view->cookie,
		"claimants", claimants);
	if (object && view->hold_left_ms >= 0)
		json_object_set_new(object, "hold_left_ms", json_integer(view->hold_left_ms));
	if (object && view->backlog >= 0)
		json_object_set_new(object, "backlog", json_integer(view->backlog));
	if (object && view->bind.protocol == IPPROTO_UDP)
		json_object_set_new(object, "unread", json_boolean(view->unread));
	if (object && (view->pktinfo == CLAIMS_PKTINFO_ON || view->pktinfo == CLAIMS_PKTINFO_OFF))
		json_object_set_new(
			object, "pktinfo", json_boolean(view->pktinfo == CLAIMS_PKTINFO_ON));
	return object;
}

static void append_claim(const struct claims_view *view, void *context)
{
	json_array_append_new(context, claim_object(view));
}

static json_t *report_ids(const unsigned *list, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, json_integer(list[i]));
	return array;
}

/* NULL for a service that has none, and never asked for one. */
static json_t *report_grants(const struct daemon_state *state, const struct config_service *service)
{
	struct grants_counts counts = grants_counts(state->grants, service->id);

	if (!service->grants.text && !counts.passive && !counts.connect && !counts.refused)
		return NULL;
	return json_pack("{s:s?, s:I, s:I, s:I}", "text", service->grants.text, "passive",
		(json_int_t)counts.passive, "connect", (json_int_t)counts.connect, "refused",
		(json_int_t)counts.refused);
}

/* What is left of a service that is being drained; NULL for one that is not. */
static json_t *draining_object(struct daemon_state *state, const struct config_service *service)
{
	struct drain_progress left;

	if (!drains_has(state->drains, service->id))
		return NULL;
	left = drain_progress_of(state, service);
	return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i}", "backlog", (int)left.backlog,
		"datagrams", (int)left.datagrams, "unnamed", (int)left.unnamed, "waiting",
		(int)left.waiting, "running", (int)left.running, "relayed", (int)left.relayed);
}

json_t *report_drain(struct daemon_state *state, const struct config_service *service, bool changed)
{
	json_t *draining = draining_object(state, service);

	/* Out of memory it must not seem to have ended. */
	if (!draining && drains_has(state->drains, service->id))
		return NULL;
	return json_pack("{s:s, s:b, s:o*}", "service", service->name, "changed", changed,
		"draining", draining);
}

json_t *report_service(struct daemon_state *state, const struct config_service *service)
{
	const struct delivery *delivery = deliveries_find(state->deliveries, service->id);
	json_t *claims = json_array();
	json_t *object;

	claims_visit_service(state->claims, service->id, append_claim, claims);
	object = json_pack("{s:s, s:s, s:i, s:{s:o, s:o}, s:o*, s:o*, s:o}", "name", service->name,
		"delivery", delivery_names[service->delivery], "hold_ms", (int)service->hold_ms,
		"allow", "users", report_ids(service->users, service->user_count), "groups",
		report_ids(service->groups, service->group_count), "grants",
		report_grants(state, service), "draining", draining_object(state, service),
		"claims", claims);
	if (object && delivery)
		delivery_report(delivery, object);
	return object;
}

static json_t *route_object(const struct config_route *route, uint32_t number)
{
	return json_pack("{s:i, s:s, s:i, s:s, s:s, s:s?}", "number", (int)number, "file",
		route->place.file, "line", (int)route->place.line, "text", route->text, "action",
		action_names[route->action], "service",
		route->service ? route->service->name : NULL);
}

/* What the engine and the listeners have counted. */
static int route_count(struct daemon_state *state, uint32_t number, struct steer_count *count)
{
	const struct route_count *dispatched = dispatcher_count(state->dispatcher, number);
	int result = engine_count(state->engine, number, count);

	if (result == -EOPNOTSUPP && dispatched) {
		*count = (struct steer_count){0};
		result = 0;
	}
	if (!result && dispatched) {
		count->lookups += dispatched->lookups;
		count->no_socket += dispatched->no_socket;
	}
	return result;
}

json_t *report_route(struct daemon_state *state, uint32_t number)
{
	json_t *object = route_object(&state->config->routes[number], number);
	struct steer_count count;

	if (object && !route_count(state, number, &count)) {
		json_object_set_new(object, "lookups", json_integer((json_int_t)count.lookups));
		json_object_set_new(object, "no_socket", json_integer((json_int_t)count.no_socket));
	}
	return object;
}

json_t *report_whole(struct daemon_state *state)
{
	json_t *files = json_array();

	for (size_t i = 0; i < state->config->file_count; i++)
		json_array_append_new(files, json_string(state->config->files[i]));
	return json_pack("{s:s, s:i, s:s, s:I, s:I, s:i, s:o, s:o, s:o, s:o, s:i, s:o, s:i, s:I}",
		"version", SOCKETBOX_BUILD_VERSION, "pid", (int)getpid(), "control",
		state->control_path, "started", (json_int_t)state->started, "loaded",
		(json_int_t)state->loaded, "reloads", (int)state->reloads, "files", files, "engine",
		report_engine(state), "confinement", report_confinement(state), "loop",
		loop_report(), "shapes", (int)state->shapes, "listeners",
		listeners_report(state->listeners, state->config), "peeking",
		(int)dispatcher_waiting(state->dispatcher), "peeking_displaced",
		(json_int_t)dispatcher_displaced(state->dispatcher));
}

json_t *report_reload(int result, const struct diagnostics *diagnostics)
{
	json_t *lines = json_array();

	for (size_t i = 0; i < diagnostics->count; i++)
		json_array_append_new(lines, json_string(diagnostics->lines[i]));
	return json_pack("{s:b, s:o}", "ok", !result, "diagnostics", lines);
}

/* Finds the claim that a socket cookie belongs to. */
struct socket_search {
	uint64_t cookie;
	json_t *claim;
	enum claims_pktinfo
		pktinfo; /* where it is none: of a group's socket, which has no record */
};

static void find_report_socket(const struct claims_view *view, void *context)
{
	struct socket_search *search = context;

	if (view->cookie != search->cookie || search->claim)
		return;
	search->claim = claim_object(view);
	search->pktinfo = view->pktinfo;
}

static json_t *socket_object(struct daemon_state *state, const struct steer_verdict *verdict,
	uint64_t cookie, enum claims_pktinfo *pktinfo)
{
	struct socket_search search = {.cookie = cookie, .pktinfo = CLAIMS_PKTINFO_UNKNOWN};
	json_t *object = json_pack("{s:I, s:s, s:s}", "cookie", (json_int_t)cookie, "found_by",
		verdict->wildcard ? "wildcard" : "address", "kind",
		verdict->slot == STEER_SLOT_GRANTED   ? "granted"
		: verdict->slot == STEER_SLOT_SINGLE  ? "single"
		: verdict->slot == STEER_SLOT_STANDBY ? "standby"
						      : "reuseport");

	claims_visit_service(state->claims, verdict->service, find_report_socket, &search);
	if (object && search.claim)
		json_object_set_new(object, "claim", search.claim);
	*pktinfo = search.pktinfo;
	return object;
}

/* Finds the claim whose socket is bound to what the packet is sent to, where nothing is steered. */
struct bound_search {
	const struct table_packet *packet;
	uint32_t service;
	const struct claims_view *found;
	uint64_t cookie;
	bool wildcard;
};

static void find_bound_claim(const struct claims_view *view, void *context)
{
	struct bound_search *search = context;
	const struct addr_endpoint *local = &search->packet->local;
	bool wildcard = addr_is_wildcard(&view->bound.addr);

	if (search->found || view->bind.protocol != search->packet->protocol ||
		view->bound.port != local->port ||
		!coverage_takes(&view->bind, addr_is_v4(&local->addr) ? 4 : 6) ||
		(!wildcard && !addr_equal(&view->bound.addr, &local->addr)))
		return;
	search->found = view;
	search->cookie = view->cookie;
	search->wildcard = wildcard;
}

static void find_bound(struct daemon_state *state, const struct table_packet *packet,
	struct steer_verdict *verdict, uint64_t *cookie, bool *passed)
{
	struct bound_search search = {.packet = packet, .service = verdict->service};

	if (verdict->action != MATCH_SERVICE ||
		deliveries_find(state->deliveries, verdict->service))
		return;
	claims_visit_service(state->claims, verdict->service, find_bound_claim, &search);
	*passed = search.found;
	verdict->found = search.found != NULL;
	verdict->wildcard = search.wildcard;
	*cookie = search.cookie;
}

/* Without steering, a program's own socket cannot refuse. */
static const char *drained_outcome(const struct daemon_state *state, uint32_t id)
{
	const struct config_service *service = config_service_by_id(state->config, id);
	const struct delivery *delivery = deliveries_find(state->deliveries, id);

	if (engine_steers(state->engine) || !service ||
		(delivery && !delivery_wants_listener(delivery)))
		return "refused: the service is being drained";
	return "dropped in silence: the service is being drained";
}

static const char *report_outcome(
	const struct daemon_state *state, const struct steer_verdict *verdict, bool passed)
{
	if (verdict->slot == STEER_SLOT_GRANTED)
		return "served, by a grant";
	if (verdict->action == MATCH_NAMED)
		return passed ? "accepted by socketboxd, which looks for the TLS name"
			      : "refused: socketboxd does not accept";
	if (verdict->action == MATCH_SERVICE && verdict->listener && passed)
		return "accepted by socketboxd, for the service's delivery";
	if (verdict->action == MATCH_SERVICE)
		return passed ? "served" : "refused: the service has no socket";
	if (verdict->action == MATCH_DRAINED)
		return drained_outcome(state, verdict->service);
	if (verdict->action == MATCH_RESET)
		return "refused with a reset";
	if (verdict->action == MATCH_SILENT)
		return "dropped in silence";
	return "the host's own sockets";
}

/* Adds the route and socket that the verdict names, and what the service needs. */
static void add_found(struct daemon_state *state, const struct table_packet *packet,
	const struct steer_verdict *verdict, uint64_t cookie, json_t *object)
{
	const struct config_route *route = verdict->route < state->config->route_count
						   ? &state->config->routes[verdict->route]
						   : NULL;
	bool drained = route && route->service && drains_has(state->drains, route->service->id);
	enum claims_pktinfo pktinfo;
	const char *hint = NULL;
	char text[EXPLAIN_HINTS_SIZE];

	if (route)
		json_object_set_new(object, "route", route_object(route, verdict->route));
	if (drained)
		hint = explain_hints_drained(route, text);
	if (verdict->found && !verdict->listener) {
		json_object_set_new(
			object, "socket", socket_object(state, verdict, cookie, &pktinfo));
		if (packet->protocol == IPPROTO_UDP && verdict->wildcard)
			hint = explain_hints_wildcard(pktinfo, packet, text);
	} else if (route && !verdict->found && verdict->action == MATCH_SERVICE) {
		hint = explain_hints_unclaimed(route, packet, text);
	}
	if (hint)
		json_object_set_new(object, "needs", json_string(hint));
}

json_t *report_explain(
	struct daemon_state *state, const struct table_packet *packet, struct err *err)
{
	char local[ADDR_TEXT_SIZE], remote[ADDR_TEXT_SIZE];
	struct steer_verdict verdict;
	struct engine_info info;
	uint64_t cookie;
	json_t *object;
	bool passed;

	if (engine_explain(state->engine, packet, &verdict, &cookie, &passed, err))
		return NULL;
	engine_info(state->engine, &info);
	if (!info.steers)
		find_bound(state, packet, &verdict, &cookie, &passed);
	object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "engine", info.name, "protocol",
		protocol_name(packet->protocol), "local",
		addr_endpoint_format(&packet->local, local), "remote",
		addr_endpoint_format(&packet->remote, remote), "action",
		action_names[verdict.slot == STEER_SLOT_GRANTED ? MATCH_SERVICE : verdict.action],
		"outcome", report_outcome(state, &verdict, passed));
	if (!object) {
		err_errno(err, -ENOMEM, "explaining");
		return NULL;
	}
	add_found(state, packet, &verdict, cookie, object);
	return object;
}
