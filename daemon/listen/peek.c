// SPDX-License-Identifier: BSD-2-Clause
// A connection is waited for in one of two ways: until it is readable, which SO_RCVLOWAT keeps it
// from being before the parser has what it lacks; or, if the kernel says readable earlier, for a
// rest of some milliseconds. Readable earlier is no end: it comes of a receive buffer that is
// nearly full or of short memory (tcp_epollin_ready), and it lasts, so that epoll(7) would spin on
// it.
#include "daemon/listen/peek.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "daemon/limits/crowd.h"
#include "daemon/listen/client_hello.h"
#include "daemon/listen/peek_socket.h"

/* Each rest is twice as long as the one before, up to the longest. */
#define REST_MS		5
#define REST_LONGEST_MS 80

struct peek {
	struct peeks *peeks;
	struct accepted accepted;
	struct peek_socket socket;
	struct client_hello hello;
	struct event *readable, *timer;
	uint64_t begun_ms, progress_ms; /* when it began, and when new bytes were last seen */
	unsigned rest_ms;		/* the last rest; 0 if there was no need for one */
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

static uint64_t peek_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void release_peek(struct peek *peek)
{
	*peek->link = peek->next;
	if (peek->next)
		peek->next->link = peek->link;
	crowd_remove(&peek->peeks->crowd, &peek->item);
	if (peek->readable)
		event_free(peek->readable);
	if (peek->timer)
		event_free(peek->timer);
	free(peek);
}

static void finish_peek(struct peek *peek, const char *name)
{
	struct accepted accepted = peek->accepted;
	struct peeks *peeks = peek->peeks;
	char copy[NAMES_MAX_LENGTH + 1];

	if (name)
		strcpy(copy, name);
	peek_socket_reset(&peek->socket);
	release_peek(peek);
	peeks->done(peeks->context, &accepted, name ? copy : NULL);
}

/* Parses what is new. False if that was enough: the wait has ended. */
static bool read_peek(struct peek *peek)
{
	static uint8_t buffer[CLIENT_HELLO_BUFFER];
	const uint8_t *data;
	ssize_t length = peek_socket_read(&peek->socket, buffer, sizeof(buffer), &data);
	enum client_hello_verdict verdict;

	if (length == -EAGAIN)
		return true;
	if (length <= 0) {
		finish_peek(peek, NULL);
		return false;
	}
	verdict = client_hello_feed(&peek->hello, data, (size_t)length);
	if (verdict != CLIENT_HELLO_MORE) {
		finish_peek(peek, verdict == CLIENT_HELLO_NAMED ? peek->hello.name : NULL);
		return false;
	}
	peek->progress_ms = peek_now_ms();
	return true;
}

static uint64_t end_of_wait_ms(const struct peek *peek)
{
	uint64_t idle = peek->progress_ms + PEEK_IDLE_MS, most = peek->begun_ms + PEEK_MOST_MS;

	return idle < most ? idle : most;
}

static int set_peek_timer(struct peek *peek, uint64_t ms)
{
	struct timeval time = {
		.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

	return event_add(peek->timer, &time);
}

static void wait_until_readable(struct peek *peek)
{
	uint64_t now = peek_now_ms(), end = end_of_wait_ms(peek);

	peek_socket_await(&peek->socket, client_hello_lacks(&peek->hello));
	if (end <= now || event_add(peek->readable, NULL) || set_peek_timer(peek, end - now))
		finish_peek(peek, NULL);
}

static void rest_peek(struct peek *peek)
{
	peek->rest_ms = peek->rest_ms ? 2 * peek->rest_ms : REST_MS;
	if (peek->rest_ms > REST_LONGEST_MS)
		peek->rest_ms = REST_LONGEST_MS;
	if (event_del(peek->readable) || set_peek_timer(peek, peek->rest_ms))
		finish_peek(peek, NULL);
}

static void on_peek_readable(evutil_socket_t fd, short what, void *context)
{
	struct peek *peek = context;
	size_t enough = peek->hello.consumed + client_hello_lacks(&peek->hello);

	(void)fd;
	(void)what;
	if (!read_peek(peek))
		return;
	if (peek->hello.consumed < enough) {
		rest_peek(peek);
		return;
	}
	peek->rest_ms = 0;
	wait_until_readable(peek);
}

/* A rest, or the wait, is over. */
static void on_peek_timer(evutil_socket_t fd, short what, void *context)
{
	struct peek *peek = context;
	uint32_t before = peek->hello.consumed;

	(void)fd;
	(void)what;
	if (!read_peek(peek))
		return;
	/* Readable, but nothing comes: the buffer may be full, and its window closed. */
	if (peek->rest_ms == REST_LONGEST_MS && peek->hello.consumed == before)
		peek_socket_grow(&peek->socket, CLIENT_HELLO_BUFFER);
	wait_until_readable(peek);
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
	struct peek *peek = calloc(1, sizeof(*peek));

	if (!peek)
		return NULL;
	peek->peeks = peeks;
	peek->accepted = *accepted;
	peek->begun_ms = peek->progress_ms = peek_now_ms();
	client_hello_init(&peek->hello);
	peek->next = peeks->first;
	peek->link = &peeks->first;
	if (peek->next)
		peek->next->link = &peek->next;
	peeks->first = peek;
	peek->readable =
		event_new(peeks->base, accepted->fd, EV_READ | EV_PERSIST, on_peek_readable, peek);
	peek->timer = evtimer_new(peeks->base, on_peek_timer, peek);
	if (!peek->readable || !peek->timer) {
		release_peek(peek);
		return NULL;
	}
	peek_socket_init(&peek->socket, accepted->fd);
	return peek;
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
	/* A quick client may have sent it already. */
	if (read_peek(peek))
		wait_until_readable(peek);
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

		peek_socket_reset(&peeks->first->socket);
		release_peek(peeks->first);
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
