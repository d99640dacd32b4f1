// SPDX-License-Identifier: BSD-2-Clause
// Brings each connection to a backend: tries them in turn, waits for descriptors, starts the pump.
#include "relay/relay.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "relay/connect.h"
#include "relay/health.h"
#include "relay/pump.h"

#define SAY_AGAIN_MS  10000 /* that connections wait */
#define STARVED_MS    200   /* until a connection without a descriptor is tried again */
#define FULL_QUEUE_MS 20    /* until a Unix socket with a full backlog is */

struct connection {
	struct relay *relay;
	struct connection *next, **link;
	int client;
	bool addressed; /* local and remote are known */
	struct addr_endpoint local, remote;
	struct plan *plan; /* NULL once connected */
	uint8_t *first;	   /* goes to the backend first: PROXY header, initial octets */
	size_t first_length;
	struct tried tried;
	int backend; /* index; -1: none chosen */
	struct connect_target target;
	int64_t give_up_ms; /* on this backend; 0: never */
	int connecting;	    /* the backend's socket, until it is the pump's */
	struct event event; /* on it, or a timer */
	bool waiting;	    /* for a descriptor */
	struct pump *pump;
};

struct relay {
	struct event_base *base;
	struct relay_limits limits;
	struct relay_events events;
	struct plan *plan;
	struct pump_hub *hub;
	struct connection *connections;
	unsigned count;
	bool was_full;
	int64_t say_starved_ms;	    /* not before */
	struct relay_report report; /* but for what others count */
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

__attribute__((format(printf, 2, 3))) static void say(
	const struct relay *relay, const char *format, ...)
{
	char text[ERR_TEXT_SIZE + 256];
	va_list args;

	if (!relay->events.say)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	relay->events.say(relay->events.context, text);
}

struct relay_limits relay_limits_for(unsigned descriptors)
{
	unsigned pipes = descriptors / 8;

	/* More are of no use: a pipe belongs to a connection only while bytes are in it. */
	if (pipes > 1024)
		pipes = 1024;
	return (struct relay_limits){.connections = (descriptors - 2 * pipes) / 2, .pipes = pipes};
}

void relay_prepare(int fd)
{
	int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

bool relay_wants_addresses(const struct relay *relay)
{
	const struct relay_settings *settings = &relay->plan->settings;

	return settings->proxy_protocol != PROXY_NONE || settings->source != RELAY_SOURCE_OWN ||
	       settings->backends[0].target == RELAY_TO_NAT64;
}

bool relay_full(const struct relay *relay)
{
	return relay->count >= relay->limits.connections || relay->report.waiting;
}

static void tell_room(struct relay *relay)
{
	if (!relay->was_full || relay_full(relay))
		return;
	relay->was_full = false;
	if (relay->events.room)
		relay->events.room(relay->events.context);
}

/* Forgets a connection, and tells whoever waits for that. */
static void forget(struct connection *connection)
{
	struct relay *relay = connection->relay;

	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
	plan_put(connection->plan);
	free(connection->first);
	free(connection);
	relay->count--;
	tell_room(relay);
	if (!relay->count && relay->events.empty)
		relay->events.empty(relay->events.context);
}

static void set_waiting(struct connection *connection, bool waiting)
{
	struct relay *relay = connection->relay;

	relay->report.waiting += (unsigned)waiting - (unsigned)connection->waiting;
	connection->waiting = waiting;
	if (waiting)
		relay->was_full = true;
}

/* Gives up a connection that has no pump. */
static void drop(struct connection *connection)
{
	set_waiting(connection, false);
	event_del(&connection->event);
	cleanup_close_fd(&connection->connecting);
	pump_reset_socket(connection->client);
	connection->relay->report.connecting--;
	forget(connection);
}

static void on_ended(void *context, enum pump_end end)
{
	struct connection *connection = context;
	struct relay_report *report = &connection->relay->report;

	report->established--;
	if (end == PUMP_FINISHED)
		report->finished++;
	else if (end == PUMP_IDLE)
		report->idle++;
	else
		report->reset++;
	forget(connection);
}

static void attempt(struct connection *connection);

/* Notes that the backend at hand did not work, and goes on with another. */
static void fail(struct connection *connection, const struct err *err)
{
	struct relay *relay = connection->relay;
	struct plan *plan = connection->plan;
	char text[RELAY_BACKEND_TEXT_SIZE];
	uint32_t skip;

	cleanup_close_fd(&connection->connecting);
	relay_backend_format(&plan->settings.backends[connection->backend], text);
	/* Each destination of a mapping is a machine of its own. */
	if (plan->settings.backends[connection->backend].target == RELAY_TO_NAT64) {
		say(relay, "%s: %s", text, err->text);
	} else {
		skip = plan_failed(plan, connection->backend, now_ms());
		if (plan->health[connection->backend].failures == 1)
			say(relay, "backend %s: %s; skipped for %u s", text, err->text,
				skip / 1000);
	}
	connection->backend = -1;
	attempt(connection);
}

static void on_connecting(evutil_socket_t fd, short what, void *context);

/* Waits for the socket, or just for some time; at most until the backend is given up. */
static void await(struct connection *connection, int64_t ms)
{
	bool io = connection->connecting >= 0;
	int64_t left = connection->give_up_ms ? connection->give_up_ms - now_ms() : 0;
	struct timeval timeout;
	bool timed = true;

	if (io) {
		timed = connection->give_up_ms != 0;
		ms = left > 0 ? left : 0;
	}
	timeout = (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	event_assign(&connection->event, connection->relay->base, connection->connecting,
		io ? EV_WRITE : 0, on_connecting, connection);
	if (event_add(&connection->event, timed ? &timeout : NULL)) {
		connection->relay->report.failed++;
		drop(connection);
	}
}

static void establish(struct connection *connection)
{
	struct relay *relay = connection->relay;
	struct plan *plan = connection->plan;
	struct pump_request request = {
		.client = connection->client,
		.backend = connection->connecting,
		.first = connection->first,
		.first_length = connection->first_length,
		.idle_timeout_ms = plan->settings.idle_timeout_ms,
		.ended = on_ended,
		.context = connection,
	};
	char text[RELAY_BACKEND_TEXT_SIZE];
	struct err err;

	if (pump_start(relay->hub, &request, &connection->pump, &err)) {
		fail(connection, &err);
		return;
	}
	take_fd(&connection->connecting);
	relay->report.connecting--;
	relay->report.established++;
	if (plan_succeeded(plan, connection->backend))
		say(relay, "backend %s: reachable again",
			relay_backend_format(&plan->settings.backends[connection->backend], text));
	plan_put(take_ptr(&connection->plan));
	free(take_ptr(&connection->first));
	tell_room(relay);
}

static bool is_starved(int code)
{
	return code == -EMFILE || code == -ENFILE || code == -ENOBUFS || code == -ENOMEM;
}

/* Where descriptors or memory are short, waits for others to end rather than fail or spin. */
static void starve(struct connection *connection, const struct err *err)
{
	struct relay *relay = connection->relay;

	if (pump_hub_trim(relay->hub)) {
		await(connection, 0);
		return;
	}
	if (relay->say_starved_ms <= now_ms()) {
		relay->say_starved_ms = now_ms() + SAY_AGAIN_MS;
		say(relay, "%s; connections wait until others end", err->text);
	}
	set_waiting(connection, true);
	await(connection, STARVED_MS);
}

/* Chooses a backend if none is at hand; false if the connection was dropped for want of one. */
static bool choose(struct connection *connection)
{
	struct plan *plan = connection->plan;
	uint32_t timeout = plan->settings.connect_timeout_ms;

	if (connection->backend >= 0)
		return true;
	connection->backend = plan_choose(plan, &connection->tried, now_ms());
	if (connection->backend < 0) {
		connection->relay->report.failed++;
		drop(connection);
		return false;
	}
	connection->give_up_ms = timeout ? now_ms() + timeout : 0;
	return true;
}

static void try_connect(struct connection *connection)
{
	struct err err;
	int result = connect_begin(&connection->target, &connection->connecting, &err);

	if (is_starved(result))
		starve(connection, &err);
	else if (result == -EAGAIN &&
		 (!connection->give_up_ms || now_ms() < connection->give_up_ms))
		await(connection, FULL_QUEUE_MS);
	else if (result < 0)
		fail(connection, &err);
	else if (result)
		await(connection, 0);
	else
		establish(connection);
}

static void attempt(struct connection *connection)
{
	struct relay *relay = connection->relay;
	const struct relay_settings *settings = &connection->plan->settings;
	struct err err;
	int result;

	if (!choose(connection))
		return;
	result = connect_target(settings, &settings->backends[connection->backend],
		connection->addressed ? &connection->local : NULL,
		connection->addressed ? &connection->remote : NULL, &connection->target, &err);
	if (is_starved(result)) {
		starve(connection, &err);
	} else if (result) {
		say(relay, "refused: %s", err.text);
		relay->report.refused++;
		drop(connection);
	} else {
		try_connect(connection);
	}
}

static void on_connecting(evutil_socket_t fd, short what, void *context)
{
	struct connection *connection = context;
	struct err err;
	int result;

	if (fd < 0) {
		set_waiting(connection, false);
		attempt(connection);
		return;
	}
	result = what & EV_WRITE ? connect_result(fd) : -ETIMEDOUT;
	if (!result) {
		establish(connection);
		return;
	}
	err_errno(&err, result, "connect");
	fail(connection, &err);
}

/* What the backend gets before the client's own bytes. */
static int make_first(struct connection *connection, const void *initial, size_t initial_length)
{
	enum proxy_version version = connection->plan->settings.proxy_protocol;

	if (version == PROXY_NONE && !initial_length)
		return 0;
	connection->first = malloc(PROXY_ENCODED_MOST + initial_length);
	if (!connection->first)
		return -ENOMEM;
	connection->first_length =
		proxy_encode(version, connection->addressed ? &connection->remote : NULL,
			connection->addressed ? &connection->local : NULL, connection->first);
	if (initial_length)
		memcpy(connection->first + connection->first_length, initial, initial_length);
	connection->first_length += initial_length;
	return 0;
}

static void link_connection(struct relay *relay, struct connection *connection)
{
	connection->relay = relay;
	connection->next = relay->connections;
	connection->link = &relay->connections;
	if (connection->next)
		connection->next->link = &connection->next;
	relay->connections = connection;
	relay->count++;
	relay->report.connecting++;
	if (relay_full(relay))
		relay->was_full = true;
}

void relay_take(struct relay *relay, int fd, const struct addr_endpoint *local,
	const struct addr_endpoint *remote, const void *initial, size_t initial_length)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	relay->report.taken++;
	if (!connection) {
		relay->report.failed++;
		pump_reset_socket(fd);
		return;
	}
	connection->client = fd;
	connection->connecting = connection->backend = -1;
	connection->plan = plan_get(relay->plan);
	connection->addressed = local && remote;
	if (connection->addressed) {
		connection->local = *local;
		connection->remote = *remote;
	}
	evtimer_assign(&connection->event, relay->base, on_connecting, connection);
	link_connection(relay, connection);
	if (make_first(connection, initial, initial_length)) {
		relay->report.failed++;
		drop(connection);
		return;
	}
	attempt(connection);
}

int relay_new(struct event_base *base, const struct relay_settings *settings,
	const struct relay_limits *limits, const struct relay_events *events, struct relay **out,
	struct err *err)
{
	struct relay *relay = calloc(1, sizeof(*relay));

	if (!relay)
		return err_errno(err, -ENOMEM, "a relay");
	relay->base = base;
	relay->limits = *limits;
	relay->events = *events;
	relay->plan = plan_new(settings, NULL);
	relay->hub = pump_hub_new(base, limits->pipes);
	if (!relay->plan || !relay->hub) {
		relay_free(relay);
		return err_errno(err, -ENOMEM, "a relay");
	}
	*out = relay;
	return 0;
}

void relay_free(struct relay *relay)
{
	if (!relay)
		return;
	relay->events = (struct relay_events){0};
	while (relay->connections) {
		struct connection *connection = relay->connections;

		if (!connection->pump) {
			drop(connection);
			continue;
		}
		pump_stop(connection->pump);
		forget(connection);
	}
	plan_put(relay->plan);
	pump_hub_free(relay->hub);
	free(relay);
}

struct relay_report relay_report(const struct relay *relay)
{
	struct relay_report report = relay->report;
	struct pump_counts counts = pump_hub_counts(relay->hub);

	report.pipes = counts.pipes;
	report.to_backends = counts.to_backends;
	report.to_clients = counts.to_clients;
	return report;
}

bool relay_report_backend(const struct relay *relay, size_t index, struct relay_backend_report *out)
{
	const struct plan *plan = relay->plan;
	int64_t left;

	if (index >= plan->settings.backend_count)
		return false;
	left = plan->health[index].skip_until_ms - now_ms();
	*out = (struct relay_backend_report){
		.connections = plan->health[index].connections,
		.failures = plan->health[index].failures,
		.retry_ms = left > 0 ? (uint32_t)left : 0,
	};
	relay_backend_format(&plan->settings.backends[index], out->text);
	return true;
}

int relay_reconfigure(struct relay *relay, const struct relay_settings *settings, struct err *err)
{
	struct plan *plan = plan_new(settings, relay->plan);

	if (!plan)
		return err_errno(err, -ENOMEM, "a relay's new settings");
	plan_put(relay->plan);
	relay->plan = plan;
	return 0;
}
