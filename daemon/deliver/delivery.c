// SPDX-License-Identifier: BSD-2-Clause
// Keeps the set in step with the configuration, and passes connections on.
#include "daemon/deliver/delivery.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/cleanup.h"

static const struct delivery_kind *const kinds[] = {
	[CONFIG_EXEC] = &delivery_exec,
	[CONFIG_HANDOFF] = &delivery_handoff,
	[CONFIG_RELAY] = &delivery_relay,
};

/* All deliveries of a configuration, by identifier. */
struct delivery_index {
	struct delivery **list;
	size_t count;
};

struct deliveries {
	struct event_base *base;
	struct fdstore *fdstore;
	struct delivery_index in_force, next; /* next: while a reload is prepared */
	struct delivery *leaving; /* their services are gone, their connections not yet */
	struct event *left;	  /* one of them may be closed */
	void (*ready)(void *context, uint32_t service);
	void *context;
};

static void close_delivery(struct delivery *delivery)
{
	proxy_headers_fini(&delivery->headers);
	delivery->kind->close(delivery);
	free(delivery);
}

static bool is_delivery_busy(const struct delivery *delivery)
{
	return delivery->kind->busy && delivery->kind->busy(delivery);
}

static void on_left(evutil_socket_t fd, short what, void *context)
{
	struct deliveries *deliveries = context;
	struct delivery **link = &deliveries->leaving;

	(void)fd;
	(void)what;
	while (*link) {
		struct delivery *delivery = *link;

		if (is_delivery_busy(delivery)) {
			link = &delivery->next;
			continue;
		}
		*link = delivery->next;
		close_delivery(delivery);
	}
}

struct deliveries *deliveries_new(struct event_base *base, struct fdstore *fdstore,
	void (*ready)(void *context, uint32_t service), void *context)
{
	struct deliveries *deliveries = calloc(1, sizeof(*deliveries));

	if (!deliveries)
		return NULL;
	*deliveries = (struct deliveries){
		.base = base,
		.fdstore = fdstore,
		.left = evtimer_new(base, on_left, deliveries),
		.ready = ready,
		.context = context,
	};
	if (!deliveries->left)
		free(take_ptr(&deliveries));
	return deliveries;
}

static struct delivery *find_in_index(const struct delivery_index *index, uint32_t id)
{
	size_t low = 0, high = index->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (index->list[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < index->count && index->list[low]->id == id ? index->list[low] : NULL;
}

static int compare_deliveries(const void *a, const void *b)
{
	uint32_t left = (*(struct delivery *const *)a)->id,
		 right = (*(struct delivery *const *)b)->id;

	return left < right ? -1 : left > right;
}

static int open_delivery(struct deliveries *deliveries, const struct config_service *service,
	struct delivery **out, struct err *err)
{
	struct delivery *delivery = calloc(1, sizeof(*delivery));
	int result;

	if (!delivery)
		return err_errno(err, -ENOMEM, "service '%s'", service->name);
	*delivery = (struct delivery){
		.kind = kinds[service->delivery],
		.number = service->delivery,
		.service = service,
		.id = service->id,
		.base = deliveries->base,
		.deliveries = deliveries,
		.fdstore = deliveries->fdstore,
		.is_new = true,
	};
	result = delivery->kind->open(delivery, err);
	if (result) {
		free(delivery);
		return err_prefix(err, "service '%s'", service->name);
	}
	*out = delivery;
	return 0;
}

int deliveries_prepare(struct deliveries *deliveries, const struct config *config, struct err *err)
{
	struct delivery_index *next = &deliveries->next;

	next->list = calloc(config->service_count + 1, sizeof(struct delivery *));
	if (!next->list)
		return err_errno(err, -ENOMEM, "the deliveries");
	for (size_t s = 0; s < config->service_count; s++) {
		const struct config_service *service = &config->services[s];
		struct delivery *delivery = find_in_index(&deliveries->in_force, service->id);
		int result;

		if (service->delivery == CONFIG_CLAIM)
			continue;
		if (!delivery || delivery->number != service->delivery) {
			result = open_delivery(deliveries, service, &delivery, err);
			if (result) {
				deliveries_abandon(deliveries);
				return result;
			}
		}
		next->list[next->count++] = delivery;
	}
	qsort(next->list, next->count, sizeof(struct delivery *), compare_deliveries);
	return 0;
}

void deliveries_abandon(struct deliveries *deliveries)
{
	struct delivery_index *next = &deliveries->next;

	for (size_t i = 0; i < next->count; i++) {
		if (next->list[i]->is_new)
			close_delivery(next->list[i]);
	}
	free(next->list);
	*next = (struct delivery_index){0};
}

/* Its service is gone. */
static void retire_delivery(struct delivery *delivery)
{
	struct deliveries *deliveries = delivery->deliveries;

	if (!is_delivery_busy(delivery)) {
		close_delivery(delivery);
		return;
	}
	proxy_headers_fini(&delivery->headers);
	delivery->service = NULL;
	delivery->next = deliveries->leaving;
	deliveries->leaving = delivery;
}

bool delivery_survives(const struct delivery *delivery, const struct config *config)
{
	const struct config_service *service = config_service_by_id(config, delivery->id);

	return service && service->delivery == delivery->number;
}

void deliveries_commit(struct deliveries *deliveries, const struct config *config)
{
	struct delivery_index old = deliveries->in_force;

	for (size_t i = 0; i < old.count; i++) {
		if (!delivery_survives(old.list[i], config))
			retire_delivery(old.list[i]);
	}
	free(old.list);
	deliveries->in_force = deliveries->next;
	deliveries->next = (struct delivery_index){0};
	for (size_t i = 0; i < deliveries->in_force.count; i++) {
		struct delivery *delivery = deliveries->in_force.list[i];

		delivery->service = config_service_by_id(config, delivery->id);
		if (!delivery->is_new)
			delivery->kind->configure(delivery);
		delivery->is_new = false;
	}
}

struct delivery *deliveries_find(const struct deliveries *deliveries, uint32_t service)
{
	return find_in_index(&deliveries->in_force, service);
}

static void set_delivery_options(int fd, unsigned options)
{
	static const struct {
		enum config_socket_option option;
		int level, name;
	} known[] = {
		{CONFIG_NODELAY, IPPROTO_TCP, TCP_NODELAY},
		{CONFIG_KEEPALIVE, SOL_SOCKET, SO_KEEPALIVE},
		{CONFIG_QUICKACK, IPPROTO_TCP, TCP_QUICKACK},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (options & known[i].option)
			setsockopt(fd, known[i].level, known[i].name, &(int){1}, sizeof(int));
	}
}

static void on_delivery_header(void *context, struct accepted *accepted)
{
	struct delivery *delivery = context;

	delivery->kind->take(delivery, accepted);
	if (!delivery_full(delivery))
		delivery_ready(delivery);
}

void delivery_take(struct delivery *delivery, struct accepted *accepted)
{
	set_delivery_options(accepted->fd, delivery->service->socket_options);
	if (delivery->service->accept_proxy)
		proxy_headers_take(&delivery->headers, delivery->base, delivery->service, accepted,
			on_delivery_header, delivery);
	else
		delivery->kind->take(delivery, accepted);
}

void delivery_retake(struct delivery *delivery, struct accepted *accepted)
{
	delivery->kind->take(delivery, accepted);
}

static void save_delivery(struct delivery *delivery, struct fdstore *fdstore)
{
	proxy_headers_save_in_flight(&delivery->headers, fdstore);
	if (delivery->kind->keep)
		delivery->kind->keep(delivery, fdstore);
}

void deliveries_save_in_flight(struct deliveries *deliveries, struct fdstore *fdstore)
{
	for (size_t i = 0; i < deliveries->in_force.count; i++)
		save_delivery(deliveries->in_force.list[i], fdstore);
	for (struct delivery *delivery = deliveries->leaving; delivery; delivery = delivery->next)
		save_delivery(delivery, fdstore);
}

bool delivery_full(const struct delivery *delivery)
{
	return proxy_headers_full(&delivery->headers) || delivery->kind->full(delivery);
}

bool delivery_wants_listener(const struct delivery *delivery)
{
	return delivery->kind->wants_listener && delivery->kind->wants_listener(delivery);
}

int delivery_give_listener(struct delivery *delivery, int fd, struct err *err)
{
	return delivery->kind->give_listener(delivery, fd, err);
}

void delivery_take_listener(struct delivery *delivery, int fd)
{
	delivery->kind->take_listener(delivery, fd);
}

void delivery_ready(struct delivery *delivery)
{
	delivery->deliveries->ready(delivery->deliveries->context, delivery->id);
}

void delivery_report(const struct delivery *delivery, json_t *object)
{
	delivery->kind->report(delivery, object);
}

void delivery_idle(struct delivery *delivery)
{
	if (!delivery->service)
		event_active(delivery->deliveries->left, EV_TIMEOUT, 0);
}

static void end_delivery(struct delivery *delivery)
{
	delivery->ends_with_daemon = true;
	close_delivery(delivery);
}

struct delivery_load delivery_load(const struct delivery *delivery)
{
	struct delivery_load load = delivery->kind->load(delivery);

	load.waiting += delivery->headers.count;
	return load;
}

void deliveries_free(struct deliveries *deliveries)
{
	if (!deliveries)
		return;
	deliveries_abandon(deliveries);
	for (size_t i = 0; i < deliveries->in_force.count; i++)
		end_delivery(deliveries->in_force.list[i]);
	free(deliveries->in_force.list);
	while (deliveries->leaving) {
		struct delivery *delivery = deliveries->leaving;

		deliveries->leaving = delivery->next;
		end_delivery(delivery);
	}
	event_free(deliveries->left);
	free(deliveries);
}
