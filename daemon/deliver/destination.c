// SPDX-License-Identifier: BSD-2-Clause
// The queue, and the coming and going of receivers.
#include "daemon/deliver/destination.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/cleanup.h"
#include "daemon/deliver/accepted_queue.h"
#include "daemon/deliver/directory_watch.h"
#include "daemon/deliver/receiver.h"
#include "daemon/log.h"

/* How often a receiver is looked for that directory_watch does not tell of. */
#define LOOK_MS 200

/* How long a receiver that has gone may take to use what it took last. */
#define GRACE_MS 200

struct receiver_slot {
	struct destination *destination;
	struct receiver *receiver;
	bool by_path, leaving; /* leaving: replaced or dead; it may still use what it was sent */
	struct event *grace;   /* pending after its death, see on_dead */
	struct receiver_slot *next;
};

struct destination {
	struct event_base *base;
	const struct config_handoff *config;
	char *path;
	struct receiver_slot *slots, *turn; /* whose turn it is to be sent a connection */
	struct accepted_queue queue;
	struct destination_counts *counts;
	void (*ready)(void *context);
	void *context;
	struct event *look; /* time to look for a receiver */
	struct directory_watch *watch;
	int64_t down_since_ms; /* 0: there is a receiver */
	bool given_up;
	size_t counted;	       /* of the queue, in counts->waiting */
	bool out_of_resources; /* said already */
	int last_error;
};

static int64_t now_destination_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const char *name_destination_of(const struct destination *destination)
{
	return destination->path ? destination->path : "the opened receivers";
}

static void refuse_first(struct destination *destination)
{
	accepted_refuse(&destination->queue.first->accepted);
	destination->counts->refused++;
	accepted_queue_drop_first(&destination->queue);
}

/* To be called whenever the queue may have changed. */
static void note_waiting(struct destination *destination)
{
	size_t before = destination->counted;

	destination->counted = destination->queue.count;
	destination->counts->waiting += destination->counted - before;
	if (destination->counted < before)
		destination->ready(destination->context);
}

static bool has_receiver(const struct destination *destination)
{
	for (const struct receiver_slot *slot = destination->slots; slot; slot = slot->next) {
		if (!slot->leaving)
			return true;
	}
	return false;
}

static struct receiver_slot *path_receiver_slot(const struct destination *destination)
{
	for (struct receiver_slot *slot = destination->slots; slot; slot = slot->next) {
		if (slot->by_path && !slot->leaving)
			return slot;
	}
	return NULL;
}

static void arm_look(struct destination *destination)
{
	static const struct timeval wait = {.tv_usec = LOOK_MS * 1000};

	if (!evtimer_pending(destination->look, NULL))
		evtimer_add(destination->look, &wait);
}

static void note_up(struct destination *destination)
{
	if (destination->given_up)
		log_info("%s: a receiver is back", name_destination_of(destination));
	destination->down_since_ms = 0;
	destination->given_up = false;
}

static void note_down(struct destination *destination)
{
	if (!destination->down_since_ms)
		destination->down_since_ms = now_destination_ms();
	arm_look(destination);
}

/* Sends the connection to whoever has room, in turns. -EAGAIN: nobody has. */
static int send_accepted(struct destination *destination, struct accepted *accepted)
{
	struct receiver_slot *start = destination->turn ? destination->turn : destination->slots;
	struct receiver_slot *slot = start;
	int result = -EAGAIN;

	if (!slot)
		return -EAGAIN;
	do {
		if (!slot->leaving)
			result = receiver_send(slot->receiver, accepted);
		slot = slot->next ? slot->next : destination->slots;
		if (!result)
			break;
		if (result != -ECONNREFUSED && result != -EAGAIN)
			return result;
	} while (slot != start);
	destination->turn = slot;
	return result == -ECONNREFUSED ? -EAGAIN : result;
}

/* Whether sending will go well once the machine has memory again, or the receivers have taken some
 * of the descriptors that are under way (ETOOMANYREFS). Told once, until it does. */
static bool is_destination_out_of_resources(struct destination *destination, int result)
{
	bool starved = result == -ENOMEM || result == -ENOBUFS || result == -ETOOMANYREFS;

	if (starved && !destination->out_of_resources)
		log_warning("%s: connections wait: %s", name_destination_of(destination),
			strerror(-result));
	if (!result && destination->out_of_resources)
		log_info("%s: connections are sent again", name_destination_of(destination));
	if (starved || !result)
		destination->out_of_resources = starved;
	return starved;
}

static void send_queued(struct destination *destination)
{
	while (destination->queue.count) {
		int result = send_accepted(destination, &destination->queue.first->accepted);

		if (is_destination_out_of_resources(destination, result)) {
			arm_look(destination);
			break;
		}
		if (result == -EAGAIN)
			break;
		if (result) {
			log_warning("%s: a connection cannot be sent: %s",
				name_destination_of(destination), strerror(-result));
			refuse_first(destination);
			continue;
		}
		destination->counts->delivered++;
		accepted_queue_drop_first(&destination->queue);
	}
	if (!has_receiver(destination))
		note_down(destination);
	note_waiting(destination);
}

static void free_receiver_slot(struct receiver_slot *slot)
{
	receiver_free(slot->receiver);
	event_free(slot->grace);
	free(slot);
}

static void unlink_receiver_slot(struct receiver_slot *slot)
{
	struct destination *destination = slot->destination;
	struct receiver_slot **place = &destination->slots;

	while (*place != slot)
		place = &(*place)->next;
	*place = slot->next;
	if (destination->turn == slot)
		destination->turn = slot->next;
	free_receiver_slot(slot);
}

/* Puts what the receiver never took in front of the queue, in its old order. */
static void requeue_unacknowledged(struct receiver_slot *slot)
{
	struct destination *destination = slot->destination;
	struct accepted_queue back = {0};
	struct accepted accepted;
	size_t used = 0, count;

	while (receiver_requeue(slot->receiver, &accepted, &used)) {
		if (accepted_queue_append(&back, &accepted)) {
			accepted_refuse(&accepted);
			destination->counts->refused++;
		}
	}
	count = back.count;
	accepted_queue_put_before(&destination->queue, &back);
	destination->counts->delivered -= count;
	destination->counts->redelivered += count;
	destination->counts->lost += used;
	if (count || used)
		log_info(
			"%s: a receiver ended with %zu connections unacknowledged; they wait for the next",
			name_destination_of(destination), count);
}

static void look_destination(struct destination *destination);

static void on_grace(evutil_socket_t fd, short what, void *context)
{
	struct receiver_slot *slot = context;
	struct destination *destination = slot->destination;

	(void)fd;
	(void)what;
	requeue_unacknowledged(slot);
	unlink_receiver_slot(slot);
	look_destination(destination);
}

/* A server that ends in an orderly way closes its receiving socket first, and may have taken a
 * connection just before. It is not to be seen who did: so it gets the time to read from it, by
 * which it is known for used. */
static void on_dead(struct receiver *receiver, void *context)
{
	static const struct timeval grace = {.tv_usec = GRACE_MS * 1000};
	struct receiver_slot *slot = context;
	struct destination *destination = slot->destination;

	(void)receiver;
	slot->leaving = true;
	if (!receiver_unacknowledged(receiver) || evtimer_add(slot->grace, &grace))
		on_grace(-1, 0, slot);
	else
		look_destination(destination);
}

static void on_progress(struct receiver *receiver, void *context)
{
	struct receiver_slot *slot = context;
	struct destination *destination = slot->destination;

	if (slot->leaving && !receiver_unacknowledged(receiver))
		unlink_receiver_slot(slot);
	send_queued(destination);
}

static struct receiver_slot *new_receiver_slot(
	struct destination *destination, struct receiver_events *events)
{
	struct receiver_slot *slot = calloc(1, sizeof(*slot));

	if (!slot)
		return NULL;
	slot->destination = destination;
	slot->grace = evtimer_new(destination->base, on_grace, slot);
	if (!slot->grace) {
		free(slot);
		return NULL;
	}
	*events =
		(struct receiver_events){.progress = on_progress, .dead = on_dead, .context = slot};
	return slot;
}

static void add_receiver_slot(struct receiver_slot *slot, struct receiver *receiver)
{
	struct destination *destination = slot->destination;

	slot->receiver = receiver;
	slot->next = destination->slots;
	destination->slots = slot;
	note_up(destination);
}

static void log_once(struct destination *destination, int result, const struct err *err)
{
	if (result && result != destination->last_error && result != -ENOENT &&
		result != -ECONNREFUSED)
		log_warning("%s", err->text);
	destination->last_error = result;
}

static void connect_path(struct destination *destination)
{
	struct receiver_events events;
	struct receiver_slot *slot = new_receiver_slot(destination, &events), *old;
	struct receiver *receiver;
	struct err err;
	int result;

	if (!slot)
		return;
	result = receiver_connect(destination->base, destination->path, destination->config->mode,
		&events, &receiver, &err);
	log_once(destination, result, &err);
	if (result) {
		free_receiver_slot(slot);
		return;
	}
	old = path_receiver_slot(destination);
	slot->by_path = true;
	add_receiver_slot(slot, receiver);
	if (!old)
		return;
	old->leaving = true;
	if (!receiver_unacknowledged(old->receiver))
		unlink_receiver_slot(old);
}

/* Refuses what waits once nobody has been there for the time that the service says. */
static void give_up(struct destination *destination)
{
	if (!destination->given_up)
		log_warning("%s: no receiver for %u ms; connections are refused until one is there",
			name_destination_of(destination), destination->config->hold_ms);
	destination->given_up = true;
	while (destination->queue.count)
		refuse_first(destination);
}

static void on_changed(void *context)
{
	look_destination(context);
}

/* Finds a receiver where there is none, or another one. */
static void look_destination(struct destination *destination)
{
	struct receiver_slot *current = path_receiver_slot(destination);

	/* Where the directory cannot be watched, or is not there yet, time has to do. */
	if (destination->path && !destination->watch)
		destination->watch = directory_watch_new(
			destination->base, destination->path, on_changed, destination);
	if (destination->path && !(current && receiver_is_at(current->receiver, destination->path)))
		connect_path(destination);
	if (!has_receiver(destination)) {
		note_down(destination);
		if (now_destination_ms() - destination->down_since_ms >=
			destination->config->hold_ms)
			give_up(destination);
	}
	if (destination->path && !destination->watch)
		arm_look(destination);
	send_queued(destination);
}

static void on_look(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	look_destination(context);
}

struct destination *destination_new(struct event_base *base, const char *path,
	const struct config_handoff *config, struct destination_counts *counts,
	void (*ready)(void *context), void *context)
{
	struct destination *destination = calloc(1, sizeof(*destination));

	if (!destination)
		return NULL;
	*destination = (struct destination){
		.base = base,
		.config = config,
		.counts = counts,
		.ready = ready,
		.context = context,
		.path = path ? strdup(path) : NULL,
		.look = evtimer_new(base, on_look, destination),
	};
	if (!destination->look || (path && !destination->path)) {
		destination_free(destination);
		return NULL;
	}
	look_destination(destination);
	return destination;
}

void destination_configure(struct destination *destination, const struct config_handoff *config)
{
	destination->config = config;
	look_destination(destination);
}

void destination_take(struct destination *destination, struct accepted *accepted)
{
	/* Most go on at once: to wait costs memory. Whatever else comes of it, the queue sees to.
	 */
	if (!destination->queue.count && !send_accepted(destination, accepted)) {
		destination->counts->delivered++;
		return;
	}
	if (destination->given_up || destination_full(destination) ||
		accepted_queue_append(&destination->queue, accepted)) {
		accepted_refuse(accepted);
		destination->counts->refused++;
		return;
	}
	send_queued(destination);
}

bool destination_is_idle(const struct destination *destination)
{
	return !destination->queue.count && !destination->slots;
}

bool destination_full(const struct destination *destination)
{
	return destination->queue.count >= destination->config->queue;
}

/* Of its place here only what never changes is in its name, since the store knows it by that. */
static void store_receiver_slot(
	const struct receiver_slot *slot, struct fdstore *fdstore, const char *destination_prefix)
{
	char prefix[FDSTORE_NAME_SIZE];

	snprintf(prefix, sizeof(prefix), "%s%d.", destination_prefix, slot->by_path);
	receiver_store(slot->receiver, fdstore, prefix);
}

int destination_open(struct destination *destination, int *fd, struct fdstore *fdstore,
	const char *prefix, struct err *err)
{
	struct receiver_events events;
	struct receiver_slot *slot = new_receiver_slot(destination, &events);
	struct receiver *receiver;
	int result;

	if (!slot)
		return err_errno(err, -ENOMEM, "a receiver");
	result = receiver_adopt(destination->base, fd, &events, &receiver, err);
	if (result) {
		free_receiver_slot(slot);
		return result;
	}
	add_receiver_slot(slot, receiver);
	store_receiver_slot(slot, fdstore, prefix);
	send_queued(destination);
	return 0;
}

void destination_save_in_flight(struct destination *destination, struct fdstore *fdstore,
	const char *prefix, uint32_t service)
{
	for (struct receiver_slot *slot = destination->slots; slot; slot = slot->next) {
		if (!receiver_unacknowledged(slot->receiver))
			continue;
		store_receiver_slot(slot, fdstore, prefix);
		receiver_save_unacknowledged(slot->receiver, fdstore, service);
	}
	while (destination->queue.count) {
		struct fdstore_connection connection = {
			.accepted = destination->queue.first->accepted,
			.service = service,
		};

		accepted_queue_drop_first(&destination->queue);
		fdstore_put_connection(fdstore, &connection);
	}
}

int destination_restore(struct destination *destination, int *fd, struct fdstore *fdstore,
	const char *prefix, const char *rest, struct err *err)
{
	struct receiver_events events;
	struct receiver_slot *slot;
	struct receiver *receiver;
	int result;

	if (strspn(rest, "01") != 1 || rest[1] != '.')
		return err_set(err, -EINVAL, "'%s' is no receiver", rest);
	slot = new_receiver_slot(destination, &events);
	if (!slot)
		return err_errno(err, -ENOMEM, "a receiver");
	result = receiver_restore(destination->base, fd, rest + 2, &events, &receiver, err);
	if (result) {
		free_receiver_slot(slot);
		return result;
	}
	slot->by_path = rest[0] == '1';
	/* This daemon has connected to whoever is at the path already. */
	slot->leaving = slot->by_path && path_receiver_slot(destination);
	add_receiver_slot(slot, receiver);
	store_receiver_slot(slot, fdstore, prefix);
	return 0;
}

bool destination_retake(
	struct destination *destination, uint64_t receiver, struct accepted *accepted)
{
	for (struct receiver_slot *slot = destination->slots; slot; slot = slot->next) {
		if (receiver_cookie(slot->receiver) != receiver)
			continue;
		receiver_restore_unacknowledged(slot->receiver, accepted);
		return true;
	}
	return false;
}

void destination_see(const struct destination *destination, struct destination_view *view)
{
	*view = (struct destination_view){
		.path = destination->path,
		.waiting = destination->queue.count,
		.down = !has_receiver(destination),
	};
	for (const struct receiver_slot *slot = destination->slots; slot; slot = slot->next) {
		view->receivers++;
		view->unacknowledged += receiver_unacknowledged(slot->receiver);
	}
}

void destination_free(struct destination *destination)
{
	if (!destination)
		return;
	while (destination->queue.count)
		refuse_first(destination);
	destination->counts->waiting -= destination->counted;
	while (destination->slots)
		unlink_receiver_slot(destination->slots);
	if (destination->look)
		event_free(destination->look);
	directory_watch_free(destination->watch);
	free(destination->path);
	free(destination);
}
