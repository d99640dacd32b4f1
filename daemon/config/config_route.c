// SPDX-License-Identifier: BSD-2-Clause
// Reads one route: its keys, and then what no single key can see.
#include <stdlib.h>
#include <string.h>

#include "daemon/config/reader.h"

/* A route while its keys are read. */
struct draft {
	struct config_route route;
	const struct yaml_node *to, *port, *from; /* values, for diagnostics */
	const struct yaml_node *service, *refuse, *pass, *target_port, *sni;
};

/* Appends to a list of prefixes. */
static void add_route_prefix(struct reader *reader, const struct yaml_node *node,
	struct addr_prefix **list, size_t *count, const char *what)
{
	const char *text = reader_text(reader, node, what);
	struct addr_prefix prefix, *longer;
	struct err err;

	if (!text || addr_prefix_parse(text, &prefix, &err)) {
		if (text)
			reader_error(reader, node, "%s", err.text);
		return;
	}
	for (size_t i = 0; i < *count; i++) {
		if ((*list)[i].length == prefix.length && (*list)[i].family == prefix.family &&
			addr_equal(&(*list)[i].addr, &prefix.addr))
			reader_warning(reader, node, "'%s' stands in this list twice", text);
	}
	longer = reallocarray(*list, *count + 1, sizeof(*longer));
	if (!longer) {
		reader_no_memory(reader);
		return;
	}
	*list = longer;
	longer[(*count)++] = prefix;
}

static void read_to_element(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct draft *draft = target;

	add_route_prefix(reader, node, &draft->route.to, &draft->route.to_count, "'to'");
}

static void read_from_element(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct draft *draft = target;

	add_route_prefix(reader, node, &draft->route.from, &draft->route.from_count, "'from'");
}

static void read_route_to(struct reader *reader, const struct yaml_node *node, void *target)
{
	((struct draft *)target)->to = node;
	reader_each(reader, node, "'to'", read_to_element, target);
}

static void read_from(struct reader *reader, const struct yaml_node *node, void *target)
{
	((struct draft *)target)->from = node;
	reader_each(reader, node, "'from'", read_from_element, target);
}

static void read_port_element(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct draft *draft = target;
	struct config_route *route = &draft->route;
	const char *text = reader_text(reader, node, "'port'");
	struct config_ports ports, *list;
	bool overlaps = false;

	if (!text || !reader_ports(text, &ports)) {
		if (text)
			reader_error(reader, node, READER_NO_PORTS, text);
		return;
	}
	for (size_t i = 0; i < route->port_count; i++) {
		if (ports.first <= route->ports[i].last && ports.last >= route->ports[i].first)
			overlaps = true;
	}
	if (overlaps)
		reader_warning(
			reader, node, "'%s' is in this list already, in whole or in part", text);
	list = reallocarray(route->ports, route->port_count + 1, sizeof(*list));
	if (!list) {
		reader_no_memory(reader);
		return;
	}
	route->ports = list;
	list[route->port_count++] = ports;
}

static void read_route_port(struct reader *reader, const struct yaml_node *node, void *target)
{
	((struct draft *)target)->port = node;
	reader_each(reader, node, "'port'", read_port_element, target);
}

static void read_protocol_element(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct draft *draft = target;
	const char *text = reader_text(reader, node, "'protocol'");

	if (text && !strcmp(text, "tcp")) {
		draft->route.tcp = true;
	} else if (text && !strcmp(text, "udp")) {
		draft->route.udp = true;
	} else if (text) {
		reader_error(
			reader, node, "'%s' is not a protocol; write tcp, udp or [tcp, udp]", text);
	}
}

static void read_route_protocol(struct reader *reader, const struct yaml_node *node, void *target)
{
	reader_each(reader, node, "'protocol'", read_protocol_element, target);
}

static void read_sni_element(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct draft *draft = target;
	struct config_route *route = &draft->route;
	const char *text = reader_text(reader, node, "'sni'");
	uint32_t number, *list;
	struct err err;

	if (!text || names_check(text, &err)) {
		if (text)
			reader_error(reader, node, "%s", err.text);
		return;
	}
	number = names_add(reader->config->names, text);
	list = reallocarray(route->names, route->name_count + 1, sizeof(*list));
	if (list)
		route->names = list;
	if (!list || !number) {
		reader_no_memory(reader);
		return;
	}
	for (size_t i = 0; i < route->name_count; i++) {
		if (list[i] == number)
			reader_warning(reader, node, "'%s' stands in this list twice", text);
	}
	list[route->name_count++] = number;
}

static void read_sni(struct reader *reader, const struct yaml_node *node, void *target)
{
	((struct draft *)target)->sni = node;
	reader_each(reader, node, "'sni'", read_sni_element, target);
}

static void read_service_name(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct draft *draft = target;

	draft->service = node;
	draft->route.action = MATCH_SERVICE;
	reader_text(reader, node, "'service'");
}

static void read_refuse(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct draft *draft = target;
	const char *text = reader_text(reader, node, "'refuse'");

	draft->refuse = node;
	if (text && (!strcmp(text, "true") || !strcmp(text, "reset"))) {
		draft->route.action = MATCH_RESET;
	} else if (text && !strcmp(text, "silent")) {
		draft->route.action = MATCH_SILENT;
	} else if (text) {
		reader_error(reader, node,
			"'refuse: %s' says nothing; write true or reset (answer at once), or silent (drop)",
			text);
	}
}

static void read_pass(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct draft *draft = target;
	const char *text = reader_text(reader, node, "'pass'");

	draft->pass = node;
	draft->route.action = MATCH_PASS;
	if (text && strcmp(text, "true") != 0)
		reader_error(reader, node, "'pass: %s' says nothing; write true", text);
}

static void read_target_port(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct draft *draft = target;
	const char *text = reader_text(reader, node, "'target-port'");
	unsigned long port;

	draft->target_port = node;
	if (text && reader_number(text, 1, 65535, &port))
		draft->route.target_port = (uint16_t)port;
	else if (text)
		reader_error(
			reader, node, "'%s' is not a port; write a number from 1 to 65535", text);
}

static bool all_of_family(const struct addr_prefix *list, size_t count, uint8_t family)
{
	for (size_t i = 0; i < count; i++) {
		if (list[i].family != family)
			return false;
	}
	return count > 0;
}

/* What no single key can see. */
static void check_whole(struct reader *reader, const struct yaml_node *node, struct draft *draft)
{
	const struct config_route *route = &draft->route;
	int actions = !!draft->service + !!draft->refuse + !!draft->pass;

	if (actions != 1)
		reader_error(reader, node,
			actions ? "a route has one of 'service', 'refuse' and 'pass', not several"
				: "a route needs one of 'service: NAME', 'refuse: true' and 'pass: true'");
	if (!draft->to && !draft->port)
		reader_error(reader, node,
			"this route would take every packet of the machine; give 'to' or 'port', or write to: [\"0.0.0.0/0\", \"::/0\"] if that is meant");
	if ((all_of_family(route->to, route->to_count, AF_INET) &&
		    all_of_family(route->from, route->from_count, AF_INET6)) ||
		(all_of_family(route->to, route->to_count, AF_INET6) &&
			all_of_family(route->from, route->from_count, AF_INET)))
		reader_error(reader, draft->from,
			"'from' and 'to' have no address family in common, so nothing can match");
	if (draft->target_port && !draft->service)
		reader_error(reader, draft->target_port, "'target-port' goes with 'service' only");
	if (draft->sni && route->udp)
		reader_error(reader, draft->sni,
			"'sni' is for tcp: where a name stands in the first packets of QUIC, it is encrypted");
	if (draft->sni && draft->pass)
		reader_error(reader, draft->sni,
			"'sni' does not go with 'pass': the name is known only once the daemon has accepted the connection");
	if (draft->target_port && route->udp)
		reader_error(reader, draft->target_port,
			"'target-port' is for tcp: a UDP reply carries the program's own port, so the program has to bind the route's");
}

/* Gives lists that the file leaves out their one element, which matches everything. */
static bool fill_defaults(struct config_route *route)
{
	if (!route->tcp && !route->udp)
		route->tcp = true;
	if (!route->to_count && (route->to = calloc(1, sizeof(*route->to))))
		route->to_count = 1;
	if (!route->from_count && (route->from = calloc(1, sizeof(*route->from))))
		route->from_count = 1;
	if (!route->port_count && (route->ports = calloc(1, sizeof(*route->ports)))) {
		route->ports[0].last = 65535;
		route->port_count = 1;
	}
	return route->to_count && route->from_count && route->port_count;
}

void route_fini(struct config_route *route)
{
	free(route->to);
	free(route->from);
	free(route->ports);
	free(route->names);
	free(route->text);
}

bool route_read(struct reader *reader, const struct yaml_node *node, struct config_route *out,
	const char **service)
{
	static const struct reader_key keys[] = {
		{"to", read_route_to},
		{"port", read_route_port},
		{"from", read_from},
		{"protocol", read_route_protocol},
		{"service", read_service_name},
		{"refuse", read_refuse},
		{"pass", read_pass},
		{"target-port", read_target_port},
		{"sni", read_sni},
	};
	size_t errors = reader->diagnostics->errors;
	struct draft draft = {.route.place = reader_place(reader, node)};

	if (node->kind != YAML_MAPPING || !node->first) {
		reader_error(reader, node,
			"a route is a mapping, such as {to: \"2001:db8::1\", port: 80, service: blog}");
		return false;
	}
	reader_mapping(reader, node, "a route", keys, sizeof(keys) / sizeof(*keys), &draft);
	check_whole(reader, node, &draft);
	if (!fill_defaults(&draft.route))
		reader_no_memory(reader);
	if (reader->diagnostics->errors != errors || reader->out_of_memory) {
		route_fini(&draft.route);
		return false;
	}
	*out = draft.route;
	*service = draft.service ? draft.service->text : NULL;
	return true;
}
