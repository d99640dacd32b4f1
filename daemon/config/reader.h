/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of the configuration reader share: the configuration in the making, diagnostics
 * with a node's place, and mappings read by tables of keys. Every reader complains for itself and
 * goes on, so that all faults of a file are told at once.
 */
#ifndef SOCKETBOX_DAEMON_READER_H
#define SOCKETBOX_DAEMON_READER_H

#include "daemon/config/config.h"
#include "daemon/config/yaml.h"

struct duplicates;

struct reader {
	struct config *config;
	struct diagnostics *diagnostics;
	const char *file; /* the one being read; owned by config */
	size_t service_room, route_room;
	char **wanted; /* by route: the name of its service until all services are known, or NULL */
	struct duplicates *duplicates;
	bool out_of_memory;
};

/* The most keys that a mapping may have. */
#define READER_MAX_KEYS 48

struct reader_key {
	const char *name;
	void (*read)(struct reader *reader, const struct yaml_node *value, void *target);
};

void reader_error(struct reader *reader, const struct yaml_node *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void reader_warning(struct reader *reader, const struct yaml_node *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void reader_no_memory(struct reader *reader);
struct config_place reader_place(const struct reader *reader, const struct yaml_node *node);

/* Reads a mapping by its table of keys: unknown keys and repeated ones are complained about. An
 * empty value is an empty mapping. `what` names the mapping in diagnostics ("a route"). */
void reader_mapping(struct reader *reader, const struct yaml_node *node, const char *what,
	const struct reader_key *keys, size_t key_count, void *target);

/* Calls read for each element of a sequence, or for the node itself if it is none. */
void reader_each(struct reader *reader, const struct yaml_node *node, const char *what,
	void (*read)(struct reader *reader, const struct yaml_node *element, void *target),
	void *target);

/* The scalar's text; NULL after a diagnostic if the node is a list, a mapping or empty. */
const char *reader_text(struct reader *reader, const struct yaml_node *node, const char *what);

/* A whole decimal number in least..most; false after a diagnostic, or if text is none (no
 * diagnostic). */
bool reader_number(const char *text, unsigned long least, unsigned long most, unsigned long *out);

/* "80" or "8000-8099"; 1-65535 gives 0 to 65535, which is any port. False, without a diagnostic, if
 * the text is neither: READER_NO_PORTS is what to say of it. */
bool reader_ports(const char *text, struct config_ports *out);
#define READER_NO_PORTS \
	"'%s' is not a port; write a number from 1 to 65535, or a range such as 8000-8099"

/* "10s", "500ms", "2m" or "0" in milliseconds, at most an hour; false after a diagnostic. */
bool reader_duration(struct reader *reader, const struct yaml_node *node, uint32_t *out_ms);

/* The name among candidates that was probably meant, or NULL. */
const char *reader_suggest(const char *text, const char *(*candidate)(const void *list, size_t i),
	const void *list, size_t count);

/* Keys of a service (handoff.c). */
void handoff_read(struct reader *reader, const struct yaml_node *node, void *target);
void handoff_free(struct config_handoff *handoff);
void socket_options_read(struct reader *reader, const struct yaml_node *node, void *target);
void ipv4_read(struct reader *reader, const struct yaml_node *node, void *target);

/* The top-level keys; services.c and routes.c. */
void services_read(struct reader *reader, const struct yaml_node *node, void *target);
void routes_read(struct reader *reader, const struct yaml_node *node, void *target);

/* A service's keys `relay` and `accept-proxy` (relay.c). */
void relay_read(struct reader *reader, const struct yaml_node *node, void *target);
void accept_proxy_read(struct reader *reader, const struct yaml_node *node, void *target);
/* A service's `exec:` (exec.c). */
void exec_read(struct reader *reader, const struct yaml_node *node, void *target);

/* Reads one route (route.c). *out, without its text, is the caller's to free with route_fini;
 * *service is the name that it gives, or NULL. False after a diagnostic. */
bool route_read(struct reader *reader, const struct yaml_node *node, struct config_route *out,
	const char **service);
void route_fini(struct config_route *route);

/* The grants of a service (grants.c); target is its struct config_grants. */
void grants_read(struct reader *reader, const struct yaml_node *node, void *target);
void grants_fini(struct config_grants *grants);

/* After all files: resolves each route's service, warns of services without a route. */
void routes_resolve(struct reader *reader);

/* Complains if the route, or warns if a part of it, matches exactly what an earlier one does
 * (duplicates.c). */
void duplicates_check(struct reader *reader, const struct yaml_node *node, size_t route);
void duplicates_free(struct duplicates *duplicates);

#endif
