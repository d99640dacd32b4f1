// SPDX-License-Identifier: BSD-2-Clause
// send PORT PATH: accepts on 127.0.0.1 and hands each connection to the receiver at PATH.
//   cc send.c $(pkg-config --cflags --libs libsocketbox)
#include <arpa/inet.h>
#include <netinet/in.h>
#include <socketbox.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (argc != 3)
		return 2;
	address.sin_port = htons((unsigned short)atoi(argv[1]));
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) ||
		listen(listener, SOMAXCONN)) {
		perror("send");
		return 1;
	}
	for (;;) {
		int connection = accept(listener, NULL, NULL);
		int result;

		if (connection < 0)
			continue;
		/* While the receiver is busy, further clients wait in the backlog. */
		result = socketbox_send(argv[2], connection, 10000);
		if (result)
			fprintf(stderr, "send: %s: %s\n", argv[2], strerror(-result));
		close(connection);
	}
}
