// SPDX-License-Identifier: BSD-2-Clause
// The relay as a whole: takes connections, counts them, and changes its settings.
#include "relay/relay.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "relay/relay_private.h"

int64_t relay_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void relay_tell_room(struct relay *relay)
{
	if (!relay->was_full || relay_full(relay))
		return;
	relay->was_full = false;
	if (relay->events.ready)
		relay->events.ready(relay->events.context);
}

void connection_forget(struct connection *connection)
{
	struct relay *relay = connection->relay;

	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
	backend_set_put(connection->backends);
	free(connection->first);
	free(connection);
	relay->count--;
	relay_tell_room(relay);
	if (!relay->count && relay->events.empty)
		relay->events.empty(relay->events.context);
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
	const struct relay_settings *settings = &relay->backends->settings;

	return settings->proxy_protocol != PROXY_NONE || settings->source != RELAY_SOURCE_OWN ||
	       settings->backends[0].target == RELAY_TO_NAT64;
}

bool relay_full(const struct relay *relay)
{
	return relay->count >= relay->limits.connections || relay->report.waiting;
}

/* What the backend gets before the client's own bytes. */
static int make_first(struct connection *connection, const void *initial, size_t initial_length)
{
	enum proxy_version version = connection->backends->settings.proxy_protocol;

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

/* Takes the client's socket; NULL out of memory. */
static struct connection *connection_new(struct relay *relay, int client)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	relay->report.taken++;
	if (!connection) {
		relay->report.failed++;
		session_reset_socket(client);
		return NULL;
	}
	connection->client = client;
	connection->connecting = connection->backend = -1;
	connection->backends = backend_set_get(relay->backends);
	link_connection(relay, connection);
	attempt_init(connection);
	return connection;
}

void relay_take(struct relay *relay, int fd, const struct addr_endpoint *local,
	const struct addr_endpoint *remote, const void *initial, size_t initial_length)
{
	struct connection *connection = connection_new(relay, fd);

	if (!connection)
		return;
	connection->addressed = local && remote;
	if (connection->addressed) {
		connection->local = *local;
		connection->remote = *remote;
	}
	if (make_first(connection, initial, initial_length)) {
		relay->report.failed++;
		attempt_drop(connection);
		return;
	}
	attempt_start(connection);
}

static void keep_relay_connection(struct connection *connection,
	void (*give)(void *context, const struct relay_saved *kept), void *context)
{
	struct relay *relay = connection->relay;
	struct relay_saved kept = {
		.session = {.client = connection->client, .backend = -1},
		.addressed = connection->addressed,
		.local = connection->local,
		.remote = connection->remote,
	};

	if (!connection->session) {
		attempt_give_up(connection);
		give(context, &kept);
		return;
	}
	relay->report.established--;
	if (session_save(connection->session, &kept.session))
		relay->report.failed++;
	else
		give(context, &kept);
	connection_forget(connection);
}

void relay_save(struct relay *relay, void (*give)(void *context, const struct relay_saved *kept),
	void *context)
{
	while (relay->connections)
		keep_relay_connection(relay->connections, give, context);
}

void relay_resume(struct relay *relay, const struct session_saved *kept)
{
	struct connection *connection = connection_new(relay, kept->client);
	struct session_saved lost = *kept;

	if (connection) {
		attempt_resume(connection, kept);
		return;
	}
	session_reset_socket(kept->backend);
	cleanup_close_fd(&lost.to_backend);
	cleanup_close_fd(&lost.to_client);
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
	relay->backends = backend_set_new(settings, NULL);
	relay->pool = session_pool_new(base, limits->pipes);
	if (!relay->backends || !relay->pool) {
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

		if (!connection->session) {
			attempt_drop(connection);
			continue;
		}
		session_stop(connection->session);
		connection_forget(connection);
	}
	backend_set_put(relay->backends);
	session_pool_free(relay->pool);
	free(relay);
}

struct relay_report relay_report(const struct relay *relay)
{
	struct relay_report report = relay->report;
	struct session_counts counts = session_pool_counts(relay->pool);

	report.pipes = counts.pipes;
	report.to_backends = counts.to_backends;
	report.to_clients = counts.to_clients;
	return report;
}

bool relay_report_backend(const struct relay *relay, size_t index, struct relay_backend_report *out)
{
	const struct backend_set *backends = relay->backends;
	int64_t left;

	if (index >= backends->settings.backend_count)
		return false;
	left = backends->health[index].skip_until_ms - relay_now_ms();
	*out = (struct relay_backend_report){
		.connections = backends->health[index].connections,
		.failures = backends->health[index].failures,
		.retry_ms = left > 0 ? (uint32_t)left : 0,
	};
	relay_backend_format(&backends->settings.backends[index], out->text);
	return true;
}

int relay_reconfigure(struct relay *relay, const struct relay_settings *settings, struct err *err)
{
	struct backend_set *backends = backend_set_new(settings, relay->backends);

	if (!backends)
		return err_errno(err, -ENOMEM, "a relay's new settings");
	backend_set_put(relay->backends);
	relay->backends = backends;
	return 0;
}
