// SPDX-License-Identifier: BSD-2-Clause
// Binds that must stay the program's own, or fail as they do natively: prints one line for each.
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/un.h>

#include "serve.h"

static const char *outcome(int result)
{
	return result ? strerror(errno) : "ok";
}

/* Binds and says where the kernel has put the socket. */
static void try_v6(const char *name, const char *address, int port)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	char text[INET6_ADDRSTRLEN] = "";
	int fd = socket(AF_INET6, SOCK_STREAM, 0), result;
	socklen_t length = sizeof(v6);

	inet_pton(AF_INET6, address, &v6.sin6_addr);
	result = bind(fd, (struct sockaddr *)&v6, sizeof(v6));
	printf("%s: %s", name, outcome(result));
	getsockname(fd, (struct sockaddr *)&v6, &length);
	printf(" %s\n", inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text)));
	close(fd);
}

int main(void)
{
	struct sockaddr_nl netlink = {.nl_family = AF_NETLINK};
	struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0bind-kinds"};
	struct sockaddr_in old = {.sin_family = AF_UNSPEC, .sin_port = htons(PORT)};
	int fd;

	try_v6("loopback", "::1", PORT);
	try_v6("loopback v4", "::ffff:127.0.0.1", PORT);
	try_v6("port 0", "::", 0);
	try_v6("uncovered", "::", 9999);
	try_v6("uncovered again", "::", 9999);
	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	printf("netlink: %s\n", outcome(bind(fd, (struct sockaddr *)&netlink, sizeof(netlink))));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	printf("unix: %s\n", outcome(bind(fd, (struct sockaddr *)&name, sizeof(name))));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	printf("unspecified: %s\n", outcome(bind(fd, (struct sockaddr *)&old, sizeof(old))));
	printf("second bind: %s\n", outcome(bind_wildcard(fd, AF_INET, PORT + 1)));
	printf("siocgskns: %s\n", outcome(ioctl(fd, SIOCGSKNS) < 0));
	return 0;
}
