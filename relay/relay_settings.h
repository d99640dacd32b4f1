/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a relay forwards: backends, timeouts, PROXY protocol, address mapping. Plain data, made from
 * the configuration or the command line, and the pure judgements over it; the relay makes a copy.
 */
#ifndef SOCKETBOX_RELAY_RELAY_SETTINGS_H
#define SOCKETBOX_RELAY_RELAY_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include "common/addr.h"
#include "relay/proxy_protocol.h"

#define RELAY_DEFAULT_CONNECT_TIMEOUT_MS 5000u
#define RELAY_DEFAULT_PROXY_TIMEOUT_MS	 3000u
#define RELAY_MOST_BACKENDS		 256u

enum relay_target {
	RELAY_TO_ENDPOINT, /* an address and port */
	RELAY_TO_UNIX,	   /* a stream socket at a path */
	RELAY_TO_NAT64,	   /* the IPv4 address that the connection's local IPv6 address ends in */
};

struct relay_backend {
	enum relay_target target;
	struct addr_endpoint endpoint; /* RELAY_TO_ENDPOINT; of RELAY_TO_NAT64 the port, 0: kept */
	struct addr_prefix prefix;     /* RELAY_TO_NAT64: of the local addresses that are mapped */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* RELAY_TO_UNIX */
};

/* Which address a backend sees as its client's. */
enum relay_source {
	RELAY_SOURCE_OWN,    /* the host's */
	RELAY_SOURCE_CLIENT, /* the client's */
	RELAY_SOURCE_PREFIX, /* the client's; an IPv4 one as the end of an IPv6 prefix */
};

struct relay_settings {
	struct relay_backend *backends;
	size_t backend_count;
	uint32_t connect_timeout_ms; /* for each backend that is tried; 0: the kernel's */
	uint32_t idle_timeout_ms;    /* without a byte in either direction; 0: none */
	enum proxy_version proxy_protocol;
	enum relay_source source;
	struct addr_prefix source_prefix; /* /96 or shorter */
	/* What RELAY_TO_NAT64 may reach although it is refused otherwise; see relay_nat64_map. */
	struct addr_prefix *nat64_allow;
	size_t nat64_allow_count;
};

/* Who must send a PROXY header before its connection's bytes. */
struct relay_accept_proxy {
	struct addr_prefix *from;
	size_t from_count;
	bool others_plain; /* connections from elsewhere are taken as they are, not refused */
	uint32_t timeout_ms;
};

/* Parses "192.0.2.1:80", "[2001:db8::1]:80", "unix:/path", "nat64:64:ff9b::/96" (port kept) or
 * "nat64:[64:ff9b::/96]:80". -EINVAL with a sentence that quotes the text. */
int relay_backend_parse(const char *text, struct relay_backend *out, struct err *err);

/* As relay_backend_parse takes it; text has RELAY_BACKEND_TEXT_SIZE bytes and is returned. */
#define RELAY_BACKEND_TEXT_SIZE 128
const char *relay_backend_format(const struct relay_backend *backend, char *text);

/* "own", "client" or a prefix, into settings. */
int relay_source_parse(const char *text, struct relay_settings *settings, struct err *err);
/* "v1" or "v2". */
int relay_proxy_version_parse(const char *text, enum proxy_version *out, struct err *err);

/* An IPv6 prefix that leaves the low 32 bits free. */
int relay_mapping_prefix_parse(const char *text, struct addr_prefix *out, struct err *err);

/* Appends to a list that the caller frees. -ENOMEM; -E2BIG past RELAY_MOST_BACKENDS. */
int relay_settings_add_backend(
	struct relay_settings *settings, const struct relay_backend *backend, struct err *err);
int relay_prefixes_add(struct addr_prefix **list, size_t *count, const struct addr_prefix *prefix);
bool relay_prefixes_contain(const struct addr_prefix *list, size_t count, const struct addr *addr);

/* What no single setting can see. -EINVAL with the remedy. */
int relay_settings_check(const struct relay_settings *settings, struct err *err);

/* A deep copy; -ENOMEM. */
int relay_settings_copy(const struct relay_settings *from, struct relay_settings *out);
void relay_settings_fini(struct relay_settings *settings);
void relay_settings_free(struct relay_settings *settings);	/* fini and free; NULL is allowed */
void relay_accept_proxy_free(struct relay_accept_proxy *proxy); /* NULL is allowed */

/*
 * Where a connection to `local` goes by a RELAY_TO_NAT64 backend. -EADDRNOTAVAIL if local is not in
 * its prefix; -EACCES for what a client must not choose, since it chooses: 0.0.0.0/8, loopback,
 * link-local, multicast, reserved and broadcast addresses, unless a prefix of nat64_allow holds
 * them. *listed tells whether one does; the host's own addresses are the caller's to refuse then.
 */
int relay_nat64_map(const struct relay_settings *settings, const struct relay_backend *backend,
	const struct addr_endpoint *local, struct addr_endpoint *out, bool *listed,
	struct err *err);

/* The address that a backend of this family shall see for the client. Needs a source other than
 * RELAY_SOURCE_OWN. -EADDRNOTAVAIL where the client has none in that family. */
int relay_source_map(const struct relay_settings *settings, const struct addr *client, int family,
	struct addr *out, struct err *err);

#endif
