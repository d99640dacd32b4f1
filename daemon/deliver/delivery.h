/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The deliveries of all services whose connections the daemon accepts: one object per service, of
 * the kind that its configuration names. They live across reloads, and are known by the service's
 * identifier.
 */
#ifndef SOCKETBOX_DAEMON_DELIVERY_H
#define SOCKETBOX_DAEMON_DELIVERY_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/accepted.h"
#include "daemon/config/config.h"
#include "daemon/deliver/proxy_headers.h"
#include "daemon/fdstore/fdstore.h"

struct deliveries;
struct delivery;

/* What a service has of connections that the daemon accepted. */
struct delivery_load {
	unsigned waiting; /* those that it has not got yet */
	unsigned running; /* processes that serve it, or connections that are relayed */
};

/* What a kind of delivery does; `object` is its own. */
struct delivery_kind {
	/* Makes delivery->object for delivery->service. */
	int (*open)(struct delivery *delivery, struct err *err);
	/* delivery->service has been replaced by a newer one of the same kind; the old one is freed
	 * after this call. */
	void (*configure)(struct delivery *delivery);
	void (*take)(struct delivery *delivery, struct accepted *accepted);
	bool (*full)(const struct delivery *delivery);
	/* True if the service wants the listening or UDP sockets themselves: serve takes one into
	 * use, which stays the caller's, unserve lets go of it. NULL: it does not. */
	bool (*wants_listener)(const struct delivery *delivery);
	int (*give_listener)(struct delivery *delivery, int fd, struct err *err);
	void (*take_listener)(struct delivery *delivery, int fd);
	void (*report)(const struct delivery *delivery, json_t *object);
	struct delivery_load (*load)(const struct delivery *delivery);
	void (*close)(struct delivery *delivery);
	/* True while the daemon is in the path of connections that the service has got: a delivery
	 * whose service goes stays until the last of them ends, which is told by delivery_idle.
	 * NULL: it never is. */
	bool (*busy)(const struct delivery *delivery);
	/* Gives the fdstore the connections that the service has not got yet: the daemon ends, or
	 * its program is replaced. They come back by `take`, those that name a receiver by
	 * handoff_retake. NULL: there are none. */
	void (*keep)(struct delivery *delivery, struct fdstore *fdstore);
};

struct delivery {
	const struct delivery_kind *kind;
	enum config_delivery number;
	const struct config_service *service; /* NULL: it is gone, see busy */
	uint32_t id;
	struct event_base *base;
	struct deliveries *deliveries;
	struct fdstore *fdstore; /* NULL is allowed */
	void *object;
	struct proxy_headers headers;
	bool ends_with_daemon; /* set before close: the event loop is over */
	bool is_new;	       /* its configuration is not in force yet */
	struct delivery *next; /* among those that are leaving */
};

extern const struct delivery_kind delivery_exec, delivery_handoff, delivery_relay;

/* ready(context, service): a delivery that was full has room again. base and fdstore, which may be
 * NULL, are not owned. NULL out of memory. */
struct deliveries *deliveries_new(struct event_base *base, struct fdstore *fdstore,
	void (*ready)(void *context, uint32_t service), void *context);

/* Makes what the configuration needs and there is not yet, beside what is in force; on failure
 * there is nothing of it. Must be followed by deliveries_commit or deliveries_abandon. */
int deliveries_prepare(struct deliveries *deliveries, const struct config *config, struct err *err);

/* Forgets what was prepared. Nothing if nothing was. */
void deliveries_abandon(struct deliveries *deliveries);

/* Puts what was prepared in force: closes what the configuration does not have, and tells the rest
 * of its new settings. The configuration must outlive the set, or the commit of the next. Cannot
 * fail. */
void deliveries_commit(struct deliveries *deliveries, const struct config *config);

/* True if deliveries_commit with this configuration keeps the delivery. */
bool delivery_survives(const struct delivery *delivery, const struct config *config);

/* NULL if the service's connections are not the daemon's to accept. */
struct delivery *deliveries_find(const struct deliveries *deliveries, uint32_t service);

/* Takes the connection, with the service's socket options set, and after its PROXY header where the
 * service wants one. */
void delivery_take(struct delivery *delivery, struct accepted *accepted);

/* Takes a connection that a delivery of an earlier daemon gave to the fdstore. */
void delivery_retake(struct delivery *delivery, struct accepted *accepted);
bool delivery_full(const struct delivery *delivery);

/* The kind's, or false and nothing where it has none. */
bool delivery_wants_listener(const struct delivery *delivery);
int delivery_give_listener(struct delivery *delivery, int fd, struct err *err);
void delivery_take_listener(struct delivery *delivery, int fd);

/* Gives the fdstore what all deliveries have in hand. */
void deliveries_save_in_flight(struct deliveries *deliveries, struct fdstore *fdstore);

/* For a kind to call: what was full has room again. */
void delivery_ready(struct delivery *delivery);

/* For a kind to call: it is not busy any more. */
void delivery_idle(struct delivery *delivery);

/* Adds what the kind has to tell to the service's JSON object. */
void delivery_report(const struct delivery *delivery, json_t *object);

/* With what waits for its PROXY header. */
struct delivery_load delivery_load(const struct delivery *delivery);

/* NULL is allowed. */
void deliveries_free(struct deliveries *deliveries);

#endif
