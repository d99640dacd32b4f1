// SPDX-License-Identifier: BSD-2-Clause
// A connection's way to a backend: tries them in turn, waits for descriptors, starts the session.
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "relay/relay_private.h"

#define SAY_MOST      20 /* lines within SAY_WITHIN_MS: clients can cause many */
#define SAY_WITHIN_MS 1000
#define SAY_AGAIN_MS  10000 /* that connections wait */
#define STARVED_MS    200   /* until a connection without a descriptor is tried again */
#define FULL_QUEUE_MS 20    /* until a Unix socket with a full backlog is */

/* Holds the log to a rate, and says how many lines were left out. */
static bool may_say(struct relay *relay)
{
	char text[64];

	if (relay_now_ms() - relay->said_since_ms >= SAY_WITHIN_MS) {
		snprintf(text, sizeof(text), "%u more messages were left out", relay->unsaid);
		if (relay->unsaid)
			relay->events.say(relay->events.context, text);
		relay->said_since_ms = relay_now_ms();
		relay->said = relay->unsaid = 0;
	}
	if (relay->said++ < SAY_MOST)
		return true;
	relay->unsaid++;
	return false;
}

__attribute__((format(printf, 2, 3))) static void say(struct relay *relay, const char *format, ...)
{
	char text[ERR_TEXT_SIZE + 256];
	va_list args;

	if (!relay->events.say || !may_say(relay))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	relay->events.say(relay->events.context, text);
}

static void set_waiting(struct connection *connection, bool waiting)
{
	struct relay *relay = connection->relay;

	relay->report.waiting += (unsigned)waiting - (unsigned)connection->waiting;
	connection->waiting = waiting;
	if (waiting)
		relay->was_full = true;
}

void attempt_give_up(struct connection *connection)
{
	set_waiting(connection, false);
	event_del(&connection->event);
	cleanup_close_fd(&connection->connecting);
	connection->relay->report.connecting--;
	connection_forget(connection);
}

void attempt_drop(struct connection *connection)
{
	session_reset_socket(connection->client);
	attempt_give_up(connection);
}

static void on_attempt_ended(void *context, enum session_end end)
{
	struct connection *connection = context;
	struct relay_report *report = &connection->relay->report;

	report->established--;
	if (end == SESSION_FINISHED)
		report->finished++;
	else if (end == SESSION_IDLE)
		report->idle++;
	else
		report->reset++;
	connection_forget(connection);
}

static bool is_attempt_out_of_resources(int code)
{
	return code == -EMFILE || code == -ENFILE || code == -ENOBUFS || code == -ENOMEM;
}

/* Whether a failure tells of the backend, and not of this machine, or of the client's address that
 * cannot be the source. Each destination of a mapping is a machine of its own. */
static bool is_backends(const struct relay_backend *backend, int code)
{
	return backend->target != RELAY_TO_NAT64 && code != -EADDRNOTAVAIL && code != -EINVAL &&
	       code != -EACCES && code != -EPERM;
}

/* Notes that the backend at hand did not work, and goes on with another. */
static void fail_attempt(struct connection *connection, const struct err *err)
{
	struct relay *relay = connection->relay;
	struct backend_set *backends = connection->backends;
	const struct relay_backend *backend = &backends->settings.backends[connection->backend];
	char text[RELAY_BACKEND_TEXT_SIZE];
	uint32_t skip;

	cleanup_close_fd(&connection->connecting);
	relay_backend_format(backend, text);
	if (!is_backends(backend, err->code)) {
		say(relay, "backend %s: %s", text, err->text);
	} else {
		skip = backend_set_failed(backends, connection->backend, relay_now_ms());
		if (backends->health[connection->backend].failures == 1)
			say(relay, "backend %s: %s; skipped for %u s", text, err->text,
				skip / 1000);
	}
	connection->backend = -1;
	attempt_start(connection);
}

static void on_connecting(evutil_socket_t fd, short what, void *context);

static void begin_anew(struct connection *connection, const struct err *err);

/* Waits for the socket, or just for some time; at most until the backend is given up. */
static void await_attempt(struct connection *connection, int64_t ms)
{
	bool io = connection->connecting >= 0;
	int64_t left = connection->give_up_ms ? connection->give_up_ms - relay_now_ms() : 0;
	struct timeval timeout;
	bool timed = true;
	struct err err;

	if (io) {
		timed = connection->give_up_ms != 0;
		ms = left > 0 ? left : 0;
	}
	timeout = (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	event_assign(&connection->event, connection->relay->base, connection->connecting,
		io ? EV_WRITE : 0, on_connecting, connection);
	if (!event_add(&connection->event, timed ? &timeout : NULL))
		return;
	if (io) {
		err_errno(&err, -ENOMEM, "waiting for a backend");
		begin_anew(connection, &err);
		return;
	}
	connection->relay->report.failed++;
	attempt_drop(connection);
}

/* Where descriptors or memory are short, waits for others to end rather than fail or spin. */
static void starve_attempt(struct connection *connection, const struct err *err)
{
	struct relay *relay = connection->relay;

	if (session_pool_trim(relay->pool)) {
		await_attempt(connection, 0);
		return;
	}
	if (relay->say_starved_ms <= relay_now_ms()) {
		relay->say_starved_ms = relay_now_ms() + SAY_AGAIN_MS;
		say(relay, "%s; connections wait until others end", err->text);
	}
	set_waiting(connection, true);
	await_attempt(connection, STARVED_MS);
}

/* The same where there is a connection to the backend already, of which nothing comes. */
static void begin_anew(struct connection *connection, const struct err *err)
{
	cleanup_close_fd(&connection->connecting);
	starve_attempt(connection, err);
}

/* The session has its two sockets: the way is at its end. */
static void arrive_attempt(struct connection *connection)
{
	struct relay *relay = connection->relay;

	relay->report.connecting--;
	relay->report.established++;
	backend_set_put(take_ptr(&connection->backends));
	free(take_ptr(&connection->first));
	relay_tell_room(relay);
}

void attempt_resume(struct connection *connection, const struct session_saved *kept)
{
	struct relay *relay = connection->relay;
	struct session_request request = {
		.client = kept->client,
		.backend = kept->backend,
		.kept = kept,
		.idle_timeout_ms = connection->backends->settings.idle_timeout_ms,
		.ended = on_attempt_ended,
		.context = connection,
	};
	struct err err;

	if (!session_start(relay->pool, &request, &connection->session, &err)) {
		arrive_attempt(connection);
		return;
	}
	relay->report.failed++;
	session_reset_socket(kept->backend);
	attempt_drop(connection);
}

static void establish_attempt(struct connection *connection)
{
	struct relay *relay = connection->relay;
	struct backend_set *backends = connection->backends;
	struct session_request request = {
		.client = connection->client,
		.backend = connection->connecting,
		.first = connection->first,
		.first_length = connection->first_length,
		.idle_timeout_ms = backends->settings.idle_timeout_ms,
		.ended = on_attempt_ended,
		.context = connection,
	};
	char text[RELAY_BACKEND_TEXT_SIZE];
	struct err err;
	int result = session_start(relay->pool, &request, &connection->session, &err);

	if (is_attempt_out_of_resources(result))
		begin_anew(connection, &err);
	else if (result)
		fail_attempt(connection, &err);
	if (result)
		return;
	take_fd(&connection->connecting);
	if (backend_set_succeeded(backends, connection->backend))
		say(relay, "backend %s: reachable again",
			relay_backend_format(
				&backends->settings.backends[connection->backend], text));
	arrive_attempt(connection);
}

/* Chooses a backend if none is at hand; false if the connection was dropped for want of one. */
static bool choose_attempt(struct connection *connection)
{
	struct backend_set *backends = connection->backends;
	uint32_t timeout = backends->settings.connect_timeout_ms;

	if (connection->backend >= 0)
		return true;
	connection->backend = backend_set_choose(backends, &connection->tried, relay_now_ms());
	if (connection->backend < 0) {
		connection->relay->report.failed++;
		attempt_drop(connection);
		return false;
	}
	connection->give_up_ms = timeout ? relay_now_ms() + timeout : 0;
	return true;
}

static void try_connect(struct connection *connection)
{
	struct err err;
	int result = connect_begin(&connection->target, &connection->connecting, &err);

	if (is_attempt_out_of_resources(result))
		starve_attempt(connection, &err);
	else if (result == -EAGAIN &&
		 (!connection->give_up_ms || relay_now_ms() < connection->give_up_ms))
		await_attempt(connection, FULL_QUEUE_MS);
	else if (result < 0)
		fail_attempt(connection, &err);
	else if (result)
		await_attempt(connection, 0);
	else
		establish_attempt(connection);
}

void attempt_start(struct connection *connection)
{
	struct relay *relay = connection->relay;
	const struct relay_settings *settings = &connection->backends->settings;
	struct err err;
	int result;

	if (!choose_attempt(connection))
		return;
	result = connect_target(settings, &settings->backends[connection->backend],
		connection->addressed ? &connection->local : NULL,
		connection->addressed ? &connection->remote : NULL, &connection->target, &err);
	if (is_attempt_out_of_resources(result)) {
		starve_attempt(connection, &err);
	} else if (result) {
		say(relay, "refused: %s", err.text);
		relay->report.refused++;
		attempt_drop(connection);
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
		attempt_start(connection);
		return;
	}
	result = what & EV_WRITE ? connect_result(fd) : -ETIMEDOUT;
	if (!result) {
		establish_attempt(connection);
		return;
	}
	err_errno(&err, result, "connect");
	fail_attempt(connection, &err);
}

void attempt_init(struct connection *connection)
{
	evtimer_assign(&connection->event, connection->relay->base, on_connecting, connection);
}
