// SPDX-License-Identifier: BSD-2-Clause
// Binds the same port in a network namespace of its own, where it must stay its own, and then in
// the one that it was started in.
#include <fcntl.h>
#include <sched.h>

#include "serve.h"

/* Says whether the socket is bound to the wildcard, as the kernel's own bind does, or elsewhere. */
static const char *where(int fd)
{
	struct sockaddr_in6 address;
	socklen_t length = sizeof(address);

	getsockname(fd, (struct sockaddr *)&address, &length);
	return IN6_IS_ADDR_UNSPECIFIED(&address.sin6_addr) ? "own" : "claimed";
}

int main(void)
{
	int home = open("/proc/self/ns/net", O_RDONLY), inner, outer;
	char text[64];

	if (unshare(CLONE_NEWNET))
		die("unshare");
	inner = socket(AF_INET6, SOCK_STREAM, 0);
	if (bind_wildcard(inner, AF_INET6, PORT) || setns(home, CLONE_NEWNET))
		die("inner");
	outer = socket(AF_INET6, SOCK_STREAM, 0);
	if (bind_wildcard(outer, AF_INET6, PORT) || listen(outer, 16))
		die("outer");
	snprintf(text, sizeof(text), "inner %s outer %s", where(inner), where(outer));
	serve(outer, text);
}
