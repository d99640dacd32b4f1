// SPDX-License-Identifier: BSD-2-Clause
// Takes the status apart.
#include "cli/status_model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/control_json.h"
#include "common/cleanup.h"

static int compare_names(const void *a, const void *b)
{
	return strcmp(
		(*(struct view_service *const *)a)->name, (*(struct view_service *const *)b)->name);
}

/* The services by name. NULL without memory. */
static struct view_service **index_services(const struct view *view)
{
	struct view_service **list = calloc(view->service_count + 1, sizeof(struct view_service *));

	if (!list)
		return NULL;
	for (size_t s = 0; s < view->service_count; s++)
		list[s] = &view->services[s];
	qsort(list, view->service_count, sizeof(struct view_service *), compare_names);
	return list;
}

static struct view_service *find(
	struct view_service **index, const struct view *view, const char *name)
{
	struct view_service wanted = {.name = name}, *key = &wanted, **found;

	found = name ? bsearch(&key, index, view->service_count, sizeof(struct view_service *),
			       compare_names)
		     : NULL;
	return found ? *found : NULL;
}

/* A process may have several claims, and several connections for each. */
static int compare_pids(const void *a, const void *b)
{
	json_int_t left = *(const json_int_t *)a, right = *(const json_int_t *)b;

	return left < right ? -1 : left > right;
}

static int count_claimants(struct view_service *service, const json_t *claims, size_t most)
{
	cleanup_free json_int_t *pids = calloc(most + 1, sizeof(*pids));
	const json_t *claim, *claimant;
	size_t c, i, count = 0;

	if (!pids)
		return -ENOMEM;
	json_array_foreach(claims, c, claim)
	{
		json_array_foreach(json_object_get(claim, "claimants"), i, claimant) pids[count++] =
			control_number(claimant, "pid");
	}
	qsort(pids, count, sizeof(*pids), compare_pids);
	for (i = 0; i < count; i++)
		service->claimants += !i || pids[i] != pids[i - 1];
	return 0;
}

static int read_claims(struct view_service *service)
{
	const json_t *claims = json_object_get(service->object, "claims"), *claim;
	size_t c, most = 0;

	json_array_foreach(claims, c, claim)
	{
		service->backlog += control_number(claim, "backlog");
		most += json_array_size(json_object_get(claim, "claimants"));
	}
	return count_claimants(service, claims, most);
}

static void read_delivery(struct view_service *service)
{
	const json_t *handoff = json_object_get(service->object, "handoff"), *destination;
	const json_t *relay = json_object_get(service->object, "relay");
	const json_t *exec = json_object_get(service->object, "exec");
	size_t i;

	json_array_foreach(json_object_get(handoff, "destinations"), i, destination)
		service->in_hand +=
		control_number(destination, "waiting") + control_number(destination, "untaken");
	service->in_hand +=
		control_number(relay, "connecting") + control_number(relay, "established");
	service->in_hand += control_number(exec, "waiting");
	service->programs = control_number(exec, "running");
}

static int read_service(const json_t *object, struct view_service *service)
{
	*service = (struct view_service){
		.name = control_text(object, "name"),
		.delivery = control_text(object, "delivery"),
		.object = object,
		.draining = json_object_get(object, "draining"),
	};
	read_delivery(service);
	return read_claims(service);
}

static void read_route(const json_t *object, struct view_route *route)
{
	*route = (struct view_route){
		.text = control_text(object, "text"),
		.service = json_string_value(json_object_get(object, "service")),
		.object = object,
		.lookups = control_number(object, "lookups"),
		.unserved = control_number(object, "unserved"),
	};
}

/* What acceptors and routes say of services. */
static int add_up(struct view *view)
{
	cleanup_free struct view_service **index = index_services(view);
	const json_t *acceptor;
	size_t i;

	if (!index)
		return -ENOMEM;
	json_array_foreach(json_object_get(view->status, "acceptors"), i, acceptor)
	{
		struct view_service *service =
			find(index, view, json_string_value(json_object_get(acceptor, "service")));

		if (service)
			service->backlog += control_number(acceptor, "backlog");
	}
	for (size_t r = 0; r < view->route_count; r++) {
		struct view_service *service = find(index, view, view->routes[r].service);

		if (!service)
			continue;
		service->lookups += view->routes[r].lookups;
		service->unserved += view->routes[r].unserved;
	}
	return 0;
}

static int read_all(struct view *view)
{
	const json_t *services = json_object_get(view->status, "services"), *object;
	const json_t *routes = json_object_get(view->status, "routes");
	size_t i;

	view->service_count = json_array_size(services);
	view->route_count = json_array_size(routes);
	view->services = calloc(view->service_count + 1, sizeof(*view->services));
	view->routes = calloc(view->route_count + 1, sizeof(*view->routes));
	if (!view->services || !view->routes)
		return -ENOMEM;
	json_array_foreach(services, i, object)
	{
		if (read_service(object, &view->services[i]))
			return -ENOMEM;
	}
	json_array_foreach(routes, i, object) read_route(object, &view->routes[i]);
	return add_up(view);
}

int view_read(const char *path, struct view *view, struct err *err)
{
	struct wire_header request = control_header(WIRE_STATUS, sizeof(request));
	struct view made = {0};
	int result = control_ask_json(path, &request, &made.status, err);

	if (result)
		return result;
	result = read_all(&made);
	if (result) {
		view_fini(&made);
		return err_errno(err, result, "reading the status");
	}
	*view = made;
	return 0;
}

void view_fini(struct view *view)
{
	free(view->services);
	free(view->routes);
	json_decref(view->status);
	*view = (struct view){0};
}

const char *view_engine(const struct view *view, char text[VIEW_TEXT_SIZE])
{
	const json_t *engine = json_object_get(view->status, "engine");

	snprintf(text, VIEW_TEXT_SIZE, "engine %s: %s, Linux %s", control_text(engine, "name"),
		control_text(engine, "reason"), control_text(engine, "kernel"));
	return text;
}

static const struct {
	const char *key, *one, *several;
} kinds[] = {
	{"backlog", "connection to be accepted", "connections to be accepted"},
	{"datagrams", "UDP socket with unread packets", "UDP sockets with unread packets"},
	{"unnamed", "connection whose TLS name is not known yet",
		"connections whose TLS names are not known yet"},
	{"waiting", "accepted connection that waits", "accepted connections that wait"},
	{"running", "program", "programs"},
	{"relayed", "relayed connection", "relayed connections"},
};

const char *view_left(const json_t *draining, char text[VIEW_TEXT_SIZE])
{
	size_t used = 0;

	for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds) && used < VIEW_TEXT_SIZE; k++) {
		json_int_t count = control_number(draining, kinds[k].key);

		if (count)
			used += (size_t)snprintf(text + used, VIEW_TEXT_SIZE - used,
				"%s%" JSON_INTEGER_FORMAT " %s", used ? ", " : "", count,
				count == 1 ? kinds[k].one : kinds[k].several);
	}
	if (!used)
		strcpy(text, "nothing");
	return text;
}

bool view_is_empty(const json_t *draining)
{
	for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
		if (control_number(draining, kinds[k].key))
			return false;
	}
	return true;
}
