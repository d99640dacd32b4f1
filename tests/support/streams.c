// SPDX-License-Identifier: BSD-2-Clause
// Both ends of a relay: many connections at once to an address, and the server behind it. Each end
// sends random bytes; each connection ends in one of the ways below; every byte is compared.
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/addr.h"
#include "common/err.h"

#define MAX_CONNECTIONS 4096
#define MAX_LENGTH	(768 * 1024)
#define PIECE		32768
#define TIMEOUT_MS	90000

/* What becomes of a connection. A client that is to be reset, or to reset, does so in the middle.
 */
enum way { BOTH_SEND, CLIENT_FIRST, SERVER_FIRST, CLIENT_RESETS, SERVER_RESETS, WAYS };

/* The first bytes of a client's stream: which connection it is. */
struct hello {
	uint32_t number;
};

struct end {
	int fd;
	bool is_server, done, failed;
	struct connection *connection;
	uint64_t out, in; /* states of the generators */
	size_t to_send, sent, to_receive, received;
	size_t hello_left; /* bytes of a hello to send or receive */
	bool sent_end, got_end, was_reset, resets;
	size_t reset_at; /* received bytes after which it resets */
};

struct connection {
	enum way way;
	uint32_t number;
	struct end client, server;
	struct hello heard;
};

static struct {
	int epoll, listener;
	unsigned count, at_once, started, ended, bad, resets_seen, ends_seen, half_closed;
	uint64_t bytes;
	char example[256];
} run;

static struct connection connections[MAX_CONNECTIONS];
static struct end orphans[MAX_CONNECTIONS * 2]; /* accepted, hello not yet heard */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* xorshift64; the stream of bytes that an end sends, which the other makes too. */
static void generate(uint64_t *state, uint8_t *data, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		*state ^= *state << 13;
		*state ^= *state >> 7;
		*state ^= *state << 17;
		data[i] = (uint8_t)(*state >> 24);
	}
}

static void complain(const struct end *end, const char *text)
{
	run.bad++;
	if (!run.example[0])
		snprintf(run.example, sizeof(run.example), "%s of connection %u (way %d): %s",
			end->is_server ? "server" : "client",
			end->connection ? end->connection->number : 0,
			end->connection ? (int)end->connection->way : -1, text);
}

static void finish(struct end *end)
{
	struct connection *connection = end->connection;

	close(end->fd);
	end->fd = -1;
	end->done = true;
	if (connection && connection->client.done && connection->server.done)
		run.ended++;
}

static void reset(struct end *end)
{
	struct linger now = {.l_onoff = 1};

	setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	end->was_reset = true;
	finish(end);
}

static struct end *other_of(struct end *end)
{
	return end->is_server ? &end->connection->client : &end->connection->server;
}

/* The peer's reset has come. */
static void on_reset(struct end *end)
{
	if (!end->connection || !other_of(end)->resets)
		complain(end, "a reset that nobody sent");
	run.resets_seen++;
	finish(end);
}

static void on_end(struct end *end)
{
	end->got_end = true;
	run.ends_seen++;
	if (other_of(end)->resets)
		complain(end, "an orderly end where there was a reset");
	else if (end->received != end->to_receive)
		complain(end, "an end before all bytes");
}

static bool may_send(const struct end *end)
{
	/* One side first: the other answers after it has heard the end. */
	if (end->connection->way == CLIENT_FIRST)
		return !end->is_server || end->got_end;
	if (end->connection->way == SERVER_FIRST)
		return end->is_server || end->got_end;
	/* The reset comes before an end, even if one direction is much slower than the other. */
	if (end->connection->client.resets || end->connection->server.resets)
		return end->sent < end->to_send;
	return true;
}

static void send_some(struct end *end)
{
	uint8_t data[PIECE];
	uint64_t state = end->out;
	size_t length = end->to_send - end->sent;
	ssize_t sent;

	if (end->hello_left) {
		struct hello hello = {.number = end->connection->number};

		sent = send(end->fd, (char *)&hello + sizeof(hello) - end->hello_left,
			end->hello_left, MSG_NOSIGNAL);
		if (sent > 0)
			end->hello_left -= (size_t)sent;
		else if (errno != EAGAIN)
			on_reset(end);
		return;
	}
	if (length > PIECE)
		length = PIECE;
	if (!length) {
		end->sent_end = true;
		shutdown(end->fd, SHUT_WR);
		if (!end->got_end)
			run.half_closed++;
		return;
	}
	generate(&state, data, length);
	sent = send(end->fd, data, length, MSG_NOSIGNAL);
	if (sent < 0 && errno == EAGAIN)
		return;
	if (sent < 0) {
		on_reset(end);
		return;
	}
	generate(&end->out, data, (size_t)sent);
	end->sent += (size_t)sent;
	run.bytes += (uint64_t)sent;
}

static void receive_some(struct end *end)
{
	uint8_t data[PIECE], expected[PIECE];
	ssize_t got = recv(end->fd, data, sizeof(data), 0);

	if (got < 0 && errno == EAGAIN)
		return;
	if (got < 0) {
		on_reset(end);
		return;
	}
	if (!got) {
		on_end(end);
		return;
	}
	generate(&end->in, expected, (size_t)got);
	if (memcmp(data, expected, (size_t)got) != 0) {
		complain(end, "other bytes than were sent");
		finish(end);
		return;
	}
	end->received += (size_t)got;
	if (end->resets && end->received >= end->reset_at)
		reset(end);
}

/* An accepted connection's first bytes say which one it is. */
static void hear(struct end *orphan)
{
	struct hello hello;
	ssize_t got = recv(orphan->fd, &hello, sizeof(hello), MSG_PEEK);
	struct end *end;

	if (got < 0 && errno == EAGAIN)
		return;
	if (got != (ssize_t)sizeof(hello)) {
		if (got <= 0)
			close(orphan->fd);
		if (got <= 0)
			orphan->fd = -1;
		return;
	}
	if (hello.number >= run.count || connections[hello.number].server.fd >= 0) {
		complain(orphan, "a hello that no client sent");
		close(orphan->fd);
		return;
	}
	recv(orphan->fd, &hello, sizeof(hello), 0);
	end = &connections[hello.number].server;
	end->fd = orphan->fd;
	epoll_ctl(run.epoll, EPOLL_CTL_MOD, end->fd,
		&(struct epoll_event){.events = EPOLLIN | EPOLLOUT, .data.ptr = end});
}

static void work(struct end *end, uint32_t events)
{
	uint32_t wanted = 0;

	if (!end->connection) {
		hear(end);
		return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !end->got_end)
		receive_some(end);
	if (!end->done && events & EPOLLOUT && !end->sent_end && (end->hello_left || may_send(end)))
		send_some(end);
	if (end->done)
		return;
	if (end->got_end && end->sent_end) {
		finish(end);
		return;
	}
	if (!end->got_end)
		wanted |= EPOLLIN;
	if (!end->sent_end && (end->hello_left || may_send(end)))
		wanted |= EPOLLOUT;
	epoll_ctl(run.epoll, EPOLL_CTL_MOD, end->fd,
		&(struct epoll_event){.events = wanted, .data.ptr = end});
}

static void prepare(struct connection *connection, uint32_t number)
{
	struct end *client = &connection->client, *server = &connection->server;

	connection->number = number;
	connection->way = (enum way)(number % WAYS);
	*client = (struct end){.fd = -1, .connection = connection};
	*server = (struct end){.fd = -1, .connection = connection, .is_server = true};
	client->hello_left = sizeof(struct hello);
	client->to_send = server->to_receive = (size_t)rand() % MAX_LENGTH;
	server->to_send = client->to_receive = (size_t)rand() % MAX_LENGTH;
	client->out = server->in = 0x9e3779b97f4a7c15u * (number + 1);
	server->out = client->in = 0xc2b2ae3d27d4eb4fu * (number + 1);
	if (connection->way == CLIENT_RESETS || connection->way == SERVER_RESETS) {
		struct end *end = connection->way == CLIENT_RESETS ? client : server;

		/* Enough to come to the reset; the other never comes to its end. */
		end->resets = true;
		end->to_receive = other_of(end)->to_send = MAX_LENGTH * 4;
		end->to_send = other_of(end)->to_receive = MAX_LENGTH * 4;
		end->reset_at = 1 + (size_t)rand() % (MAX_LENGTH / 2);
	}
}

static void start(const struct sockaddr_storage *address, socklen_t length)
{
	struct end *client = &connections[run.started++].client;

	client->fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (client->fd < 0 || (connect(client->fd, (const struct sockaddr *)address, length) &&
				      errno != EINPROGRESS)) {
		complain(client, strerror(errno));
		return;
	}
	epoll_ctl(run.epoll, EPOLL_CTL_ADD, client->fd,
		&(struct epoll_event){.events = EPOLLIN | EPOLLOUT, .data.ptr = client});
}

static void accept_some(void)
{
	static size_t used;
	int fd;

	while ((fd = accept4(run.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct end *orphan = &orphans[used++ % (MAX_CONNECTIONS * 2)];

		*orphan = (struct end){.fd = fd, .is_server = true};
		epoll_ctl(run.epoll, EPOLL_CTL_ADD, fd,
			&(struct epoll_event){.events = EPOLLIN, .data.ptr = orphan});
	}
}

static void go(const struct sockaddr_storage *address, socklen_t length)
{
	int64_t end_ms = now_ms() + TIMEOUT_MS;
	struct epoll_event events[64];

	while (run.ended < run.count && now_ms() < end_ms) {
		int ready;

		while (run.started < run.count && run.started - run.ended < run.at_once)
			start(address, length);
		ready = epoll_wait(run.epoll, events, 64, 100);
		for (int i = 0; i < ready; i++) {
			if (!events[i].data.ptr)
				accept_some();
			else if (((struct end *)events[i].data.ptr)->fd >= 0)
				work(events[i].data.ptr, events[i].events);
		}
	}
}

/* "ADDRESS PORT", or "PATH -". */
static bool parse(char **words, struct sockaddr_storage *out, socklen_t *length)
{
	struct addr_endpoint endpoint;

	if (words[0][0] == '/') {
		struct sockaddr_un *path = (struct sockaddr_un *)out;

		*path = (struct sockaddr_un){.sun_family = AF_UNIX};
		snprintf(path->sun_path, sizeof(path->sun_path), "%s", words[0]);
		*length = sizeof(*path);
		return true;
	}
	if (addr_parse(words[0], &endpoint.addr, NULL))
		return false;
	endpoint.port = (uint16_t)atoi(words[1]);
	*length = addr_to_sockaddr(&endpoint, addr_family(&endpoint.addr), out);
	return true;
}

int main(int argc, char **argv)
{
	struct sockaddr_storage from, to;
	socklen_t from_length, to_length;
	int on = 1;

	if (argc != 7 || !parse(argv + 1, &to, &to_length) ||
		!parse(argv + 3, &from, &from_length) ||
		(run.count = (unsigned)atoi(argv[5])) > MAX_CONNECTIONS) {
		fputs("usage: streams RELAY PORT SERVER PORT COUNT AT_ONCE\n", stderr);
		return 2;
	}
	run.at_once = (unsigned)atoi(argv[6]);
	srand(1);
	for (uint32_t i = 0; i < run.count; i++)
		prepare(&connections[i], i);
	run.epoll = epoll_create1(EPOLL_CLOEXEC);
	run.listener = socket(from.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(run.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(run.listener, (struct sockaddr *)&from, from_length) ||
		listen(run.listener, 1024)) {
		perror("streams: bind");
		return 1;
	}
	epoll_ctl(run.epoll, EPOLL_CTL_ADD, run.listener,
		&(struct epoll_event){.events = EPOLLIN, .data.ptr = NULL});
	go(&to, to_length);
	printf("{\"ended\": %u, \"bad\": %u, \"resets\": %u, \"ends\": %u, \"half_closed\": %u, \"bytes\": %llu, \"example\": \"%s\"}\n",
		run.ended, run.bad, run.resets_seen, run.ends_seen, run.half_closed,
		(unsigned long long)run.bytes, run.example);
	return 0;
}
