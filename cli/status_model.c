// SPDX-License-Identifier: BSD-2-Clause
// Takes the status apart.
#include "cli/status_model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/control_json.h"
#include "common/cleanup.h"

static int compare_model_names(const void *a, const void *b)
{
	return strcmp((*(struct status_model_service *const *)a)->name,
		(*(struct status_model_service *const *)b)->name);
}

/* The services by name. NULL out of memory. */
static struct status_model_service **index_services(const struct status_model *model)
{
	struct status_model_service **list =
		calloc(model->service_count + 1, sizeof(struct status_model_service *));

	if (!list)
		return NULL;
	for (size_t s = 0; s < model->service_count; s++)
		list[s] = &model->services[s];
	qsort(list, model->service_count, sizeof(struct status_model_service *),
		compare_model_names);
	return list;
}

static struct status_model_service *find_model(
	struct status_model_service **index, const struct status_model *model, const char *name)
{
	struct status_model_service wanted = {.name = name}, *key = &wanted, **found;

	found = name ? bsearch(&key, index, model->service_count,
			       sizeof(struct status_model_service *), compare_model_names)
		     : NULL;
	return found ? *found : NULL;
}

/* A process may have several claims, and several connections for each. */
static int compare_pids(const void *a, const void *b)
{
	json_int_t left = *(const json_int_t *)a, right = *(const json_int_t *)b;

	return left < right ? -1 : left > right;
}

static int count_claimants(struct status_model_service *service, const json_t *claims, size_t most)
{
	cleanup_free json_int_t *pids = calloc(most + 1, sizeof(*pids));
	const json_t *claim, *claimant;
	size_t c, i, count = 0;

	if (!pids)
		return -ENOMEM;
	json_array_foreach(claims, c, claim)
	{
		json_array_foreach(json_object_get(claim, "claimants"), i, claimant) pids[count++] =
			control_json_number(claimant, "pid");
	}
	qsort(pids, count, sizeof(*pids), compare_pids);
	for (i = 0; i < count; i++)
		service->claimants += !i || pids[i] != pids[i - 1];
	return 0;
}

static int read_claims(struct status_model_service *service)
{
	const json_t *claims = json_object_get(service->object, "claims"), *claim;
	size_t c, most = 0;

	json_array_foreach(claims, c, claim)
	{
		service->backlog += control_json_number(claim, "backlog");
		most += json_array_size(json_object_get(claim, "claimants"));
	}
	return count_claimants(service, claims, most);
}

static void read_delivery(struct status_model_service *service)
{
	const json_t *handoff = json_object_get(service->object, "handoff"), *destination;
	const json_t *relay = json_object_get(service->object, "relay");
	const json_t *exec = json_object_get(service->object, "exec");
	size_t i;

	json_array_foreach(json_object_get(handoff, "destinations"), i, destination)
		service->in_hand += control_json_number(destination, "waiting") +
				    control_json_number(destination, "unacknowledged");
	service->in_hand += control_json_number(relay, "connecting") +
			    control_json_number(relay, "established");
	service->in_hand += control_json_number(exec, "waiting");
	service->programs = control_json_number(exec, "running");
}

static int read_model_service(const json_t *object, struct status_model_service *service)
{
	*service = (struct status_model_service){
		.name = control_json_text(object, "name"),
		.delivery = control_json_text(object, "delivery"),
		.object = object,
		.draining = json_object_get(object, "draining"),
	};
	read_delivery(service);
	return read_claims(service);
}

static void read_route(const json_t *object, struct status_model_route *route)
{
	*route = (struct status_model_route){
		.text = control_json_text(object, "text"),
		.service = json_string_value(json_object_get(object, "service")),
		.object = object,
		.lookups = control_json_number(object, "lookups"),
		.no_socket = control_json_number(object, "no_socket"),
	};
}

/* What listeners and routes say of services. */
static int add_up(struct status_model *model)
{
	cleanup_free struct status_model_service **index = index_services(model);
	const json_t *listener;
	size_t i;

	if (!index)
		return -ENOMEM;
	json_array_foreach(json_object_get(model->status, "listeners"), i, listener)
	{
		struct status_model_service *service = find_model(
			index, model, json_string_value(json_object_get(listener, "service")));

		if (service)
			service->backlog += control_json_number(listener, "backlog");
	}
	for (size_t r = 0; r < model->route_count; r++) {
		struct status_model_service *service =
			find_model(index, model, model->routes[r].service);

		if (!service)
			continue;
		service->lookups += model->routes[r].lookups;
		service->no_socket += model->routes[r].no_socket;
	}
	return 0;
}

static int read_all(struct status_model *model)
{
	const json_t *services = json_object_get(model->status, "services"), *object;
	const json_t *routes = json_object_get(model->status, "routes");
	size_t i;

	model->service_count = json_array_size(services);
	model->route_count = json_array_size(routes);
	model->services = calloc(model->service_count + 1, sizeof(*model->services));
	model->routes = calloc(model->route_count + 1, sizeof(*model->routes));
	if (!model->services || !model->routes)
		return -ENOMEM;
	json_array_foreach(services, i, object)
	{
		if (read_model_service(object, &model->services[i]))
			return -ENOMEM;
	}
	json_array_foreach(routes, i, object) read_route(object, &model->routes[i]);
	return add_up(model);
}

int status_model_read(const char *path, struct status_model *model, struct err *err)
{
	struct wire_header request = control_client_header(WIRE_STATUS, sizeof(request));
	struct status_model made = {0};
	int result = control_json_ask(path, &request, &made.status, err);

	if (result)
		return result;
	result = read_all(&made);
	if (result) {
		status_model_fini(&made);
		return err_errno(err, result, "reading the status");
	}
	*model = made;
	return 0;
}

void status_model_fini(struct status_model *model)
{
	free(model->services);
	free(model->routes);
	json_decref(model->status);
	*model = (struct status_model){0};
}

const char *status_model_engine(const struct status_model *model, char text[STATUS_MODEL_TEXT_SIZE])
{
	const json_t *engine = json_object_get(model->status, "engine");

	snprintf(text, STATUS_MODEL_TEXT_SIZE, "engine %s: %s, Linux %s",
		control_json_text(engine, "name"), control_json_text(engine, "reason"),
		control_json_text(engine, "kernel"));
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

const char *status_model_left(const json_t *draining, char text[STATUS_MODEL_TEXT_SIZE])
{
	size_t used = 0;

	for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds) && used < STATUS_MODEL_TEXT_SIZE;
		k++) {
		json_int_t count = control_json_number(draining, kinds[k].key);

		if (count)
			used += (size_t)snprintf(text + used, STATUS_MODEL_TEXT_SIZE - used,
				"%s%" JSON_INTEGER_FORMAT " %s", used ? ", " : "", count,
				count == 1 ? kinds[k].one : kinds[k].several);
	}
	if (!used)
		strcpy(text, "nothing");
	return text;
}

bool status_model_is_empty(const json_t *draining)
{
	for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
		if (control_json_number(draining, kinds[k].key))
			return false;
	}
	return true;
}
