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
	if (relay->events.room)
		relay->events.room(relay->events.context);
}

void connection_forget(struct connection *connection)
{
	struct relay *relay = connection->relay;

	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
	plan_put(connection->plan);
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
	const struct relay_settings *settings = &relay->plan->settings;

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

/* Takes the client's socket; NULL without memory. */
static struct connection *connection_new(struct relay *relay, int client)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	relay->report.taken++;
	if (!connection) {
		relay->report.failed++;
		pump_reset_socket(client);
		return NULL;
	}
	connection->client = client;
	connection->connecting = connection->backend = -1;
	connection->plan = plan_get(relay->plan);
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

static void keep_connection(struct connection *connection,
	void (*give)(void *context, const struct relay_kept *kept), void *context)
{
	struct relay *relay = connection->relay;
	struct relay_kept kept = {
		.pump = {.client = connection->client, .backend = -1},
		.addressed = connection->addressed,
		.local = connection->local,
		.remote = connection->remote,
	};

	if (!connection->pump) {
		attempt_give_up(connection);
		give(context, &kept);
		return;
	}
	relay->report.established--;
	if (pump_keep(connection->pump, &kept.pump))
		relay->report.failed++;
	else
		give(context, &kept);
	connection_forget(connection);
}

void relay_keep(struct relay *relay, void (*give)(void *context, const struct relay_kept *kept),
	void *context)
{
	while (relay->connections)
		keep_connection(relay->connections, give, context);
}

void relay_resume(struct relay *relay, const struct pump_kept *kept)
{
	struct connection *connection = connection_new(relay, kept->client);
	struct pump_kept lost = *kept;

	if (connection) {
		attempt_resume(connection, kept);
		return;
	}
	pump_reset_socket(kept->backend);
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
			attempt_drop(connection);
			continue;
		}
		pump_stop(connection->pump);
		connection_forget(connection);
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
	left = plan->health[index].skip_until_ms - relay_now_ms();
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
