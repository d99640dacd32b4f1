// SPDX-License-Identifier: BSD-2-Clause
// v6only 0|1: binds :: with IPV6_V6ONLY as told.
#include "serve.h"

int main(int argc, char **argv)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0), only = argc > 1 && atoi(argv[1]);

	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
	if (bind_wildcard(fd, AF_INET6, PORT) || listen(fd, 16))
		die("bind");
	serve(fd, only ? "only" : "both");
}
