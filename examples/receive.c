// SPDX-License-Identifier: BSD-2-Clause
// receive PATH: answers HTTP requests on connections that are handed over at PATH.
//   cc receive.c $(pkg-config --cflags --libs libsocketbox)
#include <netdb.h>
#include <socketbox.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void answer(int connection)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof(peer);
	char host[NI_MAXHOST], request[4096], reply[NI_MAXHOST + 64];

	if (getpeername(connection, (struct sockaddr *)&peer, &length) ||
		getnameinfo((struct sockaddr *)&peer, length, host, sizeof(host), NULL, 0,
			NI_NUMERICHOST) ||
		read(connection, request, sizeof(request)) <= 0)
		return;
	snprintf(reply, sizeof(reply), "HTTP/1.0 200 OK\r\n\r\nhello %s\n", host);
	if (write(connection, reply, strlen(reply)) < 0)
		perror("write");
}

int main(int argc, char **argv)
{
	int receiver;

	if (argc != 2)
		return 2;
	receiver = socketbox_receiver_open(argv[1], 0660);
	if (receiver < 0) {
		fprintf(stderr, "receive: %s: %s\n", argv[1], strerror(-receiver));
		return 1;
	}
	for (;;) {
		int connection = socketbox_receive(receiver, 0);

		if (connection < 0) {
			/* One bad message is no reason to stop. */
			fprintf(stderr, "receive: %s\n", strerror(-connection));
			continue;
		}
		answer(connection);
		close(connection);
	}
}
