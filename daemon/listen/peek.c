// SPDX-License-Identifier: BSD-2-Clause
// Peeks again whenever there is more: SO_RCVLOWAT keeps the socket from being readable before.
#include "daemon/listen/peek.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "daemon/limits/crowd.h"
#include "daemon/listen/client_hello.h"

struct peek {
	struct peeks *peeks;
	struct accepted accepted;
	struct event *readable, *deadline;
	ssize_t seen;
	struct peek *next, **link;
	struct crowd_item item;
};

struct peeks {
	struct event_base *base;
	peek_done *done;
	void *context;
	struct peek *first;
	struct crowd crowd; /* by source */
};

static void set_low_water(int fd, int bytes)
{
	setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
}

static void release_peek(struct peek *peek)
{
	*peek->link = peek->next;
	if (peek->next)
		peek->next->link = peek->link;
	crowd_remove(&peek->peeks->crowd, &peek->item);
	if (peek->readable)
		event_free(peek->readable);
	if (peek->deadline)
		event_free(peek->deadline);
	free(peek);
}

static void finish_peek(struct peek *peek, const char *name)
{
	struct accepted accepted = peek->accepted;
	struct peeks *peeks = peek->peeks;

	release_peek(peek);
	set_low_water(accepted.fd, 1);
	peeks->done(peeks->context, &accepted, name);
}

/* Looks at what is there, which may be enough. */
static void look_peek(struct peek *peek)
{
	static uint8_t data[CLIENT_HELLO_BUFFER];
	char name[NAMES_MAX_LENGTH + 1];
	ssize_t length = recv(peek->accepted.fd, data, sizeof(data), MSG_PEEK | MSG_DONTWAIT);
	enum client_hello found;

	if (length < 0) {
		if (errno != EAGAIN && errno != EINTR)
			finish_peek(peek, NULL);
		return;
	}
	/* Readable without anything new: that was the end. */
	found = length > peek->seen ? client_hello_read(data, (size_t)length, name)
				    : CLIENT_HELLO_OTHER;
	if (found != CLIENT_HELLO_MORE) {
		finish_peek(peek, found == CLIENT_HELLO_NAMED ? name : NULL);
		return;
	}
	peek->seen = length;
	set_low_water(peek->accepted.fd, (int)length + 1);
}

static void on_peek_readable(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	look_peek(context);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	finish_peek(context, NULL);
}

/* A quarter of the descriptors at the most: the rest is for those that have said something. */
static void init_crowd(struct crowd *crowd)
{
	struct rlimit limit = {.rlim_cur = 1024};
	unsigned most = PEEK_MOST;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur / 4 < most)
		most = limit.rlim_cur >= 4 ? (unsigned)(limit.rlim_cur / 4) : 1;
	crowd_init(crowd, CROWD_OLDEST, most,
		most / 2 > PEEK_MOST_OF_SOURCE ? PEEK_MOST_OF_SOURCE : most / 2 + 1);
}

struct peeks *peeks_new(struct event_base *base, peek_done *done, void *context)
{
	struct peeks *peeks = calloc(1, sizeof(*peeks));

	if (!peeks)
		return NULL;
	*peeks = (struct peeks){.base = base, .done = done, .context = context};
	init_crowd(&peeks->crowd);
	return peeks;
}

static struct peek *new_peek(struct peeks *peeks, const struct accepted *accepted)
{
	static const struct timeval most = {.tv_sec = PEEK_TIMEOUT_MS / 1000};
	struct peek *peek = calloc(1, sizeof(*peek));

	if (!peek)
		return NULL;
	peek->peeks = peeks;
	peek->accepted = *accepted;
	peek->next = peeks->first;
	peek->link = &peeks->first;
	if (peek->next)
		peek->next->link = &peek->next;
	peeks->first = peek;
	peek->readable =
		event_new(peeks->base, accepted->fd, EV_READ | EV_PERSIST, on_peek_readable, peek);
	peek->deadline = evtimer_new(peeks->base, on_deadline, peek);
	if (peek->readable && peek->deadline && !event_add(peek->readable, NULL) &&
		!evtimer_add(peek->deadline, &most))
		return peek;
	release_peek(peek);
	return NULL;
}

static void refuse_peek(struct peek *peek)
{
	struct accepted accepted = peek->accepted;

	release_peek(peek);
	accepted_refuse(&accepted);
}

void peeks_add(struct peeks *peeks, struct accepted *accepted)
{
	struct peek *peek = new_peek(peeks, accepted);
	struct crowd_item *excess = NULL;
	struct crowd_path path;

	if (peek) {
		crowd_path_of_source(&accepted->remote.addr, &path);
		if (crowd_add(&peeks->crowd, &peek->item, &path, &excess)) {
			release_peek(peek);
			peek = NULL;
		}
	}
	if (!peek) {
		peeks->done(peeks->context, accepted, NULL);
		return;
	}
	accepted->fd = -1;
	if (excess)
		refuse_peek((struct peek *)((char *)excess - offsetof(struct peek, item)));
	/* A quick client may have brought it already. */
	look_peek(peek);
}

size_t peeks_count(const struct peeks *peeks)
{
	return peeks->crowd.count;
}

uint64_t peeks_displaced(const struct peeks *peeks)
{
	return peeks->crowd.displaced + peeks->crowd.key_displaced;
}

size_t peeks_count_before(const struct peeks *peeks, uint32_t generation)
{
	size_t count = 0;

	for (const struct peek *peek = peeks->first; peek; peek = peek->next)
		count += peek->accepted.generation < generation;
	return count;
}

void peeks_save_in_flight(struct peeks *peeks, struct fdstore *fdstore)
{
	while (peeks->first) {
		struct fdstore_connection connection = {.accepted = peeks->first->accepted};

		release_peek(peeks->first);
		set_low_water(connection.accepted.fd, 1);
		fdstore_put_connection(fdstore, &connection);
	}
}

void peeks_free(struct peeks *peeks)
{
	if (!peeks)
		return;
	while (peeks->first)
		refuse_peek(peeks->first);
	crowd_fini(&peeks->crowd);
	free(peeks);
}
