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

struct delivery *acceptor_delivery(const struct acceptor *acceptor)
{
	return acceptor->wanted.service
		       ? deliveries_find(acceptor->set->deliveries, acceptor->wanted.service)
		       : NULL;
}

/* Told once, until it goes well again. */
static void say_starving(struct acceptors *set, int error)
{
	if (!set->starving)
		log_warning("new connections wait: accept: %s", strerror(error));
	set->starving = true;
}

static void start(struct acceptor *acceptor)
{
	if (acceptor->served || acceptor->accepting)
		return;
	acceptor->accepting = !event_add(acceptor->readable, NULL);
	if (acceptor->accepting)
		return;
	say_starving(acceptor->set, ENOMEM);
	evtimer_add(acceptor->set->wake, &rest);
}

static void pause_acceptor(struct acceptor *acceptor)
{
	event_del(acceptor->readable);
	acceptor->accepting = false;
}

/* Takes the socket back from the delivery that has it. */
static void take_back(struct acceptor *acceptor)
{
	struct delivery *delivery = acceptor_delivery(acceptor);

	if (acceptor->served && delivery)
		delivery_unserve(delivery, acceptor->fd);
	acceptor->served = false;
}

/* Gives the socket to a delivery that wants it itself, or takes it back. */
static void settle(struct acceptor *acceptor)
{
	struct delivery *delivery = acceptor_delivery(acceptor);
	bool wanted = delivery && delivery_serves(delivery);
	struct err err;

	if (wanted == acceptor->served)
		return;
	if (!wanted) {
		take_back(acceptor);
		return;
	}
	pause_acceptor(acceptor);
	if (delivery_serve(delivery, acceptor->fd, &err))
		log_error("%s", err.text);
	acceptor->served = true;
}

static bool must_wait(const struct acceptor *acceptor)
{
	struct delivery *delivery = acceptor_delivery(acceptor);

	return delivery && delivery_full(delivery) && !acceptor_only_refuses(acceptor);
}

static void on_wake(evutil_socket_t fd, short what, void *context)
{
	struct acceptors *set = context;

	(void)fd;
	(void)what;
	for (struct acceptor *acceptor = set->first; acceptor; acceptor = acceptor->next) {
		if (!must_wait(acceptor))
			start(acceptor);
	}
}

void acceptors_wake(struct acceptors *acceptors)
{
	if (!evtimer_pending(acceptors->wake, NULL))
		on_wake(-1, 0, acceptors);
}

/* Accepting rests: what comes waits in the kernel's backlog. */
static void starve(struct acceptors *set, int error)
{
	say_starving(set, error);
	for (struct acceptor *acceptor = set->first; acceptor; acceptor = acceptor->next)
		pause_acceptor(acceptor);
	evtimer_add(set->wake, &rest);
}

static bool accept_one(struct acceptor *acceptor)
{
	struct sockaddr_storage local, remote;
	socklen_t local_length = sizeof(local), remote_length = sizeof(remote);
	struct arrival arrival;

	arrival.fd = accept4(acceptor->fd, (struct sockaddr *)&remote, &remote_length,
		SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (arrival.fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			starve(acceptor->set, errno);
		if (errno == EAGAIN)
			acceptor->old = 0;
		/* The rest is of single connections, which went away (accept(2)). */
		return errno == ECONNABORTED || errno == EPERM;
	}
	if (acceptor->set->starving)
		log_info("new connections are accepted again");
	acceptor->set->starving = false;
	arrival.era = acceptor_take_era(acceptor);
	if (getsockname(arrival.fd, (struct sockaddr *)&local, &local_length) ||
		addr_from_sockaddr(&local, local_length, &arrival.local) ||
		addr_from_sockaddr(&remote, remote_length, &arrival.remote)) {
		close(arrival.fd);
		return true;
	}
	arrival.service_port = arrival.local.port;
	judge_take(acceptor->set->judge, &arrival);
	return true;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct acceptor *acceptor = context;

	(void)fd;
	(void)what;
	for (int i = 0; i < MAX_PER_TURN && acceptor->accepting; i++) {
		if (must_wait(acceptor)) {
			pause_acceptor(acceptor);
			return;
		}
		if (!accept_one(acceptor))
			return;
	}
}

void acceptors_resume(struct acceptors *acceptors, uint32_t service)
{
	for (struct acceptor *acceptor = acceptors->first; acceptor; acceptor = acceptor->next) {
		if (acceptor->wanted.service == service && !acceptor->is_new &&
			!evtimer_pending(acceptors->wake, NULL))
			start(acceptor);
	}
}

struct acceptors *acceptors_new(struct event_base *base, struct engine *engine, struct fence *fence,
	struct judge *judge, struct deliveries *deliveries, const struct drains *drains,
	struct handover *handover)
{
	struct acceptors *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	*set = (struct acceptors){
		.base = base,
		.engine = engine,
		.fence = fence,
		.judge = judge,
		.deliveries = deliveries,
		.drains = drains,
		.handover = handover,
		.wake = evtimer_new(base, on_wake, set),
	};
	if (!set->wake) {
		free(set);
		return NULL;
	}
	return set;
}

/* A TCP acceptor is found under any port, a UDP socket under its own address. */
static void steer_key(const struct acceptor *acceptor, struct steer_key *key)
{
	const struct wanted *wanted = &acceptor->wanted;

	*key = (struct steer_key){
		.service = wanted->service,
		.port = wanted->endpoint.port,
		.protocol = wanted->protocol,
		.family = addr_is_v4(&wanted->endpoint.addr) ? 4 : 6,
	};
	if (!addr_is_wildcard(&wanted->endpoint.addr))
		memcpy(key->address, wanted->endpoint.addr.bytes, sizeof(key->address));
}

static void close_acceptor(struct acceptor *acceptor)
{
	take_back(acceptor);
	if (acceptor->readable)
		event_free(acceptor->readable);
	handover_drop(acceptor->set->handover, acceptor->fd);
	cleanup_close_fd(&acceptor->fd);
	free(acceptor);
}

/* UDP sockets are bound to what they serve, and hear what no route gives them; their programs
 * answer whom the service has heard. */
int acceptor_guard(struct acceptor *acceptor, const struct config *config, struct err *err)
{
	const struct wanted *wanted = &acceptor->wanted;
	struct coverage_bind bind = {
		.protocol = wanted->protocol,
		.family = wanted->domain == AF_INET ? 4 : 6,
		.v6only = true,
		.endpoint = wanted->endpoint,
	};
	int result = fence_assign(acceptor->set->fence, acceptor->fd, wanted->service, err);

	if (result)
		return result;
	if (engine_steers(acceptor->set->engine))
		return engine_guard(acceptor->set->engine, acceptor->fd, wanted->service, err);
	return filter_attach(
		acceptor->fd, config, config_service_by_id(config, wanted->service), &bind, err);
}

/* Says what the socket is, as wanted_equal tells sockets apart. */
static void name_socket(const struct wanted *wanted, char name[HANDOVER_NAME_SIZE])
{
	char endpoint[HANDOVER_ENDPOINT_SIZE];

	snprintf(name, HANDOVER_NAME_SIZE, "accept.%08x.%u.%d%d%d.%s", wanted_owner(wanted),
		wanted->protocol, wanted->domain == AF_INET ? 4 : 6, wanted->mapped,
		wanted->transparent, handover_endpoint(&wanted->endpoint, endpoint));
}

/* Takes the socket of an earlier daemon, with all that waits in its backlog. */
static bool take_socket(struct acceptor *acceptor)
{
	char name[HANDOVER_NAME_SIZE];
	cleanup_close int fd = -1;

	name_socket(&acceptor->wanted, name);
	fd = handover_take(acceptor->set->handover, name);
	if (fd < 0 || (acceptor->wanted.protocol == IPPROTO_TCP && !sockets_listens(fd)))
		return false;
	fence_recognise(acceptor->set->fence, fd);
	acceptor->fd = take_fd(&fd);
	/* It may be; then this daemon goes on with the drain, or ends it. */
	acceptor->deaf = !engine_steers(acceptor->set->engine);
	return true;
}

static int make_socket(struct acceptor *acceptor, struct err *err)
{
	const struct wanted *wanted = &acceptor->wanted;
	struct sockets_request request = {
		.service = wanted->service,
		.protocol = wanted->protocol,
		.domain = wanted->domain,
		.v6only = wanted->domain == AF_INET6 && !wanted->mapped,
		.anchored = engine_steers(acceptor->set->engine) && wanted->protocol == IPPROTO_TCP,
		.transparent = wanted->transparent,
		.endpoint = wanted->endpoint,
	};
	struct addr_endpoint bound;
	int result = sockets_make(&request, &acceptor->fd, &bound, err);

	if (result == -EADDRINUSE && handover_flush(acceptor->set->handover))
		result = sockets_make(&request, &acceptor->fd, &bound, err);
	return result;
}

static int open_socket(struct acceptor *acceptor, const struct config *config, struct err *err)
{
	struct acceptors *set = acceptor->set;
	char name[HANDOVER_NAME_SIZE];
	struct steer_key key;
	int result = 0;

	if (!take_socket(acceptor))
		result = make_socket(acceptor, err);
	if (!result && acceptor->wanted.protocol == IPPROTO_UDP)
		result = acceptor_guard(acceptor, config, err);
	if (result)
		return result;
	name_socket(&acceptor->wanted, name);
	handover_keep(set->handover, acceptor->fd, name);
	if (!engine_steers(set->engine))
		return 0;
	steer_key(acceptor, &key);
	return engine_steer(set->engine, &key, acceptor->fd, err);
}

static int open_acceptor(struct acceptors *set, const struct config *config,
	const struct wanted *wanted, struct err *err)
{
	struct acceptor *acceptor = calloc(1, sizeof(*acceptor));
	int result;

	if (!acceptor)
		return err_errno(err, -ENOMEM, "an acceptor");
	*acceptor = (struct acceptor){
		.set = set,
		.wanted = *wanted,
		.fd = -1,
		.is_new = true,
		.is_kept = true,
		.next_service = wanted->service,
	};
	result = open_socket(acceptor, config, err);
	if (!result) {
		acceptor->readable = event_new(
			set->base, acceptor->fd, EV_READ | EV_PERSIST, on_readable, acceptor);
		if (!acceptor->readable)
			result = err_errno(err, -ENOMEM, "an acceptor");
	}
	if (result) {
		close_acceptor(acceptor);
		return result;
	}
	acceptor->next = set->first;
	set->first = acceptor;
	return 0;
}

static struct acceptor *find(const struct acceptors *set, const struct wanted *wanted)
{
	for (struct acceptor *acceptor = set->first; acceptor; acceptor = acceptor->next) {
		if (wanted_equal(&acceptor->wanted, wanted))
			return acceptor;
	}
	return NULL;
}

static int open_all(struct acceptors *set, const struct config *config,
	const struct wanted_list *list, struct err *err)
{
	for (struct acceptor *acceptor = set->first; acceptor; acceptor = acceptor->next)
		acceptor->is_kept = false;
	for (size_t i = 0; i < list->count; i++) {
		struct acceptor *known = find(set, &list->list[i]);
		int result = 0;

		if (known) {
			known->is_kept = true;
			known->next_service = list->list[i].service;
		} else {
			result = open_acceptor(set, config, &list->list[i], err);
		}
		if (result)
			return result;
	}
	return 0;
}

int acceptors_prepare(
	struct acceptors *acceptors, const struct config *config, struct complaints *complaints)
{
	struct wanted_list list;
	struct err err = {.text = "out of memory"};
	int result = engine_steers(acceptors->engine)
			     ? wanted_by_services(config, &list, complaints)
			     : wanted_by_routes(config, &list, complaints);

	if (!result) {
		result = open_all(acceptors, config, &list, &err);
		wanted_free(&list);
	}
	if (result && result != -E2BIG)
		complaints_error(complaints, NULL, 0, 0, "%s", err.text);
	if (result)
		acceptors_abandon(acceptors);
	return result;
}

/* Programs may hold a UDP socket on, and answer what came to it, but nothing more comes. Without an
 * engine that steers, the one that has been bound last hears. */
static void silence(struct acceptor *acceptor)
{
	struct err err;

	if (acceptor->wanted.protocol != IPPROTO_UDP)
		return;
	if (sockets_deafen(acceptor->fd, true, &err))
		log_warning("%s", err.text);
	engine_unguard(acceptor->set->engine, sockets_cookie(acceptor->fd));
}

/* Closes those for which `drop` is true. */
static void sweep(struct acceptors *set, bool (*drop)(const struct acceptor *acceptor))
{
	struct acceptor **link = &set->first;

	while (*link) {
		struct acceptor *acceptor = *link;

		if (!drop(acceptor)) {
			link = &acceptor->next;
			continue;
		}
		*link = acceptor->next;
		silence(acceptor);
		close_acceptor(acceptor);
	}
}

static bool is_unneeded(const struct acceptor *acceptor)
{
	return !acceptor->is_kept;
}

static bool is_new(const struct acceptor *acceptor)
{
	return acceptor->is_new;
}

void acceptors_commit(struct acceptors *acceptors, const struct config *config)
{
	struct err err;

	sweep(acceptors, is_unneeded);
	for (struct acceptor *acceptor = acceptors->first; acceptor; acceptor = acceptor->next) {
		acceptor->is_new = false;
		if (acceptor->wanted.service != acceptor->next_service)
			take_back(acceptor);
		acceptor->wanted.service = acceptor->next_service;
		settle(acceptor);
	}
	if (acceptors_follow(acceptors, config, &err))
		log_warning("%s", err.text);
}

void acceptors_abandon(struct acceptors *acceptors)
{
	sweep(acceptors, is_new);
}

/* TCP_INFO of a listening socket: tcpi_unacked is the length of its accept queue. */
int acceptor_backlog(int fd)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) ? 0 : (int)info.tcpi_unacked;
}

static const char *name_of(const struct acceptor *acceptor, const struct config *config)
{
	const struct config_service *service =
		config_service_by_id(config, acceptor->wanted.service);

	return service ? service->name : NULL;
}

json_t *acceptors_report(const struct acceptors *acceptors, const struct config *config)
{
	json_t *list = json_array();

	for (struct acceptor *acceptor = acceptors->first; acceptor; acceptor = acceptor->next) {
		char text[ADDR_TEXT_SIZE];

		json_array_append_new(list,
			json_pack("{s:s?, s:s, s:s, s:s, s:b, s:i}", "service",
				name_of(acceptor, config), "protocol",
				acceptor->wanted.protocol == IPPROTO_TCP ? "tcp" : "udp", "family",
				acceptor->wanted.domain == AF_INET ? "ipv4" : "ipv6", "address",
				addr_endpoint_format(&acceptor->wanted.endpoint, text), "paused",
				!acceptor->accepting && !acceptor->served, "backlog",
				acceptor_backlog(acceptor->fd)));
	}
	return list;
}

void acceptors_free(struct acceptors *acceptors)
{
	if (!acceptors)
		return;
	while (acceptors->first) {
		struct acceptor *acceptor = acceptors->first;

		acceptors->first = acceptor->next;
		close_acceptor(acceptor);
	}
	event_free(acceptors->wake);
	free(acceptors);
}
