// SPDX-License-Identifier: BSD-2-Clause
// claim SERVICE PORT: claims [::]:PORT for SERVICE, and goes on while the daemon restarts.
//   cc claim.c $(pkg-config --cflags --libs libsocketbox)
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <socketbox.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void answer(int connection, const struct sockaddr_storage *peer, socklen_t length)
{
	char host[NI_MAXHOST] = "", request[4096], reply[NI_MAXHOST + 64];

	getnameinfo(
		(const struct sockaddr *)peer, length, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
	snprintf(reply, sizeof(reply), "HTTP/1.0 200 OK\r\n\r\nhello %s\n", host);
	if (read(connection, request, sizeof(request)) <= 0 ||
		write(connection, reply, strlen(reply)) < 0)
		perror("claim");
	close(connection);
}

/* Serves; and when the daemon has gone, looks for it each second. */
static void serve(struct socketbox *box, int listener)
{
	for (;;) {
		struct pollfd fds[] = {
			{.fd = listener, .events = POLLIN},
			{.fd = socketbox_fd(box), .events = POLLIN},
		};
		struct sockaddr_storage peer;
		socklen_t length = sizeof(peer);
		int connection;

		poll(fds, 2, 1000);
		if (fds[1].fd < 0 || fds[1].revents) {
			if (socketbox_connect(box))
				fprintf(stderr, "claim: %s\n", socketbox_error(box));
			else
				fprintf(stderr, "claim: connected again\n");
		}
		if (!(fds[0].revents & POLLIN))
			continue;
		connection = accept(listener, (struct sockaddr *)&peer, &length);
		if (connection >= 0)
			answer(connection, &peer, length);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6};
	struct socketbox *box;
	int listener;

	if (argc != 3)
		return 2;
	address.sin6_port = htons((unsigned short)atoi(argv[2]));
	box = socketbox_new(argv[1], NULL);
	listener = box ? socketbox_connect(box) : -1;
	if (!listener)
		listener = socketbox_claim(
			box, SOCK_STREAM, (struct sockaddr *)&address, sizeof(address), 0);
	if (listener < 0) {
		fprintf(stderr, "claim: %s\n", box ? socketbox_error(box) : "no memory");
		socketbox_free(box);
		return 1;
	}
	serve(box, listener);
}
