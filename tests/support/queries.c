// SPDX-License-Identifier: BSD-2-Clause
// A UDP client that counts every way in which a query can go wrong: for a time or a number of
// queries, one at a time on each of some sockets. A query is the given bytes, of which the first
// two become its number; its answer begins with that number, holds the expected bytes and comes
// from where it was asked.
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/addr.h"

#define MAX_CONCURRENCY 512
#define MAX_PAYLOAD	512

struct asker {
	uint16_t number; /* of the query under way */
	bool waiting;
	unsigned tries;
	int64_t sent_ms;
};

struct bytes {
	uint8_t data[MAX_PAYLOAD];
	size_t size;
};

static struct {
	struct sockaddr_storage address;
	socklen_t address_length;
	struct addr_endpoint endpoint;
	int family;
	unsigned concurrency, tries;
	unsigned long limit; /* queries; 0: until the time is over */
	int64_t end_ms, timeout_ms;
	struct bytes payload, expect;
	bool dns;
	/* refused: ICMP errors; stray: answers from another address or port; retried: tries after
	 * the first */
	unsigned long started, ok, lost, refused, stray, wrong, retried;
	unsigned waiting;
} load = {.concurrency = 16, .tries = 1, .timeout_ms = 2000};

static struct asker askers[MAX_CONCURRENCY];
static struct pollfd sockets[MAX_CONCURRENCY];

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool more_to_start(void)
{
	return load.limit ? load.started < load.limit : now_ms() < load.end_ms;
}

static void finish(struct asker *asker, unsigned long *counter)
{
	(*counter)++;
	asker->waiting = false;
	load.waiting--;
}

/* Sends the query of the socket. An error that ICMP left there makes the first call fail. */
static void ask(unsigned i)
{
	struct asker *asker = &askers[i];

	asker->tries++;
	asker->sent_ms = now_ms();
	memcpy(load.payload.data, &(uint16_t){htons(asker->number)}, 2);
	for (int attempt = 0; attempt < 2; attempt++) {
		if (sendto(sockets[i].fd, load.payload.data, load.payload.size, 0,
			    (struct sockaddr *)&load.address, load.address_length) >= 0)
			return;
		load.refused += errno == ECONNREFUSED;
	}
}

static void start(unsigned i)
{
	load.started++;
	load.waiting++;
	askers[i].number++;
	askers[i].waiting = true;
	askers[i].tries = 0;
	ask(i);
}

static bool from_the_asked(const struct sockaddr_storage *address, socklen_t length)
{
	struct addr_endpoint from;

	return !addr_from_sockaddr(address, length, &from) && from.port == load.endpoint.port &&
	       addr_equal(&from.addr, &load.endpoint.addr);
}

/* SERVFAIL or REFUSED of DNS (RFC 1035, 4.1.1): the server runs, but has not loaded its zone yet.
 */
static bool is_not_ready(const uint8_t *answer, size_t size)
{
	return load.dns && size > 3 && ((answer[3] & 15) == 2 || (answer[3] & 15) == 5);
}

static void on_readable(unsigned i)
{
	struct asker *asker = &askers[i];
	struct sockaddr_storage from;
	socklen_t length = sizeof(from);
	uint8_t answer[65536];
	uint16_t number;
	ssize_t got = recvfrom(
		sockets[i].fd, answer, sizeof(answer), 0, (struct sockaddr *)&from, &length);

	if (got < 0) {
		load.refused += errno == ECONNREFUSED;
		return;
	}
	if (got < 2 || !asker->waiting)
		return;
	memcpy(&number, answer, sizeof(number));
	if (ntohs(number) != asker->number)
		return; /* late: that query was asked again, and is answered */
	if (is_not_ready(answer, (size_t)got) && asker->tries < load.tries)
		return;
	if (!from_the_asked(&from, length))
		load.stray++;
	else if (!memmem(answer, (size_t)got, load.expect.data, load.expect.size))
		finish(asker, &load.wrong);
	else
		finish(asker, &load.ok);
}

/* A refused query, or one to a server that is not ready, waits for its next try too, as resolvers
 * do that ask again. */
static void expire(void)
{
	int64_t now = now_ms();

	for (unsigned i = 0; i < load.concurrency; i++) {
		struct asker *asker = &askers[i];

		if (!asker->waiting || now - asker->sent_ms <= load.timeout_ms)
			continue;
		if (asker->tries >= load.tries) {
			finish(asker, &load.lost);
		} else {
			load.retried++;
			ask(i);
		}
	}
}

/* IP_RECVERR, since these sockets are not connected, or they would not see stray answers. */
static int open_sockets(void)
{
	for (unsigned i = 0; i < load.concurrency; i++) {
		int fd = socket(load.family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		if (fd < 0)
			return -errno;
		setsockopt(fd, load.family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
			load.family == AF_INET ? IP_RECVERR : IPV6_RECVERR, &(int){1}, sizeof(int));
		sockets[i] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	return 0;
}

static void clear_errors(int fd)
{
	char byte;

	while (recv(fd, &byte, 1, MSG_ERRQUEUE | MSG_TRUNC) >= 0)
		;
}

static void run(void)
{
	while (load.waiting || more_to_start()) {
		for (unsigned i = 0; i < load.concurrency && more_to_start(); i++) {
			if (!askers[i].waiting)
				start(i);
		}
		poll(sockets, load.concurrency, 20);
		for (unsigned i = 0; i < load.concurrency; i++) {
			if (sockets[i].revents)
				on_readable(i);
			if (sockets[i].revents & POLLERR)
				clear_errors(sockets[i].fd);
		}
		expire();
	}
}

static int read_hex(const char *text, struct bytes *out)
{
	size_t length = strlen(text);

	if (length % 2 || length / 2 > sizeof(out->data))
		return -EINVAL;
	for (out->size = 0; out->size < length / 2; out->size++) {
		char digits[3] = {text[2 * out->size], text[2 * out->size + 1]}, *end;

		out->data[out->size] = (uint8_t)strtoul(digits, &end, 16);
		if (*end)
			return -EINVAL;
	}
	return 0;
}

static int parse(int argc, char **argv)
{
	static const struct option names[] = {
		{"concurrency", required_argument, NULL, 'c'},
		{"count", required_argument, NULL, 'n'},
		{"seconds", required_argument, NULL, 's'},
		{"timeout-ms", required_argument, NULL, 't'},
		{"tries", required_argument, NULL, 'r'},
		{"expect", required_argument, NULL, 'e'},
		{"dns", no_argument, NULL, 'd'},
		{0},
	};
	struct err err;
	int option;

	load.end_ms = now_ms() + 1000;
	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == 'c')
			load.concurrency = (unsigned)atoi(optarg);
		else if (option == 'n')
			load.limit = (unsigned long)atol(optarg);
		else if (option == 's')
			load.end_ms = now_ms() + (int64_t)(atof(optarg) * 1000);
		else if (option == 't')
			load.timeout_ms = atol(optarg);
		else if (option == 'r')
			load.tries = (unsigned)atoi(optarg);
		else if (option == 'd')
			load.dns = true;
		else if (option != 'e' || read_hex(optarg, &load.expect))
			return -1;
	}
	if (argc - optind != 3 || !load.concurrency || load.concurrency > MAX_CONCURRENCY ||
		addr_parse(argv[optind], &load.endpoint.addr, &err) ||
		read_hex(argv[optind + 2], &load.payload) || load.payload.size < 2)
		return -1;
	load.endpoint.port = (uint16_t)atoi(argv[optind + 1]);
	load.family = addr_family(&load.endpoint.addr);
	load.address_length = addr_to_sockaddr(&load.endpoint, load.family, &load.address);
	return 0;
}

int main(int argc, char **argv)
{
	if (parse(argc, argv)) {
		fputs("usage: queries [--concurrency N] [--count N | --seconds S] [--timeout-ms N] [--tries N] [--expect HEX] [--dns] ADDRESS PORT HEX\n",
			stderr);
		return 2;
	}
	if (open_sockets()) {
		perror("queries: socket");
		return 1;
	}
	run();
	printf("{\"started\": %lu, \"ok\": %lu, \"lost\": %lu, \"refused\": %lu, \"stray\": %lu, \"wrong\": %lu, \"retried\": %lu}\n",
		load.started, load.ok, load.lost, load.refused, load.stray, load.wrong,
		load.retried);
	return 0;
}
