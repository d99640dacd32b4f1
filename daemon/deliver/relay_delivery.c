// SPDX-License-Identifier: BSD-2-Clause
// The delivery `relay`: hands accepted connections to relay/, one relay for each service.
#include "daemon/deliver/relay_delivery.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "common/cleanup.h"
#include "daemon/log.h"
#include "relay/relay.h"

/* The share of the daemon's descriptors that one service's connections may take. */
#define SHARE 2

static struct relay_limits limits(void)
{
	struct rlimit limit = {.rlim_cur = 1024};

	getrlimit(RLIMIT_NOFILE, &limit);
	return relay_limits_for(
		(unsigned)(limit.rlim_cur > 2000000 ? 2000000 : limit.rlim_cur) / SHARE);
}

static void on_relay_ready(void *context)
{
	const struct delivery *delivery = context;

	if (delivery->service)
		delivery_ready(context);
}

static void on_empty(void *context)
{
	delivery_idle(context);
}

static void on_relay_say(void *context, const char *text)
{
	const struct delivery *delivery = context;

	log_warning("service '%s': %s", delivery->service ? delivery->service->name : "(removed)",
		text);
}

static int open_relay(struct delivery *delivery, struct err *err)
{
	struct relay_events events = {.ready = on_relay_ready,
		.empty = on_empty,
		.say = on_relay_say,
		.context = delivery};
	struct relay_limits most = limits();
	struct relay *relay;
	int result =
		relay_new(delivery->base, delivery->service->relay, &most, &events, &relay, err);

	if (!result)
		delivery->object = relay;
	return result;
}

static void configure_relay(struct delivery *delivery)
{
	struct err err;

	if (relay_reconfigure(delivery->object, delivery->service->relay, &err))
		log_error("service '%s' keeps its former backends: %s", delivery->service->name,
			err.text);
}

static void take_relay(struct delivery *delivery, struct accepted *accepted)
{
	relay_prepare(accepted->fd);
	relay_take(delivery->object, accepted->fd, &accepted->local, &accepted->remote, NULL, 0);
}

static bool is_relay_full(const struct delivery *delivery)
{
	return relay_full(delivery->object);
}

static struct delivery_load load_relay(const struct delivery *delivery)
{
	struct relay_report counts = relay_report(delivery->object);

	return (struct delivery_load){.running = counts.connecting + counts.established};
}

static bool is_relay_busy(const struct delivery *delivery)
{
	return load_relay(delivery).running;
}

static json_t *backends_object(const struct relay *relay)
{
	struct relay_backend_report backend;
	json_t *list = json_array();

	for (size_t i = 0; relay_report_backend(relay, i, &backend); i++)
		json_array_append_new(
			list, json_pack("{s:s, s:I, s:i, s:i}", "backend", backend.text,
				      "connections", (json_int_t)backend.connections, "failures",
				      (int)backend.failures, "skipped_ms", (int)backend.retry_ms));
	return list;
}

static void report_relay(const struct delivery *delivery, json_t *object)
{
	struct relay_report counts = relay_report(delivery->object);

	json_object_set_new(object, "relay",
		json_pack("{s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
			"connecting", (int)counts.connecting, "established",
			(int)counts.established, "waiting", (int)counts.waiting, "taken",
			(json_int_t)counts.taken, "finished", (json_int_t)counts.finished, "reset",
			(json_int_t)counts.reset, "idle", (json_int_t)counts.idle, "failed",
			(json_int_t)counts.failed, "refused", (json_int_t)counts.refused,
			"to_backends", (json_int_t)counts.to_backends, "to_clients",
			(json_int_t)counts.to_clients, "backends",
			backends_object(delivery->object)));
}

/* What the names of kept parts begin with. */
#define RELAY_CONNECTION "relay."

enum { PART_BACKEND = 'b', PART_CLIENT = 'c', PART_TO_BACKEND = 'o', PART_TO_CLIENT = 'i' };

struct keeping {
	const struct delivery *delivery;
	struct fdstore *fdstore;
};

/* The parts of a connection are apart in the fdstore: the client and how far each direction is,
 * the backend, and what waits for either. The client's descriptor number tells connections apart.
 */
static void keep_part(
	const struct keeping *keeping, const struct session_saved *kept, char part, int fd)
{
	char name[FDSTORE_NAME_SIZE];

	snprintf(name, sizeof(name), RELAY_CONNECTION "%08x.%08x.%c%x", keeping->delivery->id,
		(unsigned)kept->client, part, kept->ended);
	if (fd >= 0 && fdstore_put_in_flight(keeping->fdstore, name, &fd))
		cleanup_close_fd(&fd);
}

static void keep_relay_connection(void *context, const struct relay_saved *kept)
{
	const struct keeping *keeping = context;
	struct fdstore_connection connection = {
		.accepted = {.fd = kept->session.client,
			.local = kept->local,
			.remote = kept->remote},
		.service = keeping->delivery->id,
	};

	if (kept->session.backend < 0) {
		fdstore_put_connection(keeping->fdstore, &connection);
		return;
	}
	keep_part(keeping, &kept->session, PART_BACKEND, kept->session.backend);
	keep_part(keeping, &kept->session, PART_CLIENT, kept->session.client);
	keep_part(keeping, &kept->session, PART_TO_BACKEND, kept->session.to_backend);
	keep_part(keeping, &kept->session, PART_TO_CLIENT, kept->session.to_client);
}

static void keep_relay(struct delivery *delivery, struct fdstore *fdstore)
{
	struct keeping keeping = {delivery, fdstore};

	relay_save(delivery->object, keep_relay_connection, &keeping);
}

/* The parts of one connection, as far as they have been seen. */
struct restoring {
	const struct deliveries *deliveries;
	unsigned service, number;
	struct session_saved parts;
};

static const struct session_saved no_parts = {-1, -1, -1, -1, 0};

static void reset_relay(struct session_saved *parts)
{
	if (parts->client >= 0)
		session_reset_socket(parts->client);
	if (parts->backend >= 0)
		session_reset_socket(parts->backend);
	cleanup_close_fd(&parts->to_backend);
	cleanup_close_fd(&parts->to_client);
}

static void resume_relay(struct restoring *restoring)
{
	struct delivery *delivery = deliveries_find(restoring->deliveries, restoring->service);
	struct session_saved *parts = &restoring->parts;

	if (parts->client >= 0 && parts->backend >= 0 && delivery &&
		delivery->kind == &delivery_relay)
		relay_resume(delivery->object, parts);
	else
		reset_relay(parts);
	*parts = no_parts;
}

static int *find_part(struct session_saved *parts, char part)
{
	switch (part) {
	case PART_BACKEND:
		return &parts->backend;
	case PART_CLIENT:
		return &parts->client;
	case PART_TO_BACKEND:
		return &parts->to_backend;
	case PART_TO_CLIENT:
		return &parts->to_client;
	default:
		return NULL;
	}
}

static void restore_part(void *context, const char *name, int fd)
{
	struct restoring *restoring = context;
	cleanup_close int part = fd;
	unsigned service, number, ended;
	int *place = NULL;
	char kind;

	if (sscanf(name, RELAY_CONNECTION "%8x.%8x.%c%x", &service, &number, &kind, &ended) == 4)
		place = find_part(&restoring->parts, kind);
	if (!place)
		return;
	if (service != restoring->service || number != restoring->number)
		resume_relay(restoring);
	restoring->service = service;
	restoring->number = number;
	restoring->parts.ended = ended;
	if (*place < 0)
		*place = take_fd(&part);
}

void relay_restore(const struct deliveries *deliveries, struct fdstore *fdstore)
{
	struct restoring restoring = {.deliveries = deliveries, .parts = no_parts};

	fdstore_visit_in_flight(fdstore, RELAY_CONNECTION, restore_part, &restoring);
	resume_relay(&restoring);
}

static void close_relay(struct delivery *delivery)
{
	relay_free(delivery->object);
}

const struct delivery_kind delivery_relay = {
	.open = open_relay,
	.configure = configure_relay,
	.take = take_relay,
	.full = is_relay_full,
	.report = report_relay,
	.load = load_relay,
	.close = close_relay,
	.busy = is_relay_busy,
	.keep = keep_relay,
};
