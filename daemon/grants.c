// SPDX-License-Identifier: BSD-2-Clause
// Makes granted sockets: picks the port, binds, and steers.
#include "daemon/grants.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include "common/cleanup.h"
#include "daemon/log.h"
#include "daemon/sockets.h"

#define LOG_INTERVAL_S 60

/* Kinds of refused binds, which are logged each for itself: by protocol, and by port 0, below 1024
 * and above. */
#define REFUSED_KINDS 6

struct record {
	struct record *next;
	uint32_t service;
	struct grants_counts counts;
	time_t logged[REFUSED_KINDS]; /* CLOCK_MONOTONIC; 0: never */
};

struct grants {
	struct engine *engine;
	struct confinement *confinement;
	const struct config *config;
	bool steers;	      /* else the kernel's own lookup finds what is bound */
	struct record *first; /* of services that have asked */
};

struct grants *grants_new(struct engine *engine, struct confinement *confinement)
{
	struct grants *grants = calloc(1, sizeof(*grants));
	struct engine_info info;

	if (!grants)
		return NULL;
	engine_info(engine, &info);
	grants->engine = engine;
	grants->confinement = confinement;
	grants->steers = info.steers;
	return grants;
}

void grants_free(struct grants *grants)
{
	if (!grants)
		return;
	while (grants->first) {
		struct record *record = grants->first;

		grants->first = record->next;
		free(record);
	}
	free(grants);
}

void grants_configure(struct grants *grants, const struct config *config)
{
	struct record **link = &grants->first;

	grants->config = config;
	while (*link) {
		struct record *record = *link;

		if (config_service_by_id(config, record->service)) {
			link = &record->next;
			continue;
		}
		*link = record->next;
		free(record);
	}
}

static struct record *find_record(const struct grants *grants, uint32_t service)
{
	struct record *record = grants->first;

	while (record && record->service != service)
		record = record->next;
	return record;
}

/* NULL out of memory: then it is not counted. */
static struct record *get_record(struct grants *grants, uint32_t service)
{
	struct record *record = find_record(grants, service);

	if (record)
		return record;
	record = calloc(1, sizeof(*record));
	if (!record)
		return NULL;
	record->service = service;
	record->next = grants->first;
	grants->first = record;
	return record;
}

struct grants_counts grants_counts(const struct grants *grants, uint32_t service)
{
	const struct record *record = find_record(grants, service);

	return record ? record->counts : (struct grants_counts){0};
}

static void make_key(
	const struct coverage_bind *bind, const struct addr_endpoint *at, struct steer_key *key)
{
	*key = (struct steer_key){
		.service = STEER_NO_SERVICE,
		.port = at->port,
		.protocol = bind->protocol,
		.family = addr_is_v4(&at->addr) ? 4 : 6,
	};
	memcpy(key->address, at->addr.bytes, sizeof(key->address));
}

/* Only a socket that listens can be put into the map, but it stays there when it stops to. Before
 * Linux 5.19 it does not: the program then gets it listening. */
static int steer_idle(struct engine *engine, const struct steer_key *key,
	const struct grants_socket *made, struct err *err)
{
	uint64_t cookie;
	int result = engine_steer(engine, key, made->fd, err);

	if (!result)
		result = sockets_stop_listening(made->fd, err);
	if (result || (!engine_steered(engine, key, &cookie) && cookie == made->cookie))
		return result;
	if (listen(made->fd, SOMAXCONN))
		return err_errno(err, -errno, "listen");
	return engine_steer(engine, key, made->fd, err);
}

/* What its holder may do. A UDP socket beside the service's own is for peers that were heard there:
 * it sends first. */
static int confine_granted_socket(struct grants *grants, const struct config_service *service,
	uint8_t protocol, unsigned allowed, int fd, struct err *err)
{
	int result = protocol == IPPROTO_UDP
			     ? confinement_assign(grants->confinement, fd, service->id, err)
			     : 0;

	if (!result && allowed & COVERAGE_CONNECT)
		result = confinement_allow_connect(grants->confinement, fd, err);
	return result;
}

/* Every granted socket is made here. `allowed` says whether its holder may connect it. */
static int make_granted(struct grants *grants, const struct config_service *service,
	const struct coverage_bind *bind, uint16_t port, unsigned allowed,
	struct grants_socket *out, struct err *err)
{
	bool tcp = bind->protocol == IPPROTO_TCP;
	struct sockets_request request = {
		.protocol = bind->protocol,
		.domain = bind->family == 4 ? AF_INET : AF_INET6,
		.v6only = bind->v6only,
		.idle = !(allowed & COVERAGE_PASSIVE) || !grants->steers,
		.unshared = !tcp,
		.endpoint = {bind->endpoint.addr, port},
	};
	cleanup_close int fd = -1;
	struct grants_socket made = {.fd = -1};
	struct steer_key key;
	int result = sockets_make(&request, &fd, &made.bound, err);

	if (result)
		return result;
	made.cookie = sockets_cookie(fd);
	made.fd = fd;
	make_key(bind, &made.bound, &key);
	if (!tcp)
		result = engine_steer(grants->engine, &key, fd, err);
	else if (allowed & COVERAGE_PASSIVE && grants->steers)
		result = steer_idle(grants->engine, &key, &made, err);
	else if (!(allowed & COVERAGE_PASSIVE))
		result = sockets_refuse_callers(fd, err);
	if (!result)
		result = confine_granted_socket(grants, service, bind->protocol, allowed, fd, err);
	if (result)
		return result;
	take_fd(&fd);
	*out = made;
	return 0;
}

static bool is_granted_taken(
	struct grants *grants, const struct coverage_bind *bind, const struct addr_endpoint *at)
{
	struct steer_key key;
	uint64_t cookie;

	make_key(bind, at, &key);
	return !engine_steered(grants->engine, &key, &cookie);
}

static unsigned size_of(const struct config_ports *ports)
{
	return ports->last - (ports->first ? ports->first : 1u) + 1u;
}

/* The nth port of the list of ranges. */
static uint16_t nth_port(const struct config_grants *grants, unsigned n)
{
	const struct config_ports *ports = grants->passive;

	for (; n >= size_of(ports); ports++)
		n -= size_of(ports);
	return (uint16_t)((ports->first ? ports->first : 1u) + n);
}

/* Tries the ports from a random one on: the next to be used shall not be known to others. */
static int make_in_range(struct grants *grants, const struct config_service *service,
	const struct coverage_bind *bind, unsigned allowed, struct grants_socket *out,
	struct err *err)
{
	char text[ADDR_TEXT_SIZE];
	unsigned count = 0, start = 0;

	for (size_t i = 0; i < service->grants.passive_count; i++)
		count += size_of(&service->grants.passive[i]);
	if (getrandom(&start, sizeof(start), GRND_NONBLOCK) < 0)
		start = (unsigned)time(NULL);
	start = count ? start % count : 0;
	for (unsigned i = 0; i < count; i++) {
		struct addr_endpoint at = {
			bind->endpoint.addr, nth_port(&service->grants, (start + i) % count)};
		int result;

		if (is_granted_taken(grants, bind, &at))
			continue;
		result = make_granted(grants, service, bind, at.port, allowed, out, err);
		if (result != -EADDRINUSE)
			return result;
	}
	return err_set(err, -EADDRINUSE,
		"all %u passive ports of service '%s' are in use on %s; widen 'grants: %s' in %s:%u",
		count, service->name, addr_format(&bind->endpoint.addr, text), service->grants.text,
		service->grants.place.file, service->grants.place.line);
}

/* A specific port. A socket that connects out shares its port with others that do. */
static int make_at(struct grants *grants, const struct config_service *service,
	const struct coverage_bind *bind, unsigned allowed, struct grants_socket *out,
	struct err *err)
{
	bool shares = bind->protocol == IPPROTO_TCP && !(allowed & COVERAGE_PASSIVE);
	char text[ADDR_TEXT_SIZE];

	if (!shares && is_granted_taken(grants, bind, &bind->endpoint))
		return err_set(err, -EADDRINUSE, "%s is in use under a grant already",
			addr_endpoint_format(&bind->endpoint, text));
	return make_granted(grants, service, bind, bind->endpoint.port, allowed, out, err);
}

static int refuse_port_zero(
	const struct config_service *service, const struct coverage_bind *bind, struct err *err)
{
	const char *protocol = bind->protocol == IPPROTO_TCP ? "tcp" : "udp";
	char text[ADDR_TEXT_SIZE];

	return err_set(err, -ENOENT,
		"no grant of service '%s' covers %s %s with any port; to connect out from there, or to be reached there, add 'grants: {connect: true%s}' or 'grants: {passive: 50000-50100%s}' to the service in %s:%u",
		service->name, protocol, addr_format(&bind->endpoint.addr, text),
		bind->protocol == IPPROTO_TCP ? "" : ", protocol: udp",
		bind->protocol == IPPROTO_TCP ? "" : ", protocol: udp", service->place.file,
		service->place.line);
}

int grants_give(struct grants *grants, const struct config_service *service,
	const struct coverage_bind *bind, struct grants_socket *out, struct err *err)
{
	unsigned allowed = coverage_grants(service, bind);
	struct record *record;
	int result;

	if (!bind->endpoint.port && !allowed)
		return refuse_port_zero(service, bind, err);
	if (!allowed || coverage_names_port(service, bind))
		return err_set(err, -ENOENT, "no grant of service '%s' covers it", service->name);
	result = !bind->endpoint.port && allowed & COVERAGE_PASSIVE
			 ? make_in_range(grants, service, bind, allowed, out, err)
			 : make_at(grants, service, bind, allowed, out, err);
	record = result ? NULL : get_record(grants, service->id);
	if (record && allowed & COVERAGE_PASSIVE)
		record->counts.passive++;
	else if (record)
		record->counts.connect++;
	return result;
}

/* Adds to the sentence that says which route is missing. */
static void suggest_granted(
	const struct config_service *service, const struct coverage_bind *bind, struct err *err)
{
	const struct config_grants *given = &service->grants;
	const struct addr *address = &bind->endpoint.addr;
	size_t used = strlen(err->text);
	char text[ADDR_TEXT_SIZE];

	if (addr_is_wildcard(address))
		return;
	if (!coverage_has_address(service, address)) {
		if (!bind->endpoint.port)
			snprintf(err->text + used, sizeof(err->text) - used,
				", and a route to it, such as {to: \"%s\", port: PORT, service: %s}",
				addr_format(address, text), service->name);
		return;
	}
	if (bind->endpoint.port)
		snprintf(err->text + used, sizeof(err->text) - used,
			", or, if it is for a single connection, %s 'grants: %s' %s the service in %s:%u",
			given->text ? "widen" : "add",
			given->text ? given->text : "{passive: 50000-50100, connect: [20]}",
			given->text ? "of" : "to",
			given->text ? given->place.file : service->place.file,
			given->text ? given->place.line : service->place.line);
}

void grants_refuse(struct grants *grants, const struct config_service *service,
	const struct coverage_bind *bind, struct err *err)
{
	struct record *record = get_record(grants, service->id);
	uint16_t port = bind->endpoint.port;
	unsigned kind = (bind->protocol == IPPROTO_TCP ? 0 : 3) + (!port ? 0 : port < 1024 ? 1 : 2);
	struct timespec now;

	suggest_granted(service, bind, err);
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!record)
		return;
	record->counts.refused++;
	if (record->logged[kind] && now.tv_sec - record->logged[kind] < LOG_INTERVAL_S)
		return;
	record->logged[kind] = now.tv_sec ? now.tv_sec : 1;
	log_warning("%s", err->text);
}
