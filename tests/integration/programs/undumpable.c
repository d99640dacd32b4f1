// SPDX-License-Identifier: BSD-2-Clause
// Forbids others of its user to look into it, as programs with keys in memory do, and then binds.
#include <sys/prctl.h>

#include "serve.h"

int main(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	printf("bind: %s\n", bind_wildcard(fd, AF_INET6, PORT) ? strerror(errno) : "ok");
	return 0;
}
