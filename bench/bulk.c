// SPDX-License-Identifier: BSD-2-Clause
// One end of a transfer without copies, so that what is between the ends is measured:
//   bulk serve ADDRESS PORT                        sends to every connection for as long as it
//   reads bulk fetch ADDRESS PORT CONNECTIONS SECONDS    reads from so many, and prints bytes per
//   second
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/addr.h"

#define SOURCE_SIZE (4 * 1024 * 1024)
#define READ_SIZE   (1024 * 1024)

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int open_socket(char **words, struct sockaddr_storage *address, socklen_t *length)
{
	struct addr_endpoint endpoint = {.port = (uint16_t)atoi(words[1])};
	int family;

	if (addr_parse(words[0], &endpoint.addr, NULL))
		return -EINVAL;
	family = addr_family(&endpoint.addr);
	*length = addr_to_sockaddr(&endpoint, family, address);
	return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static void watch(int epoll, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static int serve(char **words)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), source = memfd_create("source", MFD_CLOEXEC);
	struct sockaddr_storage address;
	struct epoll_event events[64];
	int on = 1, listener;
	socklen_t length;

	listener = open_socket(words, &address, &length);
	if (listener < 0 || ftruncate(source, SOURCE_SIZE))
		return 1;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 1024)) {
		perror("bulk: bind");
		return 1;
	}
	watch(epoll, listener, EPOLLIN);
	while (true) {
		int count = epoll_wait(epoll, events, 64, -1);

		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;
			off_t start = 0;

			if (fd == listener)
				watch(epoll, accept4(fd, NULL, NULL, SOCK_NONBLOCK), EPOLLOUT);
			else if (sendfile(fd, source, &start, SOURCE_SIZE) < 0 && errno != EAGAIN)
				close(fd);
		}
	}
}

static int fetch(char **words)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), connections = atoi(words[2]);
	double begin = now(), end = begin + atof(words[3]);
	struct sockaddr_storage address;
	struct epoll_event events[64];
	unsigned long failures = 0, bytes = 0;
	socklen_t length;

	for (int i = 0; i < connections; i++) {
		int fd = open_socket(words, &address, &length);

		if (fd < 0 ||
			(connect(fd, (struct sockaddr *)&address, length) && errno != EINPROGRESS))
			failures++;
		else
			watch(epoll, fd, EPOLLIN);
	}
	while (now() < end) {
		int count = epoll_wait(epoll, events, 64, 100);

		for (int i = 0; i < count; i++) {
			/* TCP discards without copying (tcp(7), MSG_TRUNC). */
			ssize_t got = recv(events[i].data.fd, NULL, READ_SIZE, MSG_TRUNC);

			if (got > 0) {
				bytes += (unsigned long)got;
			} else if (!got || errno != EAGAIN) {
				failures++;
				close(events[i].data.fd);
			}
		}
	}
	printf("{\"rate\": %.0f, \"failures\": %lu}\n", (double)bytes / (now() - begin), failures);
	return 0;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 4 && !strcmp(argv[1], "serve"))
		return serve(argv + 2);
	if (argc == 6 && !strcmp(argv[1], "fetch"))
		return fetch(argv + 2);
	fputs("usage: bulk serve ADDRESS PORT | bulk fetch ADDRESS PORT CONNECTIONS SECONDS\n",
		stderr);
	return 2;
}
