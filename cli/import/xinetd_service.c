// SPDX-License-Identifier: BSD-2-Clause
// Translates a service's attributes, most of them by a table.
#include "cli/import/xinetd_service.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/addr.h"

/* Attributes whose first word is the value of a key. */
static const struct {
	const char *attribute, *key;
} values[] = {
	{"user", "user"},
	{"group", "group"},
	{"nice", "nice"},
	{"umask", "umask"},
};

static const struct {
	const char *attribute, *limit;
} limits[] = {
	{"rlimit_as", "as"},
	{"rlimit_cpu", "cpu"},
	{"rlimit_data", "data"},
	{"rlimit_files", "nofile"},
	{"rlimit_rss", "rss"},
	{"rlimit_stack", "stack"},
};

/* What socketbox does without being told, or has no need of. */
static const char *const silent[] = {"id", "log_type", "log_on_success", "log_on_failure", "mdns",
	"socket_type", "protocol", "disable", "type", "flags", "port", "bind", "interface"};

static bool has_word(struct section *section, const char *name, const char *word)
{
	const struct section_entry *entry = section_find(section, name);

	for (size_t i = 0; entry && i < entry->words.count; i++) {
		if (!strcasecmp(entry->words.list[i], word))
			return true;
	}
	return false;
}

/* "192.0.2.0" and "192.0.0.0" are networks, by their zeros; "localhost" is both. */
static void add_xinetd_service_address(
	struct writer *writer, const char *attribute, const char *word, struct exec_words *prefixes)
{
	struct addr_prefix prefix;
	char text[ADDR_TEXT_SIZE];
	struct err err;

	if (!strcasecmp(word, "localhost")) {
		exec_words_add(prefixes, "127.0.0.1");
		exec_words_add(prefixes, "::1");
		return;
	}
	if (addr_prefix_parse(word, &prefix, &err)) {
		writer_note(writer, "%s = %s: not an address or prefix, so not translated",
			attribute, word);
		return;
	}
	if (!strchr(word, '/') && prefix.family == AF_INET) {
		while (prefix.length > 96 && !prefix.addr.bytes[prefix.length / 8 - 1])
			prefix.length -= 8;
	}
	exec_words_add(prefixes, addr_prefix_format(&prefix, text));
}

static void write_xinetd_service_addresses(
	struct writer *writer, struct section *service, const char *attribute, const char *key)
{
	const struct section_entry *entry = section_find(service, attribute);
	struct exec_words prefixes = {0};

	if (!entry)
		return;
	for (size_t i = 0; i < entry->words.count; i++)
		add_xinetd_service_address(writer, attribute, entry->words.list[i], &prefixes);
	if (!prefixes.count && !strcmp(key, "allow-from")) {
		/* Nobody: an empty list, or one of which nothing could be translated. */
		exec_words_add(&prefixes, "0.0.0.0/0");
		exec_words_add(&prefixes, "::/0");
		key = "deny-from";
		section_find(service, "no_access");
	}
	writer_list(writer, key, &prefixes);
	writer_words_free(&prefixes);
}

static void write_access(struct writer *writer, struct section *service)
{
	const struct section_entry *only = section_find(service, "only_from");
	bool nobody = only && !only->words.count;

	write_xinetd_service_addresses(writer, service, "only_from", "allow-from");
	if (!nobody && !writer->service.tried->bounds.deny.count)
		write_xinetd_service_addresses(writer, service, "no_access", "deny-from");
}

static void write_xinetd_service_limits(struct writer *writer, struct section *service)
{
	const struct section_entry *cps = section_find(service, "cps");
	const char *instances = section_text(service, "instances");
	const char *per_source = section_text(service, "per_source");
	char text[64];

	if (instances)
		writer_key(writer, "instances",
			strcasecmp(instances, "UNLIMITED") ? instances : "unlimited");
	if (cps && cps->words.count) {
		snprintf(text, sizeof(text), "%.40s/s", cps->words.list[0]);
		writer_key(writer, "rate", text);
		if (cps->words.count > 1)
			writer_note(writer,
				"cps: above the rate single connections are refused, and not all for %s s",
				cps->words.list[1]);
	}
	if (instances || cps)
		writer_key(writer, "when-full", "refuse");
	if (per_source && strcasecmp(per_source, "UNLIMITED") != 0)
		writer_key(writer, "per-source", per_source);
}

static void write_xinetd_service_rlimits(struct writer *writer, struct section *service)
{
	struct exec_words words = {0};
	char text[64];

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		const char *value = section_text(service, limits[i].attribute);

		if (!value)
			continue;
		snprintf(text, sizeof(text), "%s=%.40s", limits[i].limit,
			strcasecmp(value, "UNLIMITED") ? value : "unlimited");
		exec_words_add(&words, text);
	}
	writer_list(writer, "rlimit", &words);
	writer_words_free(&words);
}

static void write_banner(
	struct writer *writer, struct section *service, const char *attribute, const char *key)
{
	const char *path = section_text(service, attribute);
	char text[512];

	if (!path)
		return;
	snprintf(text, sizeof(text), "@%s", path);
	writer_key(writer, key, text);
}

/* xinetd has three files: for all, for who is served, and for who is not. */
static void write_banners(struct writer *writer, struct section *service)
{
	const char *all = section_text(service, "banner");
	const char *fail = section_text(service, "banner_fail");
	const char *success = section_text(service, "banner_success");

	if (all && (fail || success))
		writer_note(writer, "banner: sent where there is no banner_fail or banner_success");
	write_banner(writer, service, fail ? "banner_fail" : "banner", "banner");
	write_banner(writer, service, success ? "banner_success" : "banner", "banner-start");
}

/* The server and its arguments. With NAMEINARGS the first is the name that the program is told. */
static void write_xinetd_service_command(struct writer *writer, struct section *service)
{
	const struct section_entry *arguments = section_find(service, "server_args");
	const char *server = section_text(service, "server");
	bool named = has_word(service, "flags", "NAMEINARGS");
	const char *slash = server ? strrchr(server, '/') : NULL;
	struct exec_words command = {0};
	size_t first = 0;

	if (!server || !*server)
		return;
	if (slash && !strcmp(slash, "/tcpd") && arguments && arguments->words.count) {
		writer_note(writer,
			"tcpd is left out, and with it hosts.allow and hosts.deny; write allow-from");
	} else {
		exec_words_add(&command, server);
		first = named;
		if (named && arguments && arguments->words.count && slash &&
			strcmp(arguments->words.list[0], slash + 1) != 0)
			writer_note(writer, "the program is called %s, and not %s", server,
				arguments->words.list[0]);
	}
	for (size_t i = first; arguments && i < arguments->words.count; i++)
		exec_words_add(&command, arguments->words.list[i]);
	writer_list(writer, "command", &command);
	writer_words_free(&command);
}

static void write_keys(struct writer *writer, struct section *service, bool wait)
{
	const struct section_entry *env = section_find(service, "env");
	const struct section_entry *pass = section_find(service, "passenv");

	write_xinetd_service_command(writer, service);
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		const char *value = section_text(service, values[i].attribute);

		if (value)
			writer_key(writer, values[i].key, value);
	}
	if (section_text(service, "user") && !has_word(service, "groups", "yes"))
		writer_key(writer, "groups", "none");
	write_xinetd_service_rlimits(writer, service);
	if (env)
		writer_list(writer, "env", &env->words);
	if (pass)
		writer_list(writer, "pass-env", &pass->words);
	if (wait) {
		writer_key(writer, "wait", "true");
	} else {
		write_xinetd_service_limits(writer, service);
		write_access(writer, service);
		write_banners(writer, service);
	}
	writer_key(writer, "stderr", "socket");
}

static unsigned find_xinetd_service_port(struct section *service, const char *name, bool udp)
{
	const char *port = section_text(service, "port");
	const struct servent *known;
	char *end;
	unsigned long number = port ? strtoul(port, &end, 10) : 0;

	if (port && *port >= '0' && *port <= '9' && !*end)
		return number < 65536 ? (unsigned)number : 0;
	known = getservbyname(port ? port : name, udp ? "udp" : "tcp");
	return known ? ntohs((uint16_t)known->s_port) : 0;
}

static void find_routes(struct writer *writer, struct section *service, const char *name, bool udp,
	struct exec_words *routes)
{
	const char *bind = section_text(service, "bind"),
		   *interface = section_text(service, "interface");
	unsigned port = find_xinetd_service_port(service, name, udp);
	struct addr_prefix prefix;
	char text[ADDR_TEXT_SIZE];
	struct err err;

	bind = bind ? bind : interface;
	if (!port) {
		writer_note(writer, "the port of %s is not known on this machine", name);
		return;
	}
	if (bind && !addr_prefix_parse(bind, &prefix, &err)) {
		bool any = addr_is_wildcard(&prefix.addr);

		writer_route(routes, any ? NULL : addr_prefix_format(&prefix, text), port, udp);
		return;
	}
	if (bind)
		writer_note(writer, "bind = %s: not an address; the route takes all", bind);
	writer_route(routes, NULL, port, udp);
}

/* Why socketbox cannot serve it, or NULL. */
static const char *xinetd_service_obstacle(
	struct section *service, struct section *defaults, const char *name)
{
	const char *kind = section_text(service, "socket_type"), *id = section_text(service, "id");
	const struct section_entry *enabled = section_find(defaults, "enabled");

	id = id && *id ? id : name;
	if (has_word(service, "disable", "yes") || has_word(defaults, "disabled", id) ||
		(enabled && !has_word(defaults, "enabled", id)))
		return "it is disabled";
	if (has_word(service, "type", "INTERNAL"))
		return "xinetd itself serves it";
	if (has_word(service, "type", "RPC") || has_word(service, "type", "TCPMUX") ||
		has_word(service, "type", "TCPMUXPLUS"))
		return "RPC and TCPMUX are not served";
	if (section_text(service, "redirect"))
		return "redirect: write a service with relay: {to: ADDRESS:PORT}";
	if (kind && strcmp(kind, "stream") != 0 && strcmp(kind, "dgram") != 0)
		return "only stream and dgram sockets are served";
	if (kind && !strcmp(kind, "dgram") && !has_word(service, "wait", "yes"))
		return "a datagram service must have wait = yes";
	return NULL;
}

static void note_rest(struct writer *writer, struct section *service)
{
	for (size_t i = 0; i < sizeof(silent) / sizeof(*silent); i++)
		section_find(service, silent[i]);
	for (size_t i = 0; i < service->count; i++) {
		if (!service->entries[i].used)
			writer_note(writer, "%s: not translated", service->entries[i].name);
	}
}

int xinetd_service_write(struct writer *writer, const char *name, struct section *service,
	struct section *defaults, struct err *err)
{
	const char *id = section_text(service, "id"),
		   *why = xinetd_service_obstacle(service, defaults, name);
	bool udp = has_word(service, "socket_type", "dgram");
	struct exec_words routes = {0};
	int result = writer_service(writer, id && *id ? id : name, err);

	if (result)
		return result;
	if (why) {
		writer_note(writer, "%s", why);
	} else {
		write_keys(writer, service, has_word(service, "wait", "yes"));
		find_routes(writer, service, name, udp, &routes);
		note_rest(writer, service);
	}
	writer_service_end(writer, &routes, why != NULL);
	writer_words_free(&routes);
	return 0;
}
