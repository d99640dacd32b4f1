// SPDX-License-Identifier: BSD-2-Clause
// Collects binds and writes routes.
#include "cli/run/trace.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct trace {
	char service[64];
	struct link_bind *binds;
	size_t count;
};

struct trace *trace_new(const char *program)
{
	struct trace *trace = calloc(1, sizeof(*trace));
	const char *slash = strrchr(program, '/');
	size_t used = 0;

	if (!trace)
		return NULL;
	for (program = slash ? slash + 1 : program; *program && used < sizeof(trace->service) - 1;
		program++) {
		if (isalnum((unsigned char)*program) || (used && strchr("._-", *program)))
			trace->service[used++] = *program;
	}
	if (!used)
		strcpy(trace->service, "service");
	return trace;
}

void trace_free(struct trace *trace)
{
	if (trace)
		free(trace->binds);
	free(trace);
}

static const char *protocol_name(const struct link_bind *bind)
{
	return bind->protocol == IPPROTO_UDP ? "udp" : "tcp";
}

/* True if both would have the same route. */
static bool same_route(const struct link_bind *a, const struct link_bind *b)
{
	bool wildcard = addr_is_wildcard(&a->endpoint.addr);

	return !strcmp(protocol_name(a), protocol_name(b)) &&
	       a->endpoint.port == b->endpoint.port &&
	       wildcard == addr_is_wildcard(&b->endpoint.addr) &&
	       (wildcard || addr_equal(&a->endpoint.addr, &b->endpoint.addr));
}

void trace_note(struct trace *trace, const struct target *target, const struct link_bind *bind,
	bool servable)
{
	char endpoint[ADDR_TEXT_SIZE], name[16];
	struct link_bind *list;

	target_name(target, name);
	fprintf(stderr, "socketbox run: %s[%d] binds %s %s%s%s%s\n", name, (int)target->thread,
		protocol_name(bind), addr_endpoint_format(&bind->endpoint, endpoint),
		bind->v6only ? " ipv6only" : "", bind->reuseport ? " reuseport" : "",
		servable ? "" : " (stays the program's own)");
	if (!servable)
		return;
	for (size_t i = 0; i < trace->count; i++) {
		if (same_route(&trace->binds[i], bind))
			return;
	}
	list = reallocarray(trace->binds, trace->count + 1, sizeof(*list));
	if (!list)
		return;
	trace->binds = list;
	list[trace->count++] = *bind;
}

void trace_print(const struct trace *trace, FILE *out)
{
	bool wildcard = false;

	if (!trace->count) {
		fprintf(out, "# The program bound nothing that a route could serve.\n");
		return;
	}
	for (size_t i = 0; i < trace->count; i++)
		wildcard |= addr_is_wildcard(&trace->binds[i].endpoint.addr);
	fprintf(out, "services:\n  %s: {}\nroutes:\n", trace->service);
	if (wildcard)
		fprintf(out,
			"  # Where the program binds all addresses, write those that it shall serve as 'to'.\n");
	for (size_t i = 0; i < trace->count; i++) {
		const struct link_bind *bind = &trace->binds[i];
		char text[ADDR_TEXT_SIZE];

		if (addr_is_wildcard(&bind->endpoint.addr))
			fprintf(out, "  - {to: [\"0.0.0.0/0\", \"::/0\"], ");
		else
			fprintf(out, "  - {to: \"%s\", ", addr_format(&bind->endpoint.addr, text));
		fprintf(out, "port: %u%s, service: %s}\n", bind->endpoint.port,
			bind->protocol == IPPROTO_UDP ? ", protocol: udp" : "", trace->service);
	}
}
