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

/* How often a receiver is looked for that folder_watch does not tell of. */
#define LOOK_MS 200

/* How long a receiver that has gone may take to use what it took last. */
#define GRACE_MS 200

struct link {
	struct destination *destination;
	struct receiver *receiver;
	bool by_path, leaving; /* leaving: replaced or dead; it may still use what it was sent */
	struct event *grace;   /* pending after its death, see on_dead */
	struct link *next;
};

struct destination {
	struct event_base *base;
	const struct config_handoff *config;
	char *path;
	struct link *links, *turn; /* whose turn it is to be sent a connection */
	struct arrivals queue;
	struct destination_counts *counts;
	void (*room)(void *context);
	void *context;
	struct event *look; /* time to look for a receiver */
	struct folder_watch *watch;
	int64_t down_since_ms; /* 0: there is a receiver */
	bool given_up, full_before;
	bool starving; /* said already */
	int last_error;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const char *name_of(const struct destination *destination)
{
	return destination->path ? destination->path : "the opened receivers";
}

static void refuse_first(struct destination *destination)
{
	arrival_refuse(&destination->queue.first->arrival);
	destination->counts->refused++;
	arrivals_drop_first(&destination->queue);
}

static void note_room(struct destination *destination)
{
	bool full = destination_full(destination);

	if (destination->full_before && !full)
		destination->room(destination->context);
	destination->full_before = full;
}

static bool has_receiver(const struct destination *destination)
{
	for (const struct link *link = destination->links; link; link = link->next) {
		if (!link->leaving)
			return true;
	}
	return false;
}

static struct link *path_link(const struct destination *destination)
{
	for (struct link *link = destination->links; link; link = link->next) {
		if (link->by_path && !link->leaving)
			return link;
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
		log_info("%s: a receiver is back", name_of(destination));
	destination->down_since_ms = 0;
	destination->given_up = false;
}

static void note_down(struct destination *destination)
{
	if (!destination->down_since_ms)
		destination->down_since_ms = now_ms();
	arm_look(destination);
}

/* Sends the connection to whoever has room, in turns. -EAGAIN: nobody has. */
static int send_arrival(struct destination *destination, struct arrival *arrival)
{
	struct link *start = destination->turn ? destination->turn : destination->links;
	struct link *link = start;
	int result = -EAGAIN;

	if (!link)
		return -EAGAIN;
	do {
		if (!link->leaving)
			result = receiver_send(link->receiver, arrival);
		link = link->next ? link->next : destination->links;
		if (!result)
			break;
		if (result != -ECONNREFUSED && result != -EAGAIN)
			return result;
	} while (link != start);
	destination->turn = link;
	return result == -ECONNREFUSED ? -EAGAIN : result;
}

/* Whether sending will go well once the machine has memory again, or the receivers have taken some
 * of the descriptors that are under way (ETOOMANYREFS). Told once, until it does. */
static bool is_starved(struct destination *destination, int result)
{
	bool starved = result == -ENOMEM || result == -ENOBUFS || result == -ETOOMANYREFS;

	if (starved && !destination->starving)
		log_warning("%s: connections wait: %s", name_of(destination), strerror(-result));
	if (!result && destination->starving)
		log_info("%s: connections are sent again", name_of(destination));
	if (starved || !result)
		destination->starving = starved;
	return starved;
}

static void pump(struct destination *destination)
{
	while (destination->queue.count) {
		int result = send_arrival(destination, &destination->queue.first->arrival);

		if (is_starved(destination, result)) {
			arm_look(destination);
			break;
		}
		if (result == -EAGAIN)
			break;
		if (result) {
			log_warning("%s: a connection cannot be sent: %s", name_of(destination),
				strerror(-result));
			refuse_first(destination);
			continue;
		}
		destination->counts->delivered++;
		arrivals_drop_first(&destination->queue);
	}
	if (!has_receiver(destination))
		note_down(destination);
	note_room(destination);
}

static void free_link(struct link *link)
{
	receiver_free(link->receiver);
	event_free(link->grace);
	free(link);
}

static void unlink_link(struct link *link)
{
	struct destination *destination = link->destination;
	struct link **place = &destination->links;

	while (*place != link)
		place = &(*place)->next;
	*place = link->next;
	if (destination->turn == link)
		destination->turn = link->next;
	free_link(link);
}

/* Puts what the receiver never took in front of the queue, in its old order. */
static void reclaim(struct link *link)
{
	struct destination *destination = link->destination;
	struct arrivals back = {0};
	struct arrival arrival;
	size_t touched = 0, count;

	while (receiver_reclaim(link->receiver, &arrival, &touched)) {
		if (arrivals_append(&back, &arrival)) {
			arrival_refuse(&arrival);
			destination->counts->refused++;
		}
	}
	count = back.count;
	arrivals_put_before(&destination->queue, &back);
	destination->counts->delivered -= count;
	destination->counts->redelivered += count;
	destination->counts->lost += touched;
	if (count || touched)
		log_info(
			"%s: a receiver ended with %zu connections untaken; they wait for the next",
			name_of(destination), count);
}

static void look(struct destination *destination);

static void on_grace(evutil_socket_t fd, short what, void *context)
{
	struct link *link = context;
	struct destination *destination = link->destination;

	(void)fd;
	(void)what;
	reclaim(link);
	unlink_link(link);
	look(destination);
}

/* A server that ends in an orderly way closes its receiving socket first, and may have taken a
 * connection just before. It is not to be seen who did: so it gets the time to read from it, by
 * which it is known for touched. */
static void on_dead(struct receiver *receiver, void *context)
{
	static const struct timeval grace = {.tv_usec = GRACE_MS * 1000};
	struct link *link = context;
	struct destination *destination = link->destination;

	(void)receiver;
	link->leaving = true;
	if (!receiver_untaken(receiver) || evtimer_add(link->grace, &grace))
		on_grace(-1, 0, link);
	else
		look(destination);
}

static void on_progress(struct receiver *receiver, void *context)
{
	struct link *link = context;
	struct destination *destination = link->destination;

	if (link->leaving && !receiver_untaken(receiver))
		unlink_link(link);
	pump(destination);
}

static struct link *new_link(struct destination *destination, struct receiver_events *events)
{
	struct link *link = calloc(1, sizeof(*link));

	if (!link)
		return NULL;
	link->destination = destination;
	link->grace = evtimer_new(destination->base, on_grace, link);
	if (!link->grace) {
		free(link);
		return NULL;
	}
	*events =
		(struct receiver_events){.progress = on_progress, .dead = on_dead, .context = link};
	return link;
}

static void add_link(struct link *link, struct receiver *receiver)
{
	struct destination *destination = link->destination;

	link->receiver = receiver;
	link->next = destination->links;
	destination->links = link;
	note_up(destination);
}

/* Only the daemon may write to the socket: another could pass anything off as a connection. */
static void narrow_mode(struct destination *destination)
{
	struct stat file;
	mode_t most = destination->config->mode;

	if (stat(destination->path, &file) || !S_ISSOCK(file.st_mode) ||
		!(file.st_mode & 0222 & ~most))
		return;
	if (chmod(destination->path, file.st_mode & 07777 & most))
		log_warning(
			"%s: others may write to it, and its mode cannot be changed to %04o: %s",
			destination->path, (unsigned)most, strerror(errno));
}

static void say_once(struct destination *destination, int result, const struct err *err)
{
	if (result && result != destination->last_error && result != -ENOENT &&
		result != -ECONNREFUSED)
		log_warning("%s", err->text);
	destination->last_error = result;
}

static void connect_path(struct destination *destination)
{
	struct receiver_events events;
	struct link *link = new_link(destination, &events), *old;
	struct receiver *receiver;
	struct err err;
	int result;

	if (!link)
		return;
	narrow_mode(destination);
	result = receiver_connect(destination->base, destination->path, &events, &receiver, &err);
	say_once(destination, result, &err);
	if (result) {
		free_link(link);
		return;
	}
	/* It may have come only after the first look, by rename(2). */
	narrow_mode(destination);
	old = path_link(destination);
	link->by_path = true;
	add_link(link, receiver);
	if (!old)
		return;
	old->leaving = true;
	if (!receiver_untaken(old->receiver))
		unlink_link(old);
}

/* Refuses what waits once nobody has been there for the time that the service says. */
static void give_up(struct destination *destination)
{
	if (!destination->given_up)
		log_warning("%s: no receiver for %u ms; connections are refused until one is there",
			name_of(destination), destination->config->hold_ms);
	destination->given_up = true;
	while (destination->queue.count)
		refuse_first(destination);
}

static void on_changed(void *context)
{
	look(context);
}

/* Finds a receiver where there is none, or another one. */
static void look(struct destination *destination)
{
	struct link *current = path_link(destination);

	/* Where the folder cannot be watched, or is not there yet, time has to do. */
	if (destination->path && !destination->watch)
		destination->watch = folder_watch_new(
			destination->base, destination->path, on_changed, destination);
	if (destination->path && !(current && receiver_is_at(current->receiver, destination->path)))
		connect_path(destination);
	if (!has_receiver(destination)) {
		note_down(destination);
		if (now_ms() - destination->down_since_ms >= destination->config->hold_ms)
			give_up(destination);
	}
	if (destination->path && !destination->watch)
		arm_look(destination);
	pump(destination);
}

static void on_look(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	look(context);
}

struct destination *destination_new(struct event_base *base, const char *path,
	const struct config_handoff *config, struct destination_counts *counts,
	void (*room)(void *context), void *context)
{
	struct destination *destination = calloc(1, sizeof(*destination));

	if (!destination)
		return NULL;
	*destination = (struct destination){
		.base = base,
		.config = config,
		.counts = counts,
		.room = room,
		.context = context,
		.path = path ? strdup(path) : NULL,
		.look = evtimer_new(base, on_look, destination),
	};
	if (!destination->look || (path && !destination->path)) {
		destination_free(destination);
		return NULL;
	}
	look(destination);
	return destination;
}

void destination_configure(struct destination *destination, const struct config_handoff *config)
{
	destination->config = config;
	look(destination);
}

void destination_take(struct destination *destination, struct arrival *arrival)
{
	/* Most go on at once: to wait costs memory. Whatever else comes of it, the queue sees to.
	 */
	if (!destination->queue.count && !send_arrival(destination, arrival)) {
		destination->counts->delivered++;
		return;
	}
	if (destination->given_up || destination_full(destination) ||
		arrivals_append(&destination->queue, arrival)) {
		arrival_refuse(arrival);
		destination->counts->refused++;
		return;
	}
	pump(destination);
}

bool destination_full(const struct destination *destination)
{
	return destination->queue.count >= destination->config->queue;
}

/* Of its place here only what never changes is in its name, since the store knows it by that. */
static void keep_link(
	const struct link *link, struct handover *handover, const char *destination_prefix)
{
	char prefix[HANDOVER_NAME_SIZE];

	snprintf(prefix, sizeof(prefix), "%s%d.", destination_prefix, link->by_path);
	receiver_keep(link->receiver, handover, prefix);
}

int destination_open(struct destination *destination, int *fd, struct handover *handover,
	const char *prefix, struct err *err)
{
	struct receiver_events events;
	struct link *link = new_link(destination, &events);
	struct receiver *receiver;
	int result;

	if (!link)
		return err_errno(err, -ENOMEM, "a receiver");
	result = receiver_adopt(destination->base, fd, &events, &receiver, err);
	if (result) {
		free_link(link);
		return result;
	}
	add_link(link, receiver);
	keep_link(link, handover, prefix);
	pump(destination);
	return 0;
}

void destination_keep(struct destination *destination, struct handover *handover,
	const char *prefix, uint32_t service)
{
	for (struct link *link = destination->links; link; link = link->next) {
		if (!receiver_untaken(link->receiver))
			continue;
		keep_link(link, handover, prefix);
		receiver_give_untaken(link->receiver, handover, service);
	}
	while (destination->queue.count) {
		struct handover_connection connection = {
			.arrival = destination->queue.first->arrival,
			.service = service,
		};

		arrivals_drop_first(&destination->queue);
		handover_give(handover, &connection);
	}
}

int destination_restore(struct destination *destination, int *fd, struct handover *handover,
	const char *prefix, const char *rest, struct err *err)
{
	struct receiver_events events;
	struct link *link;
	struct receiver *receiver;
	int result;

	if (strspn(rest, "01") != 1 || rest[1] != '.')
		return err_set(err, -EINVAL, "'%s' is no receiver", rest);
	link = new_link(destination, &events);
	if (!link)
		return err_errno(err, -ENOMEM, "a receiver");
	result = receiver_restore(destination->base, fd, rest + 2, &events, &receiver, err);
	if (result) {
		free_link(link);
		return result;
	}
	link->by_path = rest[0] == '1';
	/* This daemon has connected to whoever is at the path already. */
	link->leaving = link->by_path && path_link(destination);
	add_link(link, receiver);
	keep_link(link, handover, prefix);
	return 0;
}

bool destination_retake(struct destination *destination, uint64_t receiver, struct arrival *arrival)
{
	for (struct link *link = destination->links; link; link = link->next) {
		if (receiver_cookie(link->receiver) != receiver)
			continue;
		receiver_restore_untaken(link->receiver, arrival);
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
	for (const struct link *link = destination->links; link; link = link->next) {
		view->receivers++;
		view->untaken += receiver_untaken(link->receiver);
	}
}

void destination_free(struct destination *destination)
{
	if (!destination)
		return;
	while (destination->queue.count)
		refuse_first(destination);
	while (destination->links)
		unlink_link(destination->links);
	if (destination->look)
		event_free(destination->look);
	folder_watch_free(destination->watch);
	free(destination->path);
	free(destination);
}
