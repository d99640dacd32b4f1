// SPDX-License-Identifier: BSD-2-Clause
// socketbox status: what the daemon says of itself, for people or as JSON.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/control_json.h"
#include "cli/status_model.h"
#include "cli/subcommands.h"

static void print_engine(const struct status_model *model)
{
	const json_t *status = model->status, *engine = json_object_get(status, "engine");
	time_t loaded = (time_t)control_json_number(status, "loaded");
	char when[32] = "", text[STATUS_MODEL_TEXT_SIZE];

	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime(&loaded));
	printf("socketboxd %s, pid %" JSON_INTEGER_FORMAT ", configuration of %s\n",
		control_json_text(status, "version"), control_json_number(status, "pid"), when);
	printf("%s%s\n", status_model_engine(model, text),
		json_is_true(json_object_get(engine, "adopted"))
			? ", adopted from an earlier daemon"
			: "");
	if (control_json_text(engine, "pins")[0])
		printf("pinned in %s: services go on without the daemon\n",
			control_json_text(engine, "pins"));
	else
		printf("WARNING: not pinned, so steering ends with the daemon: %s\n",
			control_json_text(engine, "pins_fault"));
}

static void print_confinement(const json_t *confinement)
{
	if (!json_is_true(json_object_get(confinement, "active"))) {
		printf("WARNING: NO CONFINEMENT: a program that is given a socket can use it to connect, bind and send elsewhere from this host: %s\n",
			control_json_text(confinement, "why"));
		return;
	}
	printf("confinement is active: sockets do what they were given for and nothing else\n");
	if (json_is_string(json_object_get(confinement, "limitation")))
		printf("WARNING: confinement has a limitation: %s\n",
			control_json_text(confinement, "limitation"));
	if (json_is_string(json_object_get(confinement, "unpinned")))
		printf("WARNING: the confinement ends with the daemon: %s\n",
			control_json_text(confinement, "unpinned"));
	if (json_integer_value(json_object_get(confinement, "unconfined")) > 0)
		printf("WARNING: %" JSON_INTEGER_FORMAT
		       " sockets that were made before confinement was active are unconfined (see socketboxd(8))\n",
			json_integer_value(json_object_get(confinement, "unconfined")));
}

static void print_claim(const json_t *claim)
{
	const json_t *claimant, *backlog = json_object_get(claim, "backlog");
	size_t i;

	printf("  %s %s", control_json_text(claim, "protocol"),
		control_json_text(claim, "address"));
	if (json_is_true(json_object_get(claim, "v6only")))
		printf(" ipv6only");
	if (json_is_true(json_object_get(claim, "reuseport")))
		printf(" reuseport, %" JSON_INTEGER_FORMAT " sockets",
			control_json_number(claim, "sockets"));
	printf(": %s", control_json_text(claim, "state"));
	json_array_foreach(json_object_get(claim, "claimants"), i, claimant) printf(
		"%s pid %" JSON_INTEGER_FORMAT " (user %" JSON_INTEGER_FORMAT ")", i ? "," : " by",
		control_json_number(claimant, "pid"), control_json_number(claimant, "uid"));
	if (json_object_get(claim, "hold_left_ms"))
		printf(" for %.1f s more",
			(double)control_json_number(claim, "hold_left_ms") / 1000);
	if (json_integer_value(backlog) > 0)
		printf(", %" JSON_INTEGER_FORMAT " connections wait", json_integer_value(backlog));
	if (json_is_true(json_object_get(claim, "unread")))
		printf(", packets wait");
	printf("\n");
}

static void print_grants(const json_t *grants)
{
	if (!grants)
		return;
	printf("  grants %s: gave %" JSON_INTEGER_FORMAT " passive and %" JSON_INTEGER_FORMAT
	       " connecting sockets, refused %" JSON_INTEGER_FORMAT "\n",
		json_is_string(json_object_get(grants, "text")) ? control_json_text(grants, "text")
								: "none",
		control_json_number(grants, "passive"), control_json_number(grants, "connect"),
		control_json_number(grants, "refused"));
}

/* Of one whose connections the daemon accepts. */
static void print_delivered(const struct status_model_service *service)
{
	printf("  %s: %" JSON_INTEGER_FORMAT
	       " connections wait to be accepted, %" JSON_INTEGER_FORMAT " are in hand",
		service->delivery, service->backlog, service->in_hand);
	if (!strcmp(service->delivery, "exec"))
		printf(", %" JSON_INTEGER_FORMAT " programs run", service->programs);
	printf("\n");
}

static void print_status_service(const struct status_model_service *service)
{
	const json_t *claims = json_object_get(service->object, "claims"), *claim;
	bool claimed = !strcmp(service->delivery, "claim");
	char text[STATUS_MODEL_TEXT_SIZE];
	size_t c;

	printf("\nservice %s%s\n", service->name,
		claimed && !json_array_size(claims) ? ": nobody has claimed a socket" : "");
	if (service->draining)
		printf("  is being drained: nothing new, and %s is left; 'socketbox drain --end %s' puts it back in use\n",
			status_model_left(service->draining, text), service->name);
	if (!claimed)
		print_delivered(service);
	json_array_foreach(claims, c, claim) print_claim(claim);
	print_grants(json_object_get(service->object, "grants"));
}

static void print_status_routes(const struct status_model *model)
{
	printf("\n%5s %12s %12s  %s\n", "route", "decided", "no_socket", "text");
	for (size_t r = 0; r < model->route_count; r++) {
		const struct status_model_route *route = &model->routes[r];

		printf("%5" JSON_INTEGER_FORMAT " %12" JSON_INTEGER_FORMAT
		       " %12" JSON_INTEGER_FORMAT "  %s  (%s:%" JSON_INTEGER_FORMAT ")\n",
			control_json_number(route->object, "number"), route->lookups,
			route->no_socket, route->text, control_json_text(route->object, "file"),
			control_json_number(route->object, "line"));
	}
}

int status_main(int argc, char **argv, struct err *err)
{
	bool as_json = false;
	const char *path;
	struct status_model model;

	if (control_json_options(argc, argv, &path, &as_json, err))
		return EXIT_USAGE;
	if (status_model_read(path, &model, err))
		return EXIT_FAILED;
	if (as_json) {
		json_dumpf(model.status, stdout, JSON_INDENT(2));
		printf("\n");
	} else {
		print_engine(&model);
		print_confinement(json_object_get(model.status, "confinement"));
		for (size_t s = 0; s < model.service_count; s++)
			print_status_service(&model.services[s]);
		print_status_routes(&model);
	}
	status_model_fini(&model);
	return EXIT_DONE;
}
