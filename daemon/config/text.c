// SPDX-License-Identifier: BSD-2-Clause
// Prints routes canonically.
#include "daemon/config/text.h"

#include <stdio.h>
#include <stdlib.h>

static void print_prefixes(FILE *out, const char *key, const struct addr_prefix *list, size_t count)
{
	char text[ADDR_TEXT_SIZE];

	if (count == 1 && !list[0].family)
		return;
	fprintf(out, "%s: %s", key, count > 1 ? "[" : "");
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s\"%s\"", i ? ", " : "", addr_prefix_format(&list[i], text));
	fprintf(out, "%s, ", count > 1 ? "]" : "");
}

static void print_text_ports(FILE *out, const struct config_route *route)
{
	const struct config_ports *list = route->ports;
	bool any_address = route->to_count == 1 && !route->to[0].family;

	/* A route needs one of 'to' and 'port'. */
	if (!any_address && route->port_count == 1 && !list[0].first && list[0].last == 65535)
		return;
	fprintf(out, "port: %s", route->port_count > 1 ? "[" : "");
	for (size_t i = 0; i < route->port_count; i++) {
		fprintf(out, "%s%u", i ? ", " : "", list[i].first ? list[i].first : 1);
		if (list[i].last != list[i].first)
			fprintf(out, "-%u", list[i].last);
	}
	fprintf(out, "%s, ", route->port_count > 1 ? "]" : "");
}

static void print_names(FILE *out, const struct config_route *route, const struct names *names)
{
	if (!route->name_count)
		return;
	fprintf(out, "sni: %s", route->name_count > 1 ? "[" : "");
	for (size_t i = 0; i < route->name_count; i++)
		fprintf(out, "%s\"%s\"", i ? ", " : "", names_text(names, route->names[i]));
	fprintf(out, "%s, ", route->name_count > 1 ? "]" : "");
}

char *text_of_route(
	const struct config_route *route, const char *service, const struct names *names)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fputc('{', out);
	print_prefixes(out, "to", route->to, route->to_count);
	print_text_ports(out, route);
	print_prefixes(out, "from", route->from, route->from_count);
	if (route->udp)
		fputs(route->tcp ? "protocol: [tcp, udp], " : "protocol: udp, ", out);
	print_names(out, route, names);
	if (service)
		fprintf(out, "service: %s", service);
	else if (route->action == MATCH_PASS)
		fputs("pass: true", out);
	else
		fprintf(out, "refuse: %s", route->action == MATCH_SILENT ? "silent" : "reset");
	if (route->target_port)
		fprintf(out, ", target-port: %u", route->target_port);
	fputc('}', out);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}
