// SPDX-License-Identifier: BSD-2-Clause
// A client that counts every way in which a connection can go wrong: for a time or a number of
// short connections, some at once, each a request whose answer must hold the expected text.
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/addr.h"

#define MAX_CONCURRENCY 8192
#define ANSWER_SIZE	4096
#define TIMEOUT_MS	15000

struct connection {
	int fd;
	bool connected, sent;
	int64_t started_ms, next_ms; /* next_ms: when the next one may start in its place */
	size_t used;
	char answer[ANSWER_SIZE];
};

static struct {
	struct sockaddr_storage address;
	socklen_t address_length;
	int family;
	unsigned concurrency;
	unsigned long limit; /* connections; 0: until the time is over */
	int64_t end_ms;
	volatile sig_atomic_t stop; /* SIGTERM: start no more, and report */
	const char *expect, *request;
	int pause_ms;
	bool greeted; /* the server speaks first; the request waits for that */
	size_t request_size;
	int epoll;
	/* closed: an end before the answer's body */
	unsigned long started, ok, refused, reset, closed, timeout, wrong, other;
	unsigned open;
	char example[256]; /* the first wrong answer or error */
} load = {.concurrency = 16, .expect = "", .request = "GET / HTTP/1.0\r\n\r\n"};

static struct connection connections[MAX_CONCURRENCY];

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void on_terminate(int number)
{
	(void)number;
	load.stop = 1;
}

static bool more_to_start(void)
{
	if (load.stop)
		return false;
	return load.limit ? load.started < load.limit : now_ms() < load.end_ms;
}

static void count_error(int error)
{
	if (error == ECONNREFUSED)
		load.refused++;
	else if (error == ECONNRESET || error == EPIPE)
		load.reset++;
	else if (error == ETIMEDOUT)
		load.timeout++;
	else
		load.other++;
	if (!load.example[0])
		snprintf(load.example, sizeof(load.example), "%s", strerror(error));
}

static bool has_body(const char *answer)
{
	const char *head_end = strstr(answer, "\r\n\r\n");

	return head_end && head_end[4];
}

static void finish(struct connection *connection, int error)
{
	connection->answer[connection->used] = '\0';
	if (error) {
		count_error(error);
	} else if (connection->used &&
		   memmem(connection->answer, connection->used, load.expect, strlen(load.expect))) {
		load.ok++;
	} else if (!has_body(connection->answer)) {
		load.closed++;
	} else {
		load.wrong++;
		if (!load.example[0])
			snprintf(load.example, sizeof(load.example), "%.200s", connection->answer);
	}
	close(connection->fd);
	connection->fd = -1;
	connection->next_ms = now_ms() + load.pause_ms;
	load.open--;
}

static void start(struct connection *connection)
{
	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = connection};

	load.started++;
	load.open++;
	connection->fd = socket(load.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	connection->connected = connection->sent = false;
	connection->used = 0;
	connection->started_ms = now_ms();
	if (connection->fd < 0 ||
		(connect(connection->fd, (struct sockaddr *)&load.address, load.address_length) &&
			errno != EINPROGRESS) ||
		epoll_ctl(load.epoll, EPOLL_CTL_ADD, connection->fd, &event))
		finish(connection, errno);
}

static void ask(struct connection *connection)
{
	if (send(connection->fd, load.request, load.request_size, MSG_NOSIGNAL) < 0)
		finish(connection, errno);
	else
		connection->sent = true;
}

static void on_writable(struct connection *connection)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
	socklen_t length = sizeof(int);
	int error = 0;

	getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &length);
	if (error) {
		finish(connection, error);
		return;
	}
	connection->connected = true;
	epoll_ctl(load.epoll, EPOLL_CTL_MOD, connection->fd, &event);
	if (!load.greeted)
		ask(connection);
}

static void on_readable(struct connection *connection)
{
	char rest[4096];
	bool full = connection->used >= ANSWER_SIZE - 1;
	ssize_t got = full ? recv(connection->fd, rest, sizeof(rest), 0)
			   : recv(connection->fd, connection->answer + connection->used,
				     ANSWER_SIZE - 1 - connection->used, 0);

	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0)
		finish(connection, got < 0 ? errno : 0);
	else if (!full)
		connection->used += (size_t)got;
	if (got > 0 && !connection->sent)
		ask(connection);
}

static void expire(void)
{
	for (unsigned i = 0; i < load.concurrency; i++) {
		if (connections[i].fd >= 0 && now_ms() - connections[i].started_ms > TIMEOUT_MS)
			finish(&connections[i], ETIMEDOUT);
	}
}

static void run(void)
{
	struct epoll_event events[256];

	while (load.open || more_to_start()) {
		int count;

		for (unsigned i = 0; i < load.concurrency && more_to_start(); i++) {
			if (connections[i].fd < 0 && now_ms() >= connections[i].next_ms)
				start(&connections[i]);
		}
		count = epoll_wait(load.epoll, events, 256,
			load.pause_ms && load.pause_ms < 100 ? load.pause_ms : 100);
		for (int i = 0; i < count; i++) {
			struct connection *connection = events[i].data.ptr;

			if (connection->fd < 0)
				continue;
			if (connection->connected)
				on_readable(connection);
			else
				on_writable(connection);
		}
		expire();
	}
}

/* Decodes pairs of hexadecimal digits in place: a request may hold zeros. */
static int read_hex(char *text)
{
	size_t length = strlen(text);

	for (load.request_size = 0; load.request_size < length / 2; load.request_size++) {
		char digits[3] = {text[2 * load.request_size], text[2 * load.request_size + 1]};
		char *end;

		text[load.request_size] = (char)strtoul(digits, &end, 16);
		if (*end)
			return -EINVAL;
	}
	load.request = text;
	return length % 2 ? -EINVAL : 0;
}

static int parse(int argc, char **argv)
{
	static const struct option names[] = {
		{"concurrency", required_argument, NULL, 'c'},
		{"count", required_argument, NULL, 'n'},
		{"seconds", required_argument, NULL, 's'},
		{"expect", required_argument, NULL, 'e'},
		{"request", required_argument, NULL, 'r'},
		{"greeted", no_argument, NULL, 'g'},
		{"request-hex", required_argument, NULL, 'x'},
		{"pause", required_argument, NULL, 'p'},
		{0},
	};
	struct addr_endpoint endpoint;
	struct err err;
	int option;

	load.end_ms = now_ms() + 1000;
	load.request_size = strlen(load.request);
	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == 'c')
			load.concurrency = (unsigned)atoi(optarg);
		else if (option == 'n')
			load.limit = (unsigned long)atol(optarg);
		else if (option == 's')
			load.end_ms = now_ms() + (int64_t)(atof(optarg) * 1000);
		else if (option == 'e')
			load.expect = optarg;
		else if (option == 'r')
			load.request_size = strlen(load.request = optarg);
		else if (option == 'g')
			load.greeted = true;
		else if (option == 'p')
			load.pause_ms = atoi(optarg);
		else if (option != 'x' || read_hex(optarg))
			return -1;
	}
	if (argc - optind != 2 || !load.concurrency || load.concurrency > MAX_CONCURRENCY ||
		addr_parse(argv[optind], &endpoint.addr, &err))
		return -1;
	endpoint.port = (uint16_t)atoi(argv[optind + 1]);
	load.family = addr_family(&endpoint.addr);
	load.address_length = addr_to_sockaddr(&endpoint, load.family, &load.address);
	return 0;
}

int main(int argc, char **argv)
{
	if (parse(argc, argv)) {
		fputs("usage: load [--concurrency N] [--count N | --seconds S] [--expect TEXT] [--request TEXT | --request-hex HEX] [--greeted] [--pause MS] ADDRESS PORT\n",
			stderr);
		return 2;
	}
	signal(SIGTERM, on_terminate);
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < MAX_CONCURRENCY; i++)
		connections[i].fd = -1;
	run();
	for (char *c = load.example; *c; c++) {
		if (*c == '"' || *c == '\\' || *c < ' ')
			*c = ' ';
	}
	printf("{\"started\": %lu, \"ok\": %lu, \"refused\": %lu, \"reset\": %lu, \"closed\": %lu, \"timeout\": %lu, \"wrong\": %lu, \"other\": %lu, \"example\": \"%s\"}\n",
		load.started, load.ok, load.refused, load.reset, load.closed, load.timeout,
		load.wrong, load.other, load.example);
	return 0;
}
