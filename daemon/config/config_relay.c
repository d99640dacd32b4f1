// SPDX-License-Identifier: BSD-2-Clause
// Reads a service's `relay:` and `accept-proxy:`.
#include <stdlib.h>
#include <string.h>

#include "daemon/config/reader.h"
#include "relay/relay_settings.h"

static void read_backend(struct reader *reader, const struct yaml_node *node, void *target)
{
	const char *text = reader_text(reader, node, "'to'");
	struct relay_settings *settings = target;
	struct relay_backend backend;
	struct err err;

	if (text && (relay_backend_parse(text, &backend, &err) ||
			    relay_settings_add_backend(settings, &backend, &err)))
		reader_error(reader, node, "%s", err.text);
}

static void read_relay_to(struct reader *reader, const struct yaml_node *node, void *target)
{
	reader_each(reader, node, "'to'", read_backend, target);
}

static void read_connect_timeout(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct relay_settings *settings = target;

	reader_duration(reader, node, &settings->connect_timeout_ms);
}

static void read_idle_timeout(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct relay_settings *settings = target;

	reader_duration(reader, node, &settings->idle_timeout_ms);
}

static void read_proxy_protocol(struct reader *reader, const struct yaml_node *node, void *target)
{
	const char *text = reader_text(reader, node, "'proxy-protocol'");
	struct relay_settings *settings = target;
	struct err err;

	if (text && relay_proxy_version_parse(text, &settings->proxy_protocol, &err))
		reader_error(reader, node, "%s", err.text);
}

static void read_source(struct reader *reader, const struct yaml_node *node, void *target)
{
	const char *text = reader_text(reader, node, "'source'");
	struct err err;

	if (text && relay_source_parse(text, target, &err))
		reader_error(reader, node, "%s", err.text);
}

static void read_relay_prefix(struct reader *reader, const struct yaml_node *node, const char *what,
	struct addr_prefix **list, size_t *count)
{
	const char *text = reader_text(reader, node, what);
	struct addr_prefix prefix;
	struct err err;

	if (text && addr_prefix_parse(text, &prefix, &err))
		reader_error(reader, node, "%s", err.text);
	else if (text && relay_prefixes_add(list, count, &prefix))
		reader_no_memory(reader);
}

static void read_nat64_prefix(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct relay_settings *settings = target;

	read_relay_prefix(reader, node, "'nat64-allow'", &settings->nat64_allow,
		&settings->nat64_allow_count);
}

static void read_nat64_allow(struct reader *reader, const struct yaml_node *node, void *target)
{
	reader_each(reader, node, "'nat64-allow'", read_nat64_prefix, target);
}

void relay_read(struct reader *reader, const struct yaml_node *node, void *target)
{
	static const struct reader_key keys[] = {
		{"to", read_relay_to},
		{"connect-timeout", read_connect_timeout},
		{"idle-timeout", read_idle_timeout},
		{"proxy-protocol", read_proxy_protocol},
		{"source", read_source},
		{"nat64-allow", read_nat64_allow},
	};
	struct config_service *service = target;
	size_t errors = reader->diagnostics->errors;
	struct err err;

	service->relay = calloc(1, sizeof(*service->relay));
	if (!service->relay) {
		reader_no_memory(reader);
		return;
	}
	service->relay->connect_timeout_ms = RELAY_DEFAULT_CONNECT_TIMEOUT_MS;
	reader_mapping(reader, node, "'relay'", keys, sizeof(keys) / sizeof(*keys), service->relay);
	if (reader->diagnostics->errors == errors && relay_settings_check(service->relay, &err))
		reader_error(reader, node, "%s", err.text);
}

static void read_accept_prefix(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct relay_accept_proxy *proxy = target;

	read_relay_prefix(reader, node, "'from'", &proxy->from, &proxy->from_count);
}

static void read_accept_from(struct reader *reader, const struct yaml_node *node, void *target)
{
	reader_each(reader, node, "'from'", read_accept_prefix, target);
}

static void read_accept_others(struct reader *reader, const struct yaml_node *node, void *target)
{
	const char *text = reader_text(reader, node, "'others'");
	struct relay_accept_proxy *proxy = target;

	if (text && strcmp(text, "plain") != 0 && strcmp(text, "refuse") != 0)
		reader_error(reader, node,
			"'others: %s' says nothing; write refuse, or plain (they send no header)",
			text);
	proxy->others_plain = text && !strcmp(text, "plain");
}

static void read_accept_timeout(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct relay_accept_proxy *proxy = target;

	if (reader_duration(reader, node, &proxy->timeout_ms) && !proxy->timeout_ms)
		reader_error(reader, node,
			"'timeout: 0' would let connections without a header wait for ever; write a time such as 3s");
}

void accept_proxy_read(struct reader *reader, const struct yaml_node *node, void *target)
{
	static const struct reader_key keys[] = {
		{"from", read_accept_from},
		{"others", read_accept_others},
		{"timeout", read_accept_timeout},
	};
	struct config_service *service = target;
	size_t errors = reader->diagnostics->errors;

	service->accept_proxy = calloc(1, sizeof(*service->accept_proxy));
	if (!service->accept_proxy) {
		reader_no_memory(reader);
		return;
	}
	service->accept_proxy->timeout_ms = RELAY_DEFAULT_PROXY_TIMEOUT_MS;
	reader_mapping(reader, node, "'accept-proxy'", keys, sizeof(keys) / sizeof(*keys),
		service->accept_proxy);
	if (reader->diagnostics->errors == errors && !service->accept_proxy->from_count)
		reader_error(reader, node,
			"'accept-proxy' needs 'from', the addresses of the proxies that are believed, such as {from: \"192.0.2.10\"}");
}
