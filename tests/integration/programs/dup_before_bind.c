// SPDX-License-Identifier: BSD-2-Clause
// Binds one descriptor of a socket, and listens and accepts on another, which is close-on-exec.
#include <fcntl.h>

#include "serve.h"

int main(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 20);
	char text[64];

	if (bind_wildcard(fd, AF_INET6, PORT) || listen(copy, 16))
		die("bind");
	snprintf(text, sizeof(text), "cloexec %d %d", fcntl(fd, F_GETFD) & FD_CLOEXEC,
		fcntl(copy, F_GETFD) & FD_CLOEXEC);
	close(fd);
	serve(copy, text);
}
