// SPDX-License-Identifier: BSD-2-Clause
// Reads the grants of a service: the ports that it may be reached on, and connect out from, beyond
// its routes.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config/reader.h"

/* A list of ports while it is read. */
struct port_list {
	struct config_ports **list;
	size_t *count;
	const char *what;
};

static void read_grants_ports(struct reader *reader, const struct yaml_node *node, void *target)
{
	const struct port_list *ports = target;
	const char *text = reader_text(reader, node, ports->what);
	struct config_ports read, *longer;

	if (!text)
		return;
	if (!reader_ports(text, &read)) {
		reader_error(reader, node, READER_NO_PORTS, text);
		return;
	}
	for (size_t i = 0; i < *ports->count; i++) {
		const struct config_ports *other = &(*ports->list)[i];

		if (read.first > other->last || read.last < other->first)
			continue;
		reader_warning(
			reader, node, "'%s' is in this list already, in whole or in part", text);
		break;
	}
	longer = reallocarray(*ports->list, *ports->count + 1, sizeof(*longer));
	if (!longer) {
		reader_no_memory(reader);
		return;
	}
	*ports->list = longer;
	longer[(*ports->count)++] = read;
}

static void read_passive(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct config_grants *grants = target;
	struct port_list ports = {&grants->passive, &grants->passive_count, "'passive'"};

	reader_each(reader, node, "'passive'", read_grants_ports, &ports);
}

static void read_connect(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct config_grants *grants = target;
	struct port_list ports = {&grants->connect, &grants->connect_count, "'connect'"};

	grants->connects = true;
	if (node->kind == YAML_SCALAR && !strcmp(node->text, "true"))
		return;
	if (node->kind == YAML_SCALAR && !strcmp(node->text, "false"))
		reader_error(reader, node,
			"'connect: false' says nothing; write true (from any port that the kernel picks), or the ports to connect from");
	else
		reader_each(reader, node, "'connect'", read_grants_ports, &ports);
}

static void read_grants_protocol(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct config_grants *grants = target;
	const char *text = reader_text(reader, node, "'protocol'");

	if (text && !strcmp(text, "tcp"))
		grants->tcp = true;
	else if (text && !strcmp(text, "udp"))
		grants->udp = true;
	else if (text)
		reader_error(
			reader, node, "'%s' is not a protocol; write tcp, udp or [tcp, udp]", text);
}

static void read_protocols(struct reader *reader, const struct yaml_node *node, void *target)
{
	reader_each(reader, node, "'protocol'", read_grants_protocol, target);
}

static void print_grants_ports(
	FILE *out, const char *key, const struct config_ports *list, size_t count)
{
	fprintf(out, "%s: %s", key, count > 1 ? "[" : "");
	for (size_t i = 0; i < count; i++) {
		fprintf(out, "%s%u", i ? ", " : "", list[i].first ? list[i].first : 1);
		if (list[i].last != list[i].first)
			fprintf(out, "-%u", list[i].last);
	}
	fputs(count > 1 ? "]" : "", out);
}

/* The keys in a fixed order, defaults left out. NULL out of memory. */
static char *text_grants_of(const struct config_grants *grants)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fputc('{', out);
	if (grants->passive_count)
		print_grants_ports(out, "passive", grants->passive, grants->passive_count);
	fputs(grants->passive_count && grants->connects ? ", " : "", out);
	if (grants->connect_count)
		print_grants_ports(out, "connect", grants->connect, grants->connect_count);
	else if (grants->connects)
		fputs("connect: true", out);
	if (grants->udp)
		fputs(grants->tcp ? ", protocol: [tcp, udp]" : ", protocol: udp", out);
	fputc('}', out);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

void grants_fini(struct config_grants *grants)
{
	free(grants->text);
	free(grants->passive);
	free(grants->connect);
}

void grants_read(struct reader *reader, const struct yaml_node *node, void *target)
{
	static const struct reader_key keys[] = {
		{"passive", read_passive},
		{"connect", read_connect},
		{"protocol", read_protocols},
	};
	struct config_grants *grants = target;
	size_t errors = reader->diagnostics->errors;

	grants->place = reader_place(reader, node);
	reader_mapping(reader, node, "'grants'", keys, sizeof(keys) / sizeof(*keys), grants);
	if (reader->diagnostics->errors != errors)
		return;
	if (!grants->passive_count && !grants->connects) {
		reader_error(reader, node,
			"'grants' grants nothing; give it 'passive: PORTS', 'connect: PORTS' or 'connect: true'");
		return;
	}
	if (!grants->udp)
		grants->tcp = true;
	grants->text = text_grants_of(grants);
	if (!grants->text)
		reader_no_memory(reader);
}
