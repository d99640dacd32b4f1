/* SPDX-License-Identifier: BSD-2-Clause */
/* What the small servers of the launcher's tests have in common: each does one awkward thing before
 * or around bind(2), then answers every connection with a line that the test reads. */
#ifndef SOCKETBOX_TESTS_SERVE_H
#define SOCKETBOX_TESTS_SERVE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT 8080

static inline void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* Binds to the wildcard of the socket's domain. */
static inline int bind_wildcard(int fd, int domain, int port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

	return domain == AF_INET ? bind(fd, (struct sockaddr *)&v4, sizeof(v4))
				 : bind(fd, (struct sockaddr *)&v6, sizeof(v6));
}

/* Answers one connection over HTTP with the text. */
static inline void answer(int connection, const char *text)
{
	char request[2048], reply[2048];
	int length = snprintf(reply, sizeof(reply), "HTTP/1.0 200 OK\r\n\r\n%s\n", text);

	if (recv(connection, request, sizeof(request), 0) > 0 &&
		send(connection, reply, (size_t)length, MSG_NOSIGNAL) < 0)
		perror("send");
	close(connection);
}

static inline void stop(int number)
{
	(void)number;
	_exit(0);
}

/* Answers connections until SIGTERM, which waits for the end of an answer. Another program may
 * share the socket. */
static inline void serve(int fd, const char *text)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	sigset_t terminate, none;

	sigemptyset(&none);
	sigemptyset(&terminate);
	sigaddset(&terminate, SIGTERM);
	sigprocmask(SIG_BLOCK, &terminate, NULL);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (;;) {
		int connection;

		if (ppoll(&readable, 1, NULL, &none) < 0)
			die("ppoll");
		connection = accept(fd, NULL, NULL);
		if (connection >= 0)
			answer(connection, text);
		else if (errno != EAGAIN)
			die("accept");
	}
}

#endif
