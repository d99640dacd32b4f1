// SPDX-License-Identifier: BSD-2-Clause
// Collects binds and writes routes.
#include "cli/run/trace.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* One route: a specific address, or the wildcards of one port. */
struct trace_route {
	bool udp, wildcard;
	bool v4, v6; /* what the wildcards take */
	struct addr_endpoint endpoint;
};

struct trace {
	char service[64];
	struct trace_route *routes;
	size_t count;
	bool grants, tcp, udp; /* what was bound with port 0 to a specific address */
	struct addr granted;   /* the first of these addresses */
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
		free(trace->routes);
	free(trace);
}

static struct trace_route route_of(const struct claim_client_bind *bind)
{
	bool wildcard = addr_is_wildcard(&bind->endpoint.addr);

	return (struct trace_route){
		.udp = bind->protocol == IPPROTO_UDP,
		.wildcard = wildcard,
		.v4 = wildcard && !bind->v6only,
		.v6 = wildcard && !addr_is_v4(&bind->endpoint.addr),
		.endpoint = bind->endpoint,
	};
}

static void remember_trace(struct trace *trace, const struct claim_client_bind *bind)
{
	struct trace_route route = route_of(bind), *list;

	for (size_t i = 0; i < trace->count; i++) {
		struct trace_route *known = &trace->routes[i];

		if (known->udp != route.udp || known->wildcard != route.wildcard ||
			known->endpoint.port != route.endpoint.port ||
			(!route.wildcard &&
				!addr_equal(&known->endpoint.addr, &route.endpoint.addr)))
			continue;
		known->v4 |= route.v4;
		known->v6 |= route.v6;
		return;
	}
	list = reallocarray(trace->routes, trace->count + 1, sizeof(*list));
	if (!list)
		return;
	trace->routes = list;
	list[trace->count++] = route;
}

static void remember_grant(struct trace *trace, const struct claim_client_bind *bind)
{
	if (!trace->grants)
		trace->granted = bind->endpoint.addr;
	trace->grants = true;
	trace->udp |= bind->protocol == IPPROTO_UDP;
	trace->tcp |= bind->protocol != IPPROTO_UDP;
}

void trace_note(struct trace *trace, const struct tracee *tracee,
	const struct claim_client_bind *bind, bool local)
{
	char endpoint[ADDR_TEXT_SIZE], name[16];

	tracee_name(tracee, name);
	fprintf(stderr, "socketbox run: %s[%d] binds %s %s%s%s%s\n", name, (int)tracee->thread,
		bind->protocol == IPPROTO_UDP ? "udp" : "tcp",
		addr_endpoint_format(&bind->endpoint, endpoint), bind->v6only ? " ipv6only" : "",
		bind->reuseport ? " reuseport" : "",
		local		      ? ": passed through, and always the program's own"
		: bind->endpoint.port ? ": passed through"
				      : ": passed through, a grant's matter");
	if (!local && bind->endpoint.port)
		remember_trace(trace, bind);
	else if (!local)
		remember_grant(trace, bind);
}

static void print_trace_service(const struct trace *trace, FILE *out)
{
	char text[ADDR_TEXT_SIZE];

	fprintf(out, "services:\n");
	if (!trace->grants) {
		fprintf(out, "  %s: {}\n", trace->service);
		return;
	}
	fprintf(out,
		"  %s:\n"
		"    # It binds %s with any port. Keep 'connect' if it connects out from there, and\n"
		"    # 'passive' if it listens there for a connection. A route has to be for the address.\n"
		"    grants: {passive: 50000-50100, connect: true%s}\n",
		trace->service, addr_format(&trace->granted, text),
		!trace->udp  ? ""
		: trace->tcp ? ", protocol: [tcp, udp]"
			     : ", protocol: udp");
}

static void print_route(const struct trace_route *route, const char *service, FILE *out)
{
	char text[ADDR_TEXT_SIZE];

	if (!route->wildcard)
		fprintf(out, "  - {to: \"%s\", ", addr_format(&route->endpoint.addr, text));
	else if (route->v4 && route->v6)
		fprintf(out, "  - {to: [\"0.0.0.0/0\", \"::/0\"], ");
	else
		fprintf(out, "  - {to: \"%s\", ", route->v4 ? "0.0.0.0/0" : "::/0");
	fprintf(out, "port: %u%s, service: %s}\n", route->endpoint.port,
		route->udp ? ", protocol: udp" : "", service);
}

void trace_print(const struct trace *trace, FILE *out)
{
	bool wildcard = false;

	if (!trace->count && !trace->grants) {
		fprintf(out, "# The program bound nothing that a route could serve.\n");
		return;
	}
	for (size_t i = 0; i < trace->count; i++)
		wildcard |= trace->routes[i].wildcard;
	print_trace_service(trace, out);
	if (trace->count)
		fprintf(out, "routes:\n");
	if (wildcard)
		fprintf(out,
			"  # Where 'to' is 0.0.0.0/0 or ::/0, the program binds all addresses: write those\n"
			"  # that it shall serve, such as this machine's own, or it gets the port on all.\n");
	/* The first match wins: what is specific goes first. */
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < trace->count; i++) {
			if (trace->routes[i].wildcard == (pass == 1))
				print_route(&trace->routes[i], trace->service, out);
		}
	}
}
