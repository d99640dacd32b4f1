// SPDX-License-Identifier: BSD-2-Clause
// Finds what a route had counted before by its text, which is what its counts are known by in the
// daemon: routes that come and go do not mix up the others.
#include "cli/top/rates.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

static int compare_texts(const void *a, const void *b)
{
	return strcmp((*(const struct status_model_route *const *)a)->text,
		(*(const struct status_model_route *const *)b)->text);
}

static const struct status_model_route **index_rates_routes(const struct status_model *model)
{
	const struct status_model_route **list =
		calloc(model->route_count + 1, sizeof(const struct status_model_route *));

	if (!list)
		return NULL;
	for (size_t r = 0; r < model->route_count; r++)
		list[r] = &model->routes[r];
	qsort(list, model->route_count, sizeof(const struct status_model_route *), compare_texts);
	return list;
}

static double rates_rate(json_int_t before, json_int_t now, double seconds)
{
	return (double)(now >= before ? now - before : now) / seconds;
}

static void compute_routes(const struct status_model_route **index,
	const struct status_model *before, const struct status_model *now, double seconds,
	struct rates *rates)
{
	static const struct status_model_route none;

	for (size_t r = 0; r < now->route_count; r++) {
		const struct status_model_route *route = &now->routes[r];
		const struct status_model_route **found =
			bsearch(&route, index, before->route_count,
				sizeof(const struct status_model_route *), compare_texts);
		const struct status_model_route *old = found ? *found : &none;
		struct rates_row *row = &rates->routes[r];

		*row = (struct rates_row){
			.route = route,
			.decided = rates_rate(old->lookups, route->lookups, seconds),
			.no_socket = rates_rate(old->no_socket, route->no_socket, seconds),
		};
		rates->decided += row->decided;
		rates->no_socket += row->no_socket;
	}
}

static int compare_services(const void *a, const void *b)
{
	return strcmp(((const struct rates_row *)a)->service->name,
		((const struct rates_row *)b)->service->name);
}

/* A service has what its routes have. */
static void compute_services(const struct status_model *now, struct rates *rates)
{
	for (size_t s = 0; s < now->service_count; s++)
		rates->services[s].service = &now->services[s];
	qsort(rates->services, now->service_count, sizeof(*rates->services), compare_services);
	for (size_t r = 0; r < now->route_count; r++) {
		struct status_model_service named = {.name = now->routes[r].service};
		struct rates_row wanted = {.service = &named}, *row;

		row = named.name ? bsearch(&wanted, rates->services, now->service_count,
					   sizeof(*rates->services), compare_services)
				 : NULL;
		if (!row)
			continue;
		row->decided += rates->routes[r].decided;
		row->no_socket += rates->routes[r].no_socket;
	}
}

int rates_compute(const struct status_model *before, const struct status_model *now, double seconds,
	struct rates *rates)
{
	cleanup_free const struct status_model_route **index = index_rates_routes(before);
	struct rates made = {
		.services = calloc(now->service_count + 1, sizeof(*made.services)),
		.routes = calloc(now->route_count + 1, sizeof(*made.routes)),
		.service_count = now->service_count,
		.route_count = now->route_count,
	};

	if (!index || !made.services || !made.routes) {
		rates_fini(&made);
		return -ENOMEM;
	}
	compute_routes(index, before, now, seconds, &made);
	compute_services(now, &made);
	*rates = made;
	return 0;
}

void rates_fini(struct rates *rates)
{
	free(rates->services);
	free(rates->routes);
	*rates = (struct rates){0};
}

/* As the configuration has them: both are arrays of the model. */
static int compare_places(const struct rates_row *a, const struct rates_row *b)
{
	if (a->route)
		return a->route < b->route ? -1 : a->route > b->route;
	return a->service < b->service ? -1 : a->service > b->service;
}

static int compare_numbers(double a, double b)
{
	return a > b ? -1 : a < b;
}

static int by_decided(const void *a, const void *b)
{
	const struct rates_row *left = a, *right = b;
	int result = compare_numbers(left->decided, right->decided);

	return result ? result : compare_places(left, right);
}

static int by_no_socket(const void *a, const void *b)
{
	const struct rates_row *left = a, *right = b;
	int result = compare_numbers(left->no_socket, right->no_socket);

	return result ? result : by_decided(a, b);
}

static double waits_rates(const struct rates_row *row)
{
	return row->service ? (double)(row->service->backlog + row->service->in_hand) : 0;
}

static int by_waiting(const void *a, const void *b)
{
	int result = compare_numbers(waits_rates(a), waits_rates(b));

	return result ? result : by_decided(a, b);
}

static int by_name(const void *a, const void *b)
{
	const struct rates_row *left = a, *right = b;

	return left->service ? compare_services(a, b) : compare_places(left, right);
}

void rates_sort(struct rates *rates, enum rates_order order)
{
	static int (*const compare[])(const void *, const void *) = {
		[RATES_BY_DECIDED] = by_decided,
		[RATES_BY_NO_SOCKET] = by_no_socket,
		[RATES_BY_WAITING] = by_waiting,
		[RATES_BY_NAME] = by_name,
	};

	qsort(rates->services, rates->service_count, sizeof(*rates->services), compare[order]);
	qsort(rates->routes, rates->route_count, sizeof(*rates->routes), compare[order]);
}
