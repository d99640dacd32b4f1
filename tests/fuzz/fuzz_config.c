// SPDX-License-Identifier: BSD-2-Clause
// The configuration reader takes any bytes: it either loads them, with routes that mean what their
// texts say and a table that finds them, or complains in lines that people can read.
#include <sanitizer/lsan_interface.h>
#include <string.h>

#include "daemon/config/config.h"
#include "daemon/routes/route_table.h"
#include "exec/exec_settings.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/random_config.h"

#define NAME "fuzz.yaml"

/* Larger configurations are loaded too, but what follows would take too long for each. */
#define MAX_ROUTES	 64
#define MAX_COMBINATIONS 2000

/* libfyaml 0.7 does not free a list that it makes for values with dozens of escapes. Leaks of its
 * objects by this project show in test_config. */
const char *__lsan_default_suppressions(void)
{
	return "leak:libfyaml.so";
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static void check_diagnostics(const struct diagnostics *diagnostics)
{
	for (size_t i = 0; i < diagnostics->count; i++) {
		const char *line = diagnostics->lines[i];
		unsigned row, column;

		for (size_t c = 0; line[c]; c++)
			FUZZ_REQUIRE((unsigned char)line[c] >= ' ' && line[c] != 0x7f);
		FUZZ_REQUIRE(strlen(line) < 1200);
		if (i == 100)
			continue; /* "... and more" */
		FUZZ_REQUIRE(!strncmp(line, NAME ":", strlen(NAME ":")));
		FUZZ_REQUIRE(sscanf(line + strlen(NAME), ":%u:%u: ", &row, &column) == 2);
		FUZZ_REQUIRE(row && column);
	}
}

static void check_route(const struct config_route *route)
{
	FUZZ_REQUIRE(route->to_count && route->from_count && route->port_count);
	FUZZ_REQUIRE(route->tcp || route->udp);
	FUZZ_REQUIRE((route->action == MATCH_SERVICE) == (route->service != NULL));
	for (size_t p = 0; p < route->port_count; p++)
		FUZZ_REQUIRE(route->ports[p].first <= route->ports[p].last && route->ports[p].last);
}

/* A delivery of the same kind, in YAML. */
static const char *delivery_of(const struct config_service *service)
{
	switch (service->delivery) {
	case CONFIG_HANDOFF:
		return "handoff: {}";
	case CONFIG_EXEC:
		return service->exec->wait ? "exec: {command: x, wait: true}"
					   : "exec: {command: x}";
	case CONFIG_RELAY:
		return "relay: {to: \"192.0.2.1:1\"}";
	default:
		return "";
	}
}

/* Each route's text, read again, is the same route. */
static void check_texts(const struct config *config)
{
	struct diagnostics diagnostics = {0};
	struct config *again = NULL;
	char *yaml = NULL;
	size_t size;
	FILE *out = open_memstream(&yaml, &size);

	FUZZ_REQUIRE(out);
	fputs("services:\n", out);
	for (size_t s = 0; s < config->service_count; s++)
		fprintf(out, "  %s: {%s}\n", config->services[s].name,
			delivery_of(&config->services[s]));
	fputs("routes:\n", out);
	for (size_t r = 0; r < config->route_count; r++)
		fprintf(out, "  - %s\n", config->routes[r].text);
	fclose(out);
	FUZZ_REQUIRE(!config_parse(NAME, yaml, size, &again, &diagnostics));
	FUZZ_REQUIRE(again->route_count == config->route_count);
	for (size_t r = 0; r < config->route_count; r++)
		FUZZ_REQUIRE(!strcmp(again->routes[r].text, config->routes[r].text));
	config_free(again);
	diagnostics_fini(&diagnostics);
	free(yaml);
}

static struct addr pick_address(const struct addr_prefix *prefix, const struct addr_prefix *other)
{
	static const struct addr any_v4 = {.bytes = {[10] = 0xff, [11] = 0xff}};

	return !prefix->family && other->family == AF_INET ? any_v4 : prefix->addr;
}

/* The first and last packets that a route may take get the same answer as from a plain scan. */
static void check_table(const struct config *config)
{
	struct table table;
	struct err err;

	if (table_build(config, TABLE_OF_PACKETS, &table, &err))
		return;
	for (size_t r = 0; r < config->route_count; r++) {
		const struct config_route *route = &config->routes[r];
		const struct addr_prefix *to = &route->to[route->to_count - 1];
		const struct addr_prefix *from = &route->from[0];
		struct table_packet packet = {
			.protocol = route->tcp ? IPPROTO_TCP : IPPROTO_UDP,
			.local = {pick_address(to, from), route->ports[0].first},
			.remote = {pick_address(from, to), 1},
		};

		if (addr_family(&packet.local.addr) != addr_family(&packet.remote.addr))
			continue;
		FUZZ_REQUIRE(table_find(&table, &packet) == naive_find(config, &packet));
		packet.local.port = route->ports[route->port_count - 1].last;
		FUZZ_REQUIRE(table_find(&table, &packet) == naive_find(config, &packet));
		packet.local.port++;
		FUZZ_REQUIRE(table_find(&table, &packet) == naive_find(config, &packet));
	}
	table_fini(&table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct diagnostics diagnostics = {0};
	struct config *config = NULL;
	int result = config_parse(NAME, (const char *)data, size, &config, &diagnostics);
	size_t combinations = 0;

	check_diagnostics(&diagnostics);
	FUZZ_REQUIRE(!result == !diagnostics.errors);
	FUZZ_REQUIRE(!result == (config != NULL));
	if (config) {
		for (size_t r = 0; r < config->route_count; r++) {
			const struct config_route *route = &config->routes[r];

			check_route(route);
			combinations += route->to_count * route->from_count * route->port_count *
					(route->name_count + 1);
		}
		if (config->route_count <= MAX_ROUTES && combinations <= MAX_COMBINATIONS) {
			check_texts(config);
			check_table(config);
		}
	}
	config_free(config);
	diagnostics_fini(&diagnostics);
	return 0;
}
