// SPDX-License-Identifier: BSD-2-Clause
// socketbox status: what the daemon says of itself, for people or as JSON.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/control.h"
#include "cli/verbs.h"

static void print_engine(const json_t *status)
{
	const json_t *engine = json_object_get(status, "engine");
	time_t loaded = (time_t)control_number(status, "loaded");
	char when[32] = "";

	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime(&loaded));
	printf("socketboxd %s, pid %" JSON_INTEGER_FORMAT ", configuration of %s\n",
		control_text(status, "version"), control_number(status, "pid"), when);
	printf("engine %s: %s, Linux %s%s\n", control_text(engine, "name"),
		control_text(engine, "reason"), control_text(engine, "kernel"),
		json_is_true(json_object_get(engine, "adopted"))
			? ", adopted from an earlier daemon"
			: "");
	if (control_text(engine, "pins")[0])
		printf("pinned in %s: services go on without the daemon\n",
			control_text(engine, "pins"));
	else
		printf("WARNING: not pinned, so steering ends with the daemon: %s\n",
			control_text(engine, "pins_fault"));
}

static void print_fence(const json_t *fence)
{
	if (!json_is_true(json_object_get(fence, "stands"))) {
		printf("WARNING: NO FENCE: whoever is given a socket can use it to connect, bind and send elsewhere from this host: %s\n",
			control_text(fence, "why"));
		return;
	}
	printf("the fence stands: sockets do what they were given for and nothing else\n");
	if (json_is_string(json_object_get(fence, "gap")))
		printf("WARNING: the fence has a gap: %s\n", control_text(fence, "gap"));
	if (json_is_string(json_object_get(fence, "loose")))
		printf("WARNING: the fence ends with the daemon: %s\n",
			control_text(fence, "loose"));
}

static void print_claim(const json_t *claim)
{
	const json_t *claimant, *backlog = json_object_get(claim, "backlog");
	size_t i;

	printf("  %s %s", control_text(claim, "protocol"), control_text(claim, "address"));
	if (json_is_true(json_object_get(claim, "v6only")))
		printf(" ipv6only");
	if (json_is_true(json_object_get(claim, "reuseport")))
		printf(" reuseport, %" JSON_INTEGER_FORMAT " sockets",
			control_number(claim, "sockets"));
	printf(": %s", control_text(claim, "state"));
	json_array_foreach(json_object_get(claim, "claimants"), i, claimant) printf(
		"%s pid %" JSON_INTEGER_FORMAT " (user %" JSON_INTEGER_FORMAT ")", i ? "," : " by",
		control_number(claimant, "pid"), control_number(claimant, "uid"));
	if (json_object_get(claim, "hold_left_ms"))
		printf(" for %.1f s more", (double)control_number(claim, "hold_left_ms") / 1000);
	if (json_integer_value(backlog) > 0)
		printf(", %" JSON_INTEGER_FORMAT " connections wait", json_integer_value(backlog));
	printf("\n");
}

static void print_grants(const json_t *grants)
{
	if (!grants)
		return;
	printf("  grants %s: gave %" JSON_INTEGER_FORMAT " passive and %" JSON_INTEGER_FORMAT
	       " connecting sockets, refused %" JSON_INTEGER_FORMAT "\n",
		json_is_string(json_object_get(grants, "text")) ? control_text(grants, "text")
								: "none",
		control_number(grants, "passive"), control_number(grants, "connect"),
		control_number(grants, "refused"));
}

static void print_services(const json_t *status)
{
	const json_t *service, *claim;
	size_t s, c;

	json_array_foreach(json_object_get(status, "services"), s, service)
	{
		const json_t *claims = json_object_get(service, "claims");

		printf("\nservice %s%s\n", control_text(service, "name"),
			json_array_size(claims) ? "" : ": nobody has claimed a socket");
		json_array_foreach(claims, c, claim) print_claim(claim);
		print_grants(json_object_get(service, "grants"));
	}
}

static void print_routes(const json_t *status)
{
	const json_t *route;
	size_t r;

	printf("\n%5s %12s %12s  %s\n", "route", "decided", "unserved", "text");
	json_array_foreach(json_object_get(status, "routes"), r, route)
		printf("%5" JSON_INTEGER_FORMAT " %12" JSON_INTEGER_FORMAT
		       " %12" JSON_INTEGER_FORMAT "  %s  (%s:%" JSON_INTEGER_FORMAT ")\n",
			control_number(route, "number"), control_number(route, "lookups"),
			control_number(route, "unserved"), control_text(route, "text"),
			control_text(route, "file"), control_number(route, "line"));
}

int status_main(int argc, char **argv, struct err *err)
{
	struct wire_header request = control_header(WIRE_STATUS, sizeof(request));
	bool as_json = false;
	const char *path;
	json_t *status;

	if (control_options(argc, argv, &path, &as_json, err))
		return VERB_MISUSED;
	if (control_ask_json(path, &request, &status, err))
		return VERB_FAILED;
	if (as_json) {
		json_dumpf(status, stdout, JSON_INDENT(2));
		printf("\n");
	} else {
		print_engine(status);
		print_fence(json_object_get(status, "fence"));
		print_services(status);
		print_routes(status);
	}
	json_decref(status);
	return VERB_DONE;
}
