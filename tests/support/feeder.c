// SPDX-License-Identifier: BSD-2-Clause
// Stands in for the daemon's handoff: feeder ADDRESS PORT PATH [ADDRESS PORT PATH ...] accepts on
// real addresses and hands each connection to the receiver at the path. Nothing is dropped: it
// waits for room, and for a receiver that is away, and stops accepting meanwhile. An ADDRESS of
// the form mapped:192.0.2.1 is accepted on as an AF_INET6 socket, as `ipv4: mapped` has it.
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/addr.h"
#include "common/handoff_message.h"

#define RETRY_MS   20
#define MOST_FEEDS 16

struct feed {
	const char *path;
	int listener;
	int channel;	/* to the receiver; -1: it is away */
	int connection; /* accepted, and not yet handed over; -1: none */
};

static struct feed feeds[MOST_FEEDS];
static size_t feed_count;

static void die(const char *what)
{
	fprintf(stderr, "feeder: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int listen_on(const char *address, const char *port)
{
	struct addr_endpoint endpoint = {.port = (uint16_t)atoi(port)};
	struct sockaddr_storage name;
	socklen_t length;
	bool mapped = !strncmp(address, "mapped:", 7);
	int family, fd, one = 1;

	if (addr_parse(address + (mapped ? 7 : 0), &endpoint.addr, NULL))
		die(address);
	family = mapped ? AF_INET6 : addr_family(&endpoint.addr);
	length = addr_to_sockaddr(&endpoint, family, &name);
	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&name, length) || listen(fd, SOMAXCONN))
		die(address);
	return fd;
}

/* The queue is kept short by a small buffer: what is in it when a receiver ends is lost. */
static void find_receiver(struct feed *feed)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), small = 1;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", feed->path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		return;
	}
	feed->channel = fd;
}

/* Hands over until there is nothing or no room. True: it has to be tried again without an event. */
static bool feed_on(struct feed *feed)
{
	for (;;) {
		int result;

		if (feed->connection < 0)
			feed->connection = accept4(feed->listener, NULL, NULL, SOCK_CLOEXEC);
		if (feed->connection < 0)
			return false;
		if (feed->channel < 0)
			find_receiver(feed);
		if (feed->channel < 0)
			return true;
		result = handoff_send(feed->channel, feed->connection, MSG_DONTWAIT);
		if (result == -EAGAIN)
			return false;
		if (result) {
			close(feed->channel); /* and its number leaves epoll */
			feed->channel = -1;
			return true;
		}
		close(feed->connection);
		feed->connection = -1;
	}
}

/* Waits for the listener if there is nothing to hand over, else for room. */
static void wait_for(int epoll, struct feed *feed)
{
	struct epoll_event in = {.events = EPOLLIN | EPOLLONESHOT},
			   out = {.events = EPOLLOUT | EPOLLONESHOT};
	int fd = feed->connection < 0 ? feed->listener : feed->channel;
	struct epoll_event *event = feed->connection < 0 ? &in : &out;

	if (fd >= 0 && epoll_ctl(epoll, EPOLL_CTL_MOD, fd, event))
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, event);
}

int main(int argc, char **argv)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	signal(SIGPIPE, SIG_IGN);
	for (int i = 1; i + 2 < argc && feed_count < MOST_FEEDS; i += 3)
		feeds[feed_count++] =
			(struct feed){argv[i + 2], listen_on(argv[i], argv[i + 1]), -1, -1};
	puts("feeding");
	fflush(stdout);
	for (;;) {
		struct epoll_event events[MOST_FEEDS * 2];
		bool again = false;

		for (size_t i = 0; i < feed_count; i++) {
			again |= feed_on(&feeds[i]);
			wait_for(epoll, &feeds[i]);
		}
		if (epoll_wait(epoll, events, MOST_FEEDS * 2, again ? RETRY_MS : -1) < 0 &&
			errno != EINTR)
			die("epoll_wait");
	}
}
