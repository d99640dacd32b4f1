// SPDX-License-Identifier: BSD-2-Clause
// Registers a socket with epoll before it is bound, as Asio does, by two descriptors, and serves by
// its events alone.
#include <fcntl.h>
#include <sys/epoll.h>

#include "serve.h"

/* How many registrations the kernel lists. */
static int registrations(int epoll)
{
	char path[64], line[256];
	FILE *info;
	int count = 0;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", epoll);
	info = fopen(path, "r");
	while (info && fgets(line, sizeof(line), info))
		count += !strncmp(line, "tfd:", 4);
	if (info)
		fclose(info);
	return count;
}

int main(void)
{
	struct epoll_event other = {.events = EPOLLIN | EPOLLET, .data.u64 = 77};
	int epoll = epoll_create1(0), fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x1234567890abcdef};
	int copy = fcntl(fd, F_DUPFD, 100);

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) ||
		epoll_ctl(epoll, EPOLL_CTL_ADD, copy, &other))
		die("epoll_ctl");
	if (bind_wildcard(fd, AF_INET6, PORT) || listen(fd, 16))
		die("bind");
	for (;;) {
		struct epoll_event got[8] = {0};
		char text[128];
		int count = epoll_wait(epoll, got, 8, -1), first, connection;

		if (count < 0)
			die("epoll_wait");
		first = got[0].data.u64 < got[1].data.u64;
		snprintf(text, sizeof(text), "events %d data %llx %llu registrations %d", count,
			(unsigned long long)got[first].data.u64,
			(unsigned long long)got[!first].data.u64, registrations(epoll));
		while ((connection = accept(fd, NULL, NULL)) >= 0)
			answer(connection, text);
	}
}
