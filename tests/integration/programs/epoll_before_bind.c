// SPDX-License-Identifier: BSD-2-Clause
// Registers a socket with epoll before it is bound, as Asio does, and serves by its events alone.
#include <sys/epoll.h>

#include "serve.h"

int main(void)
{
	int epoll = epoll_create1(0), fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x1234567890abcdef};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		die("epoll_ctl");
	if (bind_wildcard(fd, AF_INET6, PORT) || listen(fd, 16))
		die("bind");
	for (;;) {
		struct epoll_event got[8];
		char text[64];
		int count = epoll_wait(epoll, got, 8, -1), connection;

		if (count < 0)
			die("epoll_wait");
		snprintf(text, sizeof(text), "events %d data %llx", count,
			(unsigned long long)got[0].data.u64);
		while ((connection = accept(fd, NULL, NULL)) >= 0)
			answer(connection, text);
	}
}
