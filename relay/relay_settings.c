// SPDX-License-Identifier: BSD-2-Clause
// Reads settings from text, copies them, and maps addresses by them.
#include "relay/relay_settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

#define MAPPED_BITS 96 /* the low 32 are the IPv4 address */

static bool parse_relay_setting_port(const char *text, uint16_t *out)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end || !port || port > 65535)
		return false;
	*out = (uint16_t)port;
	return true;
}

/* Splits "HOST:PORT" or "[HOST]:PORT" at its last colon; false if it is neither. */
static bool split_relay_setting(const char *text, char *host, size_t size, uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : 0;
	bool brackets = length > 2 && text[0] == '[' && text[length - 1] == ']';

	if (!length || !parse_relay_setting_port(colon + 1, port))
		return false;
	if (brackets) {
		text++;
		length -= 2;
	}
	if (length >= size || (!brackets && memchr(text, ':', length)))
		return false;
	memcpy(host, text, length);
	host[length] = '\0';
	return true;
}

static int parse_unix(const char *text, struct relay_backend *out, struct err *err)
{
	const char *path = text + strlen("unix:");

	if (path[0] != '/')
		return err_set(err, -EINVAL,
			"'%s': the path must be absolute, as in unix:/run/app.sock", text);
	if (strlen(path) >= sizeof(out->path))
		return err_set(err, -EINVAL, "'%s': a socket's path has at most %zu characters",
			text, sizeof(out->path) - 1);
	*out = (struct relay_backend){.target = RELAY_TO_UNIX};
	strcpy(out->path, path);
	return 0;
}

int relay_mapping_prefix_parse(const char *text, struct addr_prefix *out, struct err *err)
{
	struct addr_prefix prefix;
	int result = addr_prefix_parse(text, &prefix, err);

	if (result)
		return result;
	if (prefix.family != AF_INET6 || prefix.length > MAPPED_BITS)
		return err_set(err, -EINVAL,
			"'%s' cannot hold IPv4 addresses; write an IPv6 prefix of at most %d bits, such as 64:ff9b::/96",
			text, MAPPED_BITS);
	*out = prefix;
	return 0;
}

static int parse_nat64(const char *text, struct relay_backend *out, struct err *err)
{
	struct relay_backend backend = {.target = RELAY_TO_NAT64};
	const char *rest = text + strlen("nat64:");
	char prefix[ADDR_TEXT_SIZE];
	int result;

	if (rest[0] == '[') {
		if (!split_relay_setting(rest, prefix, sizeof(prefix), &backend.endpoint.port))
			return err_set(err, -EINVAL,
				"'%s' is not a mapping with a port; write it as nat64:[64:ff9b::/96]:80",
				text);
		rest = prefix;
	}
	result = relay_mapping_prefix_parse(rest, &backend.prefix, err);
	if (!result)
		*out = backend;
	return result;
}

int relay_backend_parse(const char *text, struct relay_backend *out, struct err *err)
{
	struct relay_backend backend = {.target = RELAY_TO_ENDPOINT};
	char host[ADDR_TEXT_SIZE];

	if (!strncmp(text, "unix:", 5))
		return parse_unix(text, out, err);
	if (!strncmp(text, "nat64:", 6))
		return parse_nat64(text, out, err);
	if (!split_relay_setting(text, host, sizeof(host), &backend.endpoint.port))
		return err_set(err, -EINVAL,
			"'%s' is not a backend; write 192.0.2.1:80, [2001:db8::1]:80, unix:/run/app.sock or nat64:64:ff9b::/96",
			text);
	if (addr_parse(host, &backend.endpoint.addr, err))
		return err_prefix(err, "'%s'", text);
	if (addr_is_wildcard(&backend.endpoint.addr))
		return err_set(err, -EINVAL, "'%s': nothing can be reached at this address", text);
	*out = backend;
	return 0;
}

const char *relay_backend_format(const struct relay_backend *backend, char *text)
{
	char prefix[ADDR_TEXT_SIZE];

	if (backend->target == RELAY_TO_UNIX)
		snprintf(text, RELAY_BACKEND_TEXT_SIZE, "unix:%s", backend->path);
	else if (backend->target == RELAY_TO_ENDPOINT)
		addr_endpoint_format(&backend->endpoint, text);
	else if (backend->endpoint.port)
		snprintf(text, RELAY_BACKEND_TEXT_SIZE, "nat64:[%s]:%u",
			addr_prefix_format(&backend->prefix, prefix), backend->endpoint.port);
	else
		snprintf(text, RELAY_BACKEND_TEXT_SIZE, "nat64:%s",
			addr_prefix_format(&backend->prefix, prefix));
	return text;
}

int relay_source_parse(const char *text, struct relay_settings *settings, struct err *err)
{
	if (!strcmp(text, "own")) {
		settings->source = RELAY_SOURCE_OWN;
	} else if (!strcmp(text, "client")) {
		settings->source = RELAY_SOURCE_CLIENT;
	} else {
		if (!strchr(text, ':'))
			return err_set(err, -EINVAL,
				"'%s' is not a source; write own, client or an IPv6 prefix such as 2001:db8:64::/96",
				text);
		if (relay_mapping_prefix_parse(text, &settings->source_prefix, err))
			return -EINVAL;
		settings->source = RELAY_SOURCE_PREFIX;
	}
	return 0;
}

int relay_proxy_version_parse(const char *text, enum proxy_version *out, struct err *err)
{
	if (!strcmp(text, "v1"))
		*out = PROXY_V1;
	else if (!strcmp(text, "v2"))
		*out = PROXY_V2;
	else
		return err_set(err, -EINVAL,
			"'%s' is not a version of the PROXY protocol; write v1 or v2", text);
	return 0;
}

int relay_settings_add_backend(
	struct relay_settings *settings, const struct relay_backend *backend, struct err *err)
{
	struct relay_backend *list;

	if (settings->backend_count == RELAY_MOST_BACKENDS)
		return err_set(err, -E2BIG, "there are more than %u backends", RELAY_MOST_BACKENDS);
	list = reallocarray(settings->backends, settings->backend_count + 1, sizeof(*list));
	if (!list)
		return err_errno(err, -ENOMEM, "a list of backends");
	settings->backends = list;
	list[settings->backend_count++] = *backend;
	return 0;
}

int relay_prefixes_add(struct addr_prefix **list, size_t *count, const struct addr_prefix *prefix)
{
	struct addr_prefix *longer = reallocarray(*list, *count + 1, sizeof(*longer));

	if (!longer)
		return -ENOMEM;
	*list = longer;
	longer[(*count)++] = *prefix;
	return 0;
}

bool relay_prefixes_contain(const struct addr_prefix *list, size_t count, const struct addr *addr)
{
	for (size_t i = 0; i < count; i++) {
		if (addr_prefix_contains(&list[i], addr))
			return true;
	}
	return false;
}

int relay_settings_check(const struct relay_settings *settings, struct err *err)
{
	bool nat64 = false;

	if (!settings->backend_count)
		return err_set(err, -EINVAL,
			"a relay needs a backend, such as 192.0.2.10:8080 or unix:/run/app.sock");
	for (size_t i = 0; i < settings->backend_count; i++)
		nat64 |= settings->backends[i].target == RELAY_TO_NAT64;
	if (nat64 && settings->backend_count > 1)
		return err_set(err, -EINVAL,
			"a nat64 mapping names every backend by itself, so it must stand alone");
	if (settings->nat64_allow_count && !nat64)
		return err_set(err, -EINVAL,
			"nat64-allow widens a nat64 mapping, and there is none among the backends");
	if (settings->source == RELAY_SOURCE_PREFIX && nat64)
		return err_set(err, -EINVAL,
			"a nat64 mapping reaches IPv4 backends, which cannot see a source in an IPv6 prefix");
	return 0;
}

int relay_settings_copy(const struct relay_settings *from, struct relay_settings *out)
{
	struct relay_settings copy = *from;

	copy.backends = calloc(from->backend_count + 1, sizeof(*copy.backends));
	copy.nat64_allow = calloc(from->nat64_allow_count + 1, sizeof(*copy.nat64_allow));
	if (!copy.backends || !copy.nat64_allow) {
		relay_settings_fini(&copy);
		return -ENOMEM;
	}
	for (size_t i = 0; i < from->backend_count; i++)
		copy.backends[i] = from->backends[i];
	for (size_t i = 0; i < from->nat64_allow_count; i++)
		copy.nat64_allow[i] = from->nat64_allow[i];
	*out = copy;
	return 0;
}

void relay_settings_fini(struct relay_settings *settings)
{
	free(settings->backends);
	free(settings->nat64_allow);
	*settings = (struct relay_settings){0};
}

void relay_settings_free(struct relay_settings *settings)
{
	if (settings)
		relay_settings_fini(settings);
	free(settings);
}

void relay_accept_proxy_free(struct relay_accept_proxy *proxy)
{
	if (proxy)
		free(proxy->from);
	free(proxy);
}

/* IPv4 addresses that mean this machine, its link, or many machines (RFC 6890). */
static bool is_special(const uint8_t *v4)
{
	return v4[0] == 0 || v4[0] == 127 || v4[0] >= 224 || (v4[0] == 169 && v4[1] == 254);
}

int relay_nat64_map(const struct relay_settings *settings, const struct relay_backend *backend,
	const struct addr_endpoint *local, struct addr_endpoint *out, bool *listed, struct err *err)
{
	struct addr_endpoint mapped = {.addr.bytes = {[10] = 0xff, [11] = 0xff}};
	char from[ADDR_TEXT_SIZE], to[ADDR_TEXT_SIZE];

	if (!addr_prefix_contains(&backend->prefix, &local->addr))
		return err_set(err, -EADDRNOTAVAIL,
			"%s is not in %s, so no backend follows from it",
			addr_format(&local->addr, from), addr_prefix_format(&backend->prefix, to));
	memcpy(mapped.addr.bytes + 12, local->addr.bytes + 12, 4);
	mapped.port = backend->endpoint.port ? backend->endpoint.port : local->port;
	*listed = relay_prefixes_contain(
		settings->nat64_allow, settings->nat64_allow_count, &mapped.addr);
	if (is_special(mapped.addr.bytes + 12) && !*listed)
		return err_set(err, -EACCES,
			"%s stands for %s, which a client must not choose; nat64-allow would permit it",
			addr_format(&local->addr, from), addr_format(&mapped.addr, to));
	*out = mapped;
	return 0;
}

int relay_source_map(const struct relay_settings *settings, const struct addr *client, int family,
	struct addr *out, struct err *err)
{
	char text[ADDR_TEXT_SIZE];

	if (addr_family(client) == family) {
		*out = *client;
	} else if (family == AF_INET6 && settings->source == RELAY_SOURCE_PREFIX) {
		*out = settings->source_prefix.addr;
		memcpy(out->bytes + 12, client->bytes + 12, 4);
	} else {
		return err_set(err, -EADDRNOTAVAIL,
			"an %s backend cannot see the client %s as its source",
			family == AF_INET ? "IPv4" : "IPv6", addr_format(client, text));
	}
	return 0;
}
