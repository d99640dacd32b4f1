// SPDX-License-Identifier: BSD-2-Clause
// Opens, accepts, pauses and closes.
#include "daemon/listen/listeners.h"

#include <errno.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/listen/listeners_private.h"
#include "daemon/log.h"
#include "daemon/routes/coverage.h"
#include "daemon/sockets.h"
#include "daemon/user/route_filter.h"

/* Connections taken per turn of the event loop, so that no socket keeps the others waiting. */
#define MAX_PER_TURN 32

/* How long accepting rests when the machine is out of descriptors or memory. */
static const struct timeval rest = {.tv_usec = 200 * 1000};

struct delivery *listener_delivery(const struct listener *listener)
{
	return listener->spec.service
		       ? deliveries_find(listener->set->deliveries, listener->spec.service)
		       : NULL;
}

/* Told once, until it goes well again. */
static void log_listener_out_of_resources(struct listeners *set, int error)
{
	if (!set->out_of_resources)
		log_warning("new connections wait: accept: %s", strerror(error));
	set->out_of_resources = true;
}

static void start_listener(struct listener *listener)
{
	struct delivery *delivery = listener_delivery(listener);

	if (listener->given_to || listener->accepting ||
		(delivery && delivery_wants_listener(delivery)))
		return;
	listener->accepting = !event_add(listener->readable, NULL);
	if (listener->accepting)
		return;
	log_listener_out_of_resources(listener->set, ENOMEM);
	evtimer_add(listener->set->wake, &rest);
}

static void pause_listener(struct listener *listener)
{
	event_del(listener->readable);
	listener->accepting = false;
}

/* Takes the socket back from the delivery that has it. */
static void take_back(struct listener *listener)
{
	if (listener->given_to)
		delivery_take_listener(listener->given_to, listener->fd);
	listener->given_to = NULL;
}

/* Gives the socket to a delivery that wants it itself, or takes it back. What cannot be given now,
 * for want of memory, is with the next reload. */
static void settle_listener(struct listener *listener)
{
	struct delivery *delivery = listener_delivery(listener);
	struct delivery *wanted = delivery && delivery_wants_listener(delivery) ? delivery : NULL;
	struct err err;

	if (wanted == listener->given_to)
		return;
	take_back(listener);
	if (!wanted)
		return;
	pause_listener(listener);
	if (delivery_give_listener(wanted, listener->fd, &err))
		log_error("%s", err.text);
	else
		listener->given_to = wanted;
}

static bool must_wait(const struct listener *listener)
{
	struct delivery *delivery = listener_delivery(listener);

	return delivery && delivery_full(delivery) && !listener_only_refuses(listener);
}

static void on_wake(evutil_socket_t fd, short what, void *context)
{
	struct listeners *set = context;

	(void)fd;
	(void)what;
	for (struct listener *listener = set->first; listener; listener = listener->next) {
		if (!must_wait(listener))
			start_listener(listener);
	}
}

void listeners_wake(struct listeners *listeners)
{
	if (!evtimer_pending(listeners->wake, NULL))
		on_wake(-1, 0, listeners);
}

/* Accepting rests: what comes waits in the kernel's backlog. */
static void starve_listener(struct listeners *set, int error)
{
	log_listener_out_of_resources(set, error);
	for (struct listener *listener = set->first; listener; listener = listener->next)
		pause_listener(listener);
	evtimer_add(set->wake, &rest);
}

static bool accept_listener_one(struct listener *listener)
{
	struct sockaddr_storage local, remote;
	socklen_t local_length = sizeof(local), remote_length = sizeof(remote);
	struct accepted accepted;

	accepted.fd = accept4(listener->fd, (struct sockaddr *)&remote, &remote_length,
		SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (accepted.fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			starve_listener(listener->set, errno);
		if (errno == EAGAIN)
			listener->old = 0;
		/* The rest is of single connections, which went away (accept(2)). */
		return errno == ECONNABORTED || errno == EPERM;
	}
	if (listener->set->out_of_resources)
		log_info("new connections are accepted again");
	listener->set->out_of_resources = false;
	accepted.generation = listener_take_generation(listener);
	if (getsockname(accepted.fd, (struct sockaddr *)&local, &local_length) ||
		addr_from_sockaddr(&local, local_length, &accepted.local) ||
		addr_from_sockaddr(&remote, remote_length, &accepted.remote)) {
		close(accepted.fd);
		return true;
	}
	accepted.service_port = accepted.local.port;
	dispatcher_take(listener->set->dispatcher, &accepted);
	return true;
}

static void on_listener_readable(evutil_socket_t fd, short what, void *context)
{
	struct listener *listener = context;

	(void)fd;
	(void)what;
	for (int i = 0; i < MAX_PER_TURN && listener->accepting; i++) {
		if (must_wait(listener)) {
			pause_listener(listener);
			return;
		}
		if (!accept_listener_one(listener))
			return;
	}
}

void listeners_resume(struct listeners *listeners, uint32_t service)
{
	for (struct listener *listener = listeners->first; listener; listener = listener->next) {
		if (listener->spec.service == service && !listener->is_new &&
			!evtimer_pending(listeners->wake, NULL))
			start_listener(listener);
	}
}

struct listeners *listeners_new(struct event_base *base, struct engine *engine,
	struct confinement *confinement, struct dispatcher *dispatcher,
	struct deliveries *deliveries, const struct drains *drains, struct fdstore *fdstore)
{
	struct listeners *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	*set = (struct listeners){
		.base = base,
		.engine = engine,
		.confinement = confinement,
		.dispatcher = dispatcher,
		.deliveries = deliveries,
		.drains = drains,
		.fdstore = fdstore,
		.wake = evtimer_new(base, on_wake, set),
	};
	if (!set->wake) {
		free(set);
		return NULL;
	}
	return set;
}

/* A TCP listener is found under any port, a UDP socket under its own address. */
static void steer_key(const struct listener *listener, struct steer_key *key)
{
	const struct listen_spec *spec = &listener->spec;

	*key = (struct steer_key){
		.service = spec->service,
		.port = spec->endpoint.port,
		.protocol = spec->protocol,
		.family = addr_is_v4(&spec->endpoint.addr) ? 4 : 6,
	};
	if (!addr_is_wildcard(&spec->endpoint.addr))
		memcpy(key->address, spec->endpoint.addr.bytes, sizeof(key->address));
}

static void close_listener(struct listener *listener)
{
	take_back(listener);
	if (listener->readable)
		event_free(listener->readable);
	fdstore_drop(listener->set->fdstore, listener->fd);
	cleanup_close_fd(&listener->fd);
	free(listener);
}

/* UDP sockets are bound to what they serve, and hear what no route gives them; their programs
 * answer whom the service has heard. */
int listener_guard(struct listener *listener, const struct config *config, struct err *err)
{
	const struct listen_spec *spec = &listener->spec;
	struct coverage_bind bind = {
		.protocol = spec->protocol,
		.family = spec->domain == AF_INET ? 4 : 6,
		.v6only = true,
		.endpoint = spec->endpoint,
	};
	int result =
		confinement_assign(listener->set->confinement, listener->fd, spec->service, err);

	if (result)
		return result;
	if (engine_steers(listener->set->engine))
		return engine_guard(listener->set->engine, listener->fd, spec->service, err);
	return filter_attach(
		listener->fd, config, config_service_by_id(config, spec->service), &bind, err);
}

/* Says what the socket is, as listen_spec_equal tells sockets apart. */
static void name_socket(const struct listen_spec *spec, char name[FDSTORE_NAME_SIZE])
{
	char endpoint[FDSTORE_ENDPOINT_SIZE];

	snprintf(name, FDSTORE_NAME_SIZE, "accept.%08x.%u.%d%d%d.%s%s", listen_spec_owner(spec),
		spec->protocol, spec->domain == AF_INET ? 4 : 6, spec->mapped, spec->transparent,
		fdstore_endpoint(&spec->endpoint, endpoint), spec->given ? ".given" : "");
}

/* Takes the socket of an earlier daemon, with all that waits in its backlog. */
static bool take_socket(struct listener *listener)
{
	char name[FDSTORE_NAME_SIZE];
	cleanup_close int fd = -1;

	name_socket(&listener->spec, name);
	fd = fdstore_take(listener->set->fdstore, name);
	if (fd < 0 || (listener->spec.protocol == IPPROTO_TCP && !sockets_listens(fd)))
		return false;
	confinement_check_inherited(listener->set->confinement, fd);
	listener->fd = take_fd(&fd);
	/* It may be; then this daemon goes on with the drain, or ends it. */
	listener->drops = !engine_steers(listener->set->engine);
	return true;
}

static int make_listener_socket(struct listener *listener, struct err *err)
{
	const struct listen_spec *spec = &listener->spec;
	struct sockets_request request = {
		.service = spec->service,
		.protocol = spec->protocol,
		.domain = spec->domain,
		.v6only = spec->domain == AF_INET6 && !spec->mapped,
		.at_placeholder =
			engine_steers(listener->set->engine) && spec->protocol == IPPROTO_TCP,
		.transparent = spec->transparent,
		.endpoint = spec->endpoint,
	};
	struct addr_endpoint bound;
	int result = sockets_make(&request, &listener->fd, &bound, err);

	if (result == -EADDRINUSE && fdstore_flush(listener->set->fdstore))
		result = sockets_make(&request, &listener->fd, &bound, err);
	return result;
}

static int open_socket(struct listener *listener, const struct config *config, struct err *err)
{
	struct listeners *set = listener->set;
	char name[FDSTORE_NAME_SIZE];
	struct steer_key key;
	uint64_t living;
	int result = 0;

	if (!take_socket(listener))
		result = make_listener_socket(listener, err);
	if (!result && listener->spec.protocol == IPPROTO_UDP)
		result = listener_guard(listener, config, err);
	if (result)
		return result;
	name_socket(&listener->spec, name);
	fdstore_put(set->fdstore, listener->fd, name);
	steer_key(listener, &key);
	/* Another socket's place is taken when the configuration comes into force, and not before:
	 * the reload may still fail. */
	if (!engine_steers(set->engine) || !engine_steered(set->engine, &key, &living))
		return 0;
	return engine_steer(set->engine, &key, listener->fd, err);
}

/* Takes the place of an earlier configuration's socket, or an earlier daemon's. */
static void take_place(const struct listener *listener)
{
	struct steer_key key;
	struct err err;

	steer_key(listener, &key);
	if (engine_steer(listener->set->engine, &key, listener->fd, &err))
		log_error("a listening socket gets no connections: %s", err.text);
}

static int open_listener(struct listeners *set, const struct config *config,
	const struct listen_spec *spec, struct err *err)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	int result;

	if (!listener)
		return err_errno(err, -ENOMEM, "a listener");
	*listener = (struct listener){
		.set = set,
		.spec = *spec,
		.fd = -1,
		.is_new = true,
		.is_kept = true,
		.next_service = spec->service,
	};
	result = open_socket(listener, config, err);
	if (!result) {
		listener->readable = event_new(set->base, listener->fd, EV_READ | EV_PERSIST,
			on_listener_readable, listener);
		if (!listener->readable)
			result = err_errno(err, -ENOMEM, "a listener");
	}
	if (result) {
		close_listener(listener);
		return result;
	}
	listener->next = set->first;
	set->first = listener;
	return 0;
}

static struct listener *find_listener(const struct listeners *set, const struct listen_spec *spec)
{
	for (struct listener *listener = set->first; listener; listener = listener->next) {
		if (listen_spec_equal(&listener->spec, spec))
			return listener;
	}
	return NULL;
}

static int open_all(struct listeners *set, const struct config *config,
	const struct listen_specs *list, struct err *err)
{
	for (struct listener *listener = set->first; listener; listener = listener->next)
		listener->is_kept = false;
	for (size_t i = 0; i < list->count; i++) {
		struct listener *known = find_listener(set, &list->list[i]);
		int result = 0;

		if (known) {
			known->is_kept = true;
			known->next_service = list->list[i].service;
		} else {
			result = open_listener(set, config, &list->list[i], err);
		}
		if (result)
			return result;
	}
	return 0;
}

int listeners_prepare(
	struct listeners *listeners, const struct config *config, struct diagnostics *diagnostics)
{
	struct listen_specs list;
	struct err err = {.text = "out of memory"};
	int result = engine_steers(listeners->engine)
			     ? listen_specs_by_services(config, &list, diagnostics)
			     : listen_specs_by_routes(config, &list, diagnostics);

	if (!result) {
		result = open_all(listeners, config, &list, &err);
		listen_specs_free(&list);
	}
	if (result && result != -E2BIG)
		diagnostics_error(diagnostics, NULL, 0, 0, "%s", err.text);
	if (result)
		listeners_abandon(listeners);
	return result;
}

/* Programs may hold a UDP socket on, and answer what came to it, but nothing more comes. Without an
 * engine that steers, the one that has been bound last hears. */
static void silence_listener(struct listener *listener)
{
	struct err err;

	if (listener->spec.protocol != IPPROTO_UDP)
		return;
	if (sockets_set_drop_filter(listener->fd, true, &err))
		log_warning("%s", err.text);
	engine_unguard(listener->set->engine, sockets_cookie(listener->fd));
}

/* Closes those for which `drop` is true. */
static void sweep_listener(struct listeners *set, bool (*drop)(const struct listener *listener))
{
	struct listener **link = &set->first;

	while (*link) {
		struct listener *listener = *link;

		if (!drop(listener)) {
			link = &listener->next;
			continue;
		}
		*link = listener->next;
		silence_listener(listener);
		close_listener(listener);
	}
}

static bool is_unneeded(const struct listener *listener)
{
	return !listener->is_kept;
}

static bool is_new(const struct listener *listener)
{
	return listener->is_new;
}

void listeners_release(struct listeners *listeners, const struct config *config)
{
	for (struct listener *listener = listeners->first; listener; listener = listener->next) {
		if (listener->given_to && !delivery_survives(listener->given_to, config))
			take_back(listener);
	}
}

void listeners_commit(struct listeners *listeners, const struct config *config)
{
	struct err err;

	for (struct listener *listener = listeners->first; listener; listener = listener->next) {
		if (listener->is_new)
			take_place(listener);
	}
	sweep_listener(listeners, is_unneeded);
	for (struct listener *listener = listeners->first; listener; listener = listener->next) {
		listener->is_new = false;
		if (listener->spec.service != listener->next_service)
			take_back(listener);
		listener->spec.service = listener->next_service;
		settle_listener(listener);
	}
	if (listeners_follow(listeners, config, &err))
		log_warning("%s", err.text);
}

void listeners_abandon(struct listeners *listeners)
{
	sweep_listener(listeners, is_new);
}

/* TCP_INFO of a listening socket: tcpi_unacked is the length of its accept queue. */
int listener_backlog(int fd)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) ? 0 : (int)info.tcpi_unacked;
}

static const char *name_listener_of(const struct listener *listener, const struct config *config)
{
	const struct config_service *service = config_service_by_id(config, listener->spec.service);

	return service ? service->name : NULL;
}

json_t *listeners_report(const struct listeners *listeners, const struct config *config)
{
	json_t *list = json_array();

	for (struct listener *listener = listeners->first; listener; listener = listener->next) {
		char text[ADDR_TEXT_SIZE];

		json_array_append_new(list,
			json_pack("{s:s?, s:s, s:s, s:s, s:b, s:i}", "service",
				name_listener_of(listener, config), "protocol",
				listener->spec.protocol == IPPROTO_TCP ? "tcp" : "udp", "family",
				listener->spec.domain == AF_INET ? "ipv4" : "ipv6", "address",
				addr_endpoint_format(&listener->spec.endpoint, text), "paused",
				!listener->accepting && !listener->given_to, "backlog",
				listener_backlog(listener->fd)));
	}
	return list;
}

void listeners_free(struct listeners *listeners)
{
	if (!listeners)
		return;
	while (listeners->first) {
		struct listener *listener = listeners->first;

		listeners->first = listener->next;
		close_listener(listener);
	}
	event_free(listeners->wake);
	free(listeners);
}

bool listeners_have_key(const struct listeners *listeners, const struct steer_key *key)
{
	for (struct listener *listener = listeners->first; listener; listener = listener->next) {
		struct steer_key theirs;

		steer_key(listener, &theirs);
		if (!memcmp(&theirs, key, sizeof(theirs)))
			return true;
	}
	return false;
}
