// SPDX-License-Identifier: BSD-2-Clause
// The handoff delivery: one destination, or where the path has a port in it, one for each port.
#include "daemon/deliver/handoff_delivery.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define HASH_NONFATAL_OOM 1 /* out of memory, an element has no hh.tbl */
#include <uthash.h>

#include "common/cleanup.h"
#include "common/handoff_message.h"
#include "daemon/deliver/destination.h"

struct port {
	uint16_t number; /* 0: all */
	struct destination *destination;
	UT_hash_handle hh; /* by number, the oldest first */
};

struct handoff {
	struct port *ports;
	char *path; /* as configured when the destinations were made */
	struct destination_counts counts;
	bool was_full; /* the delivery has been told that there is no room */
};

/* Clients choose the ports of a path with a port in it: so many destinations there are at a time,
 * so many of the oldest are looked at for one that is idle, and so many times the queue of one may
 * wait in all of them. */
#define MOST_PORTS     1024u
#define MOST_LOOKED_AT 16
#define QUEUES_IN_ALL  4u

static bool is_handoff_full(const struct delivery *delivery);

static void on_handoff_ready(void *context)
{
	struct delivery *delivery = context;
	struct handoff *handoff = delivery->object;

	/* It is called while the object is made, too. */
	if (!handoff || !handoff->was_full || is_handoff_full(delivery))
		return;
	handoff->was_full = false;
	delivery_ready(delivery);
}

static bool is_by_port(const struct handoff *handoff)
{
	return handoff->path && strstr(handoff->path, HANDOFF_PORT_MARK);
}

/* The path with the port in its place; the caller frees it. */
static char *path_of(const struct handoff *handoff, uint16_t number)
{
	char *path = strdup(handoff->path);

	if (path)
		handoff_fill_port(path, strlen(path), number);
	return path;
}

static struct port *add_port(struct delivery *delivery, uint16_t number)
{
	struct handoff *handoff = delivery->object;
	struct port *port = calloc(1, sizeof(*port));
	cleanup_free char *path = handoff->path ? path_of(handoff, number) : NULL;

	if (!port || (handoff->path && !path)) {
		free(port);
		return NULL;
	}
	port->number = number;
	port->destination = destination_new(delivery->base, path, delivery->service->handoff,
		&handoff->counts, on_handoff_ready, delivery);
	if (!port->destination) {
		free(port);
		return NULL;
	}
	HASH_ADD(hh, handoff->ports, number, sizeof(port->number), port);
	if (port->hh.tbl)
		return port;
	destination_free(port->destination);
	free(port);
	return NULL;
}

static void close_port(struct handoff *handoff, struct port *port)
{
	HASH_DEL(handoff->ports, port);
	destination_free(port->destination);
	free(port);
}

/* Makes place for one more; false where all are in use. */
static bool make_place_for_port(struct handoff *handoff)
{
	struct port *port = handoff->ports;

	if (HASH_COUNT(handoff->ports) < MOST_PORTS)
		return true;
	for (int i = 0; port && i < MOST_LOOKED_AT; i++, port = port->hh.next) {
		if (!destination_is_idle(port->destination))
			continue;
		close_port(handoff, port);
		return true;
	}
	return false;
}

static struct port *find_handoff_port(struct delivery *delivery, uint16_t number)
{
	struct handoff *handoff = delivery->object;
	struct port *port;

	if (!is_by_port(handoff))
		number = 0;
	HASH_FIND(hh, handoff->ports, &number, sizeof(number), port);
	if (port)
		return port;
	return make_place_for_port(handoff) ? add_port(delivery, number) : NULL;
}

static void close_ports(struct handoff *handoff)
{
	while (handoff->ports)
		close_port(handoff, handoff->ports);
}

static int set_handoff_path(struct handoff *handoff, const char *path)
{
	char *copy = path ? strdup(path) : NULL;

	if (path && !copy)
		return -ENOMEM;
	free(handoff->path);
	handoff->path = copy;
	return 0;
}

static int open_handoff(struct delivery *delivery, struct err *err)
{
	struct handoff *handoff = calloc(1, sizeof(*handoff));

	if (!handoff || set_handoff_path(handoff, delivery->service->handoff->path)) {
		free(handoff);
		return err_errno(err, -ENOMEM, "the handoff");
	}
	delivery->object = handoff;
	/* The one destination looks for its receiver at once, not with the first connection. */
	if (!is_by_port(handoff) && !add_port(delivery, 0)) {
		free(handoff->path);
		free(handoff);
		return err_errno(err, -ENOMEM, "the handoff");
	}
	return 0;
}

static bool same_path(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void configure_handoff(struct delivery *delivery)
{
	struct handoff *handoff = delivery->object;
	const struct config_handoff *config = delivery->service->handoff;

	if (!same_path(handoff->path, config->path) && !set_handoff_path(handoff, config->path))
		close_ports(handoff);
	for (struct port *port = handoff->ports; port; port = port->hh.next)
		destination_configure(port->destination, config);
}

static void take_handoff(struct delivery *delivery, struct accepted *accepted)
{
	struct handoff *handoff = delivery->object;
	struct port *port = find_handoff_port(delivery, accepted->service_port);

	if (port) {
		destination_take(port->destination, accepted);
		return;
	}
	handoff->counts.refused++;
	accepted_refuse(accepted);
}

/* One port without a receiver does not stop the others: what it has no room for it refuses. */
static bool is_handoff_full(const struct delivery *delivery)
{
	struct handoff *handoff = delivery->object;
	size_t most = delivery->service->handoff->queue;

	if (is_by_port(handoff))
		most *= QUEUES_IN_ALL;
	if (handoff->counts.waiting < most)
		return false;
	handoff->was_full = true;
	return true;
}

static json_t *destination_object(const struct port *port)
{
	struct destination_view view;

	destination_see(port->destination, &view);
	return json_pack("{s:s?, s:b, s:i, s:i, s:i}", "path", view.path, "down", view.down,
		"receivers", (int)view.receivers, "waiting", (int)view.waiting, "unacknowledged",
		(int)view.unacknowledged);
}

static void report_handoff(const struct delivery *delivery, json_t *object)
{
	const struct handoff *handoff = delivery->object;
	json_t *list = json_array();

	for (const struct port *port = handoff->ports; port; port = port->hh.next)
		json_array_append_new(list, destination_object(port));
	json_object_set_new(object, "handoff",
		json_pack("{s:I, s:I, s:I, s:I, s:o}", "delivered",
			(json_int_t)handoff->counts.delivered, "redelivered",
			(json_int_t)handoff->counts.redelivered, "lost",
			(json_int_t)handoff->counts.lost, "refused",
			(json_int_t)handoff->counts.refused, "destinations", list));
}

/* What a receiver's socket holds has not been taken by the service either. */
static struct delivery_load load_handoff(const struct delivery *delivery)
{
	const struct handoff *handoff = delivery->object;
	struct delivery_load load = {0};

	for (const struct port *port = handoff->ports; port; port = port->hh.next) {
		struct destination_view view;

		destination_see(port->destination, &view);
		load.waiting += (unsigned)(view.waiting + view.unacknowledged);
	}
	return load;
}

static void close_handoff(struct delivery *delivery)
{
	struct handoff *handoff = delivery->object;

	close_ports(handoff);
	free(handoff->path);
	free(handoff);
}

static void name_port(
	const struct delivery *delivery, uint16_t number, char prefix[FDSTORE_NAME_SIZE])
{
	snprintf(prefix, FDSTORE_NAME_SIZE, HANDOFF_RECEIVER "%08x.%04x.", delivery->id, number);
}

static void keep_handoff(struct delivery *delivery, struct fdstore *fdstore)
{
	const struct handoff *handoff = delivery->object;
	char prefix[FDSTORE_NAME_SIZE];

	for (const struct port *port = handoff->ports; port; port = port->hh.next) {
		name_port(delivery, port->number, prefix);
		destination_save_in_flight(port->destination, fdstore, prefix, delivery->id);
	}
}

const struct delivery_kind delivery_handoff = {
	.open = open_handoff,
	.configure = configure_handoff,
	.take = take_handoff,
	.full = is_handoff_full,
	.report = report_handoff,
	.load = load_handoff,
	.close = close_handoff,
	.keep = keep_handoff,
};

int handoff_open(struct delivery *delivery, int *fd, struct err *err)
{
	char prefix[FDSTORE_NAME_SIZE];
	struct port *port;

	if (!delivery || delivery->number != CONFIG_HANDOFF)
		return err_set(err, -EOPNOTSUPP,
			"the service is not handed connections; give it 'handoff: {}'");
	if (is_by_port(delivery->object))
		return err_set(err, -EOPNOTSUPP,
			"this service has a path for each port; a receiver binds the path that it wants");
	port = find_handoff_port(delivery, 0);
	if (!port)
		return err_errno(err, -ENOMEM, "a receiver");
	name_port(delivery, 0, prefix);
	return destination_open(port->destination, fd, delivery->fdstore, prefix, err);
}

int handoff_restore(struct delivery *delivery, const char *name, int *fd, struct err *err)
{
	char prefix[FDSTORE_NAME_SIZE];
	unsigned number;
	struct port *port;

	if (!delivery || delivery->number != CONFIG_HANDOFF ||
		sscanf(name, HANDOFF_RECEIVER "%*8x.%4x.", &number) != 1)
		return err_set(err, -EINVAL, "no service has the receiver '%s'", name);
	port = find_handoff_port(delivery, (uint16_t)number);
	if (!port)
		return err_errno(err, -ENOMEM, "a receiver");
	name_port(delivery, port->number, prefix);
	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return err_set(err, -EINVAL, "no service has the receiver '%s'", name);
	return destination_restore(
		port->destination, fd, delivery->fdstore, prefix, name + strlen(prefix), err);
}

void handoff_retake(struct delivery *delivery, uint64_t receiver, struct accepted *accepted)
{
	struct handoff *handoff;

	if (delivery && delivery->number == CONFIG_HANDOFF) {
		handoff = delivery->object;
		for (struct port *port = handoff->ports; port; port = port->hh.next) {
			if (destination_retake(port->destination, receiver, accepted))
				return;
		}
	}
	cleanup_close_fd(&accepted->fd);
}
