/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration as the daemon uses it: services and routes, parsed, checked and immutable.
 * Reading it never changes anything: a configuration either loads whole or is not there.
 */
#ifndef SOCKETBOX_DAEMON_CONFIG_H
#define SOCKETBOX_DAEMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/addr.h"
#include "common/match.h"
#include "daemon/config/config_index.h"
#include "daemon/config/diagnostics.h"
#include "daemon/config/names.h"

#define CONFIG_DEFAULT_PATH    "/etc/socketbox/socketbox.yaml"
#define CONFIG_DEFAULT_HOLD_MS 10000u
#define CONFIG_MAX_SERVICES    65535u

/* Of a prefix, a source, a port or range and a protocol, in all routes together. */
#define CONFIG_MAX_COMBINATIONS 1048576u

/* Where something stands; lines and columns count from 1. file belongs to the config. */
struct config_place {
	const char *file;
	unsigned line, column;
};

/* How a service gets its sockets. */
enum config_delivery { CONFIG_CLAIM, CONFIG_HANDOFF, CONFIG_EXEC, CONFIG_RELAY };

#define CONFIG_DEFAULT_HANDOFF_MODE  0600u
#define CONFIG_DEFAULT_HANDOFF_QUEUE 1024u

struct config_handoff {
	/* Of a Unix datagram socket, in which HANDOFF_PORT_MARK is replaced by the port; NULL: only
	 * what services open by themselves. */
	char *path;
	mode_t mode;	  /* the most that the socket's file may allow */
	uint32_t queue;	  /* connections that wait in the daemon, for each destination */
	uint32_t hold_ms; /* how long they wait for one that is down */
};

/* Set on accepted sockets, as a bit mask. */
enum config_socket_option { CONFIG_NODELAY = 1, CONFIG_KEEPALIVE = 2, CONFIG_QUICKACK = 4 };

struct relay_settings;	   /* relay/settings.h */
struct relay_accept_proxy; /* relay/settings.h */
struct exec_settings;

/* Ports first to last, both included, in host order. 0 to 65535 is any port. */
struct config_ports {
	uint16_t first, last;
};

/* What a service may bind that no route says, on the addresses that its routes name. */
struct config_grants {
	struct config_place place;
	char *text; /* the grants in canonical one-line YAML; NULL: there are none */
	bool tcp, udp;
	struct config_ports *passive; /* to be reached there; port 0 is one of these */
	size_t passive_count;
	bool connects; /* may connect out: from a port that the kernel picks, or from one of */
	struct config_ports *connect;
	size_t connect_count;
};

struct config_service {
	char *name;  /* 1 to 63 characters of [A-Za-z0-9._-], the first a letter or digit */
	uint32_t id; /* service_id(name): the same in every run, unique in a config, not below
		      STEER_FIRST_SERVICE */
	struct config_place place;
	/* Who may claim. Both empty: root and the daemon's own user, who may always. */
	uid_t *users;
	size_t user_count;
	gid_t *groups;
	size_t group_count;
	uint32_t hold_ms;
	enum config_delivery delivery;
	char *getsocks;			/* where HAProxy may ask for the sockets; NULL: nowhere */
	struct config_handoff *handoff; /* NULL unless it is the delivery */
	unsigned socket_options;
	bool ipv4_mapped;			 /* IPv4 connections come on AF_INET6 sockets */
	struct relay_settings *relay;		 /* NULL: it is not relayed */
	struct relay_accept_proxy *accept_proxy; /* NULL: connections have no PROXY header */
	struct exec_settings *exec;		 /* programs serve it; NULL: they do not */
	struct config_grants grants;
	const struct config_route **routes; /* those that lead to it, in their order */
	size_t route_count;
};

/* Matches a packet whose protocol, local address, local port and remote address are each in its
 * list. No list is empty: a key that the file left out is one element that holds everything. */
struct config_route {
	struct config_place place;
	char *text; /* the route in canonical one-line YAML, for people and as its identity */
	struct addr_prefix *to, *from;
	size_t to_count, from_count;
	struct config_ports *ports;
	size_t port_count;
	bool tcp, udp;
	uint32_t *names; /* TLS server names, as config->names counts them; none: any or no name */
	size_t name_count;
	enum match_action action;
	const struct config_service *service; /* NULL unless action is MATCH_SERVICE */
	uint16_t target_port;		      /* 0: the packet's own */
};

enum config_engine { CONFIG_ENGINE_AUTO, CONFIG_ENGINE_KERNEL, CONFIG_ENGINE_USER };

/* Whether sockets that are given away are kept from other uses: where it is possible, or else the
 * daemon does not start, or not. */
enum config_confinement {
	CONFIG_CONFINEMENT_AUTO,
	CONFIG_CONFINEMENT_REQUIRED,
	CONFIG_CONFINEMENT_OFF
};

struct config {
	char **files; /* in the order they were read */
	size_t file_count;
	enum config_engine engine;
	enum config_confinement confinement;
	uint16_t tproxy_port; /* where TPROXY rules bring connections to; 0: nowhere */
	struct names *names;
	struct config_service *services;
	size_t service_count;
	struct config_route
		*routes; /* the main file's first, then each services.d file's by name */
	size_t route_count;
	struct config_index index;
};

/*
 * Reads the file at path and, if there is one, the directory services.d beside it (files ending in
 * .yaml, by name in C order). On success *out is the caller's, to be freed with config_free, and
 * diagnostics holds warnings at most. On failure returns -EINVAL (or the errno of a file that
 * cannot be read) and diagnostics holds every fault found in every file.
 */
int config_load(const char *path, struct config **out, struct diagnostics *diagnostics);

/* The same from memory, as one file with that name and no services.d; what the fuzzer drives. */
int config_parse(const char *name, const char *text, size_t length, struct config **out,
	struct diagnostics *diagnostics);

void config_free(struct config *config); /* NULL is allowed */

const struct config_service *config_service_find(const struct config *config, const char *name);
const struct config_service *config_service_by_id(const struct config *config, uint32_t id);

/* FNV-1a of the name: services keep their identifier in pinned kernel maps across restarts. */
uint32_t service_id(const char *name);

#endif
