// SPDX-License-Identifier: BSD-2-Clause
// A receiver of handed connections, as the original Socketbox's: binds a Unix datagram socket,
// takes one connection from each message, and answers it with both addresses as it sees them.
//   receiver [--rename] PATH [TEXT]     --rename: binds beside PATH and moves the socket there
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/addr.h"
#include "common/channel.h"
#include "common/cleanup.h"

#define CLIENT_PATIENCE_MS 5000

static int bind_at(const char *path, bool moves)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	char beside[sizeof(address.sun_path)];
	struct err err;

	snprintf(beside, sizeof(beside), "%s%s", path, moves ? ".new" : "");
	unlink(beside);
	if (fd < 0 || channel_address(beside, "the path", &address, &err) ||
		bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
		(moves && rename(beside, path)))
		return -1;
	return fd;
}

/* The address as text, and whether it is an IPv4 one on an AF_INET6 socket. */
static void describe(int fd, bool peer, char *out, size_t size)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	struct addr_endpoint endpoint;
	char text[ADDR_TEXT_SIZE];
	bool mapped;

	if (peer ? getpeername(fd, (struct sockaddr *)&address, &length)
		 : getsockname(fd, (struct sockaddr *)&address, &length))
		return;
	if (addr_from_sockaddr(&address, length, &endpoint))
		return;
	mapped = address.ss_family == AF_INET6 && addr_is_v4(&endpoint.addr);
	snprintf(out, size, "%s%s", mapped ? "::ffff:" : "", addr_format(&endpoint.addr, text));
}

static void answer(int fd, const char *text)
{
	char request[4096], client[128] = "?", server[128] = "?";
	struct pollfd readable = {.fd = fd, .events = POLLIN};

	if (poll(&readable, 1, CLIENT_PATIENCE_MS) != 1 || read(fd, request, sizeof(request)) <= 0)
		return;
	describe(fd, true, client, sizeof(client));
	describe(fd, false, server, sizeof(server));
	dprintf(fd, "HTTP/1.0 200 OK\r\n\r\nclient=%s server=%s %s\n", client, server, text);
}

int main(int argc, char **argv)
{
	bool moves = argc > 1 && !strcmp(argv[1], "--rename");
	const char *path = argv[1 + moves], *text = argc > 2 + moves ? argv[2 + moves] : "";
	int socket = argc > 1 + moves ? bind_at(path, moves) : -1;

	if (socket < 0) {
		perror(argc > 1 + moves ? path : "usage: receiver [--rename] PATH [TEXT]");
		return 2;
	}
	for (;;) {
		cleanup_close int fd = -1;
		char message[16];
		ssize_t length = channel_receive(socket, message, sizeof(message), &fd, MSG_TRUNC);

		if (length < 0) {
			perror("receive");
			return 1;
		}
		if (length == 1 && fd >= 0)
			answer(fd, text);
		else
			fprintf(stderr, "a message of %zd bytes with descriptor %d\n", length, fd);
	}
}
