// SPDX-License-Identifier: BSD-2-Clause
// Serves a page over TCP and echoes datagrams on the same port: both PORT.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *text_of(const struct sockaddr_in6 *address, char *text)
{
	return inet_ntop(AF_INET6, &address->sin6_addr, text, INET6_ADDRSTRLEN);
}

static int open_socket(int type, in_port_t port)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(AF_INET6, type, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) ||
		(type == SOCK_STREAM && listen(fd, 512))) {
		perror("both");
		exit(1);
	}
	return fd;
}

static void serve(int listener)
{
	struct sockaddr_in6 peer = {0}, local = {0};
	socklen_t length = sizeof(peer);
	int fd = accept(listener, (struct sockaddr *)&peer, &length);
	char buffer[4096], client[INET6_ADDRSTRLEN], server[INET6_ADDRSTRLEN];

	if (fd < 0)
		return;
	length = sizeof(local);
	getsockname(fd, (struct sockaddr *)&local, &length);
	if (recv(fd, buffer, sizeof(buffer), 0) > 0)
		dprintf(fd, "HTTP/1.0 200 OK\r\n\r\nclient=%s server=%s\n", text_of(&peer, client),
			text_of(&local, server));
	close(fd);
}

static void echo(int fd)
{
	struct sockaddr_in6 peer = {0};
	socklen_t length = sizeof(peer);
	char buffer[4096], client[INET6_ADDRSTRLEN];
	ssize_t got = recvfrom(fd, buffer, 2048, 0, (struct sockaddr *)&peer, &length);

	if (got < 0)
		return;
	got += sprintf(buffer + got, "client=%s\n", text_of(&peer, client));
	sendto(fd, buffer, (size_t)got, 0, (struct sockaddr *)&peer, length);
}

int main(int argc, char **argv)
{
	in_port_t port = (in_port_t)atoi(argv[argc - 1]);
	struct pollfd sockets[] = {
		{.fd = open_socket(SOCK_STREAM, port), .events = POLLIN},
		{.fd = open_socket(SOCK_DGRAM, port), .events = POLLIN},
	};

	while (poll(sockets, 2, -1) > 0) {
		if (sockets[0].revents)
			serve(sockets[0].fd);
		if (sockets[1].revents)
			echo(sockets[1].fd);
	}
	return 1;
}
