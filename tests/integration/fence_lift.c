// SPDX-License-Identifier: BSD-2-Clause
// fence_lift DIRECTORY: makes sockets inside of a fence in this run directory, lifts it for some,
// and tries them in a child that is where the daemon starts programs. Leaves no fence behind.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/engine.h"
#include "daemon/fence/fence.h"
#include "daemon/log.h"

enum { PLAIN, LIFTED, UDP, UDP_LIFTED, SOCKETS };

static struct sockaddr_in target = {.sin_family = AF_INET};

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static const char *text(int result)
{
	return result < 0 ? strerrorname_np(errno) : "ok";
}

static int make(int type, struct sockaddr_in *name)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(any);
	int fd = socket(AF_INET, type, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)))
		die("bind");
	if (name && getsockname(fd, (struct sockaddr *)name, &length))
		die("getsockname");
	return fd;
}

static int connect_it(int fd)
{
	return connect(fd, (struct sockaddr *)&target, sizeof(target));
}

static int rebind(int fd)
{
	struct sockaddr_in any = {.sin_family = AF_INET};

	return bind(fd, (struct sockaddr *)&any, sizeof(any));
}

static int send_it(int fd)
{
	return (int)sendto(fd, "x", 1, 0, (struct sockaddr *)&target, sizeof(target));
}

static void try_all(const int sockets[SOCKETS], const char *outside)
{
	char procs[PATH_MAX + 16];
	int own, fd;

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", outside);
	fd = open(procs, O_WRONLY);
	if (fd < 0 || write(fd, "0", 1) < 0)
		die(procs);
	printf("fenced: connect %s, ", text(connect_it(sockets[PLAIN])));
	printf("bind %s\n", text(rebind(sockets[PLAIN])));
	printf("lifted: connect %s, ", text(connect_it(sockets[LIFTED])));
	printf("bind %s\n", text(rebind(sockets[LIFTED])));
	own = socket(AF_INET, SOCK_STREAM, 0);
	printf("own: connect %s, ", text(connect_it(own)));
	printf("bind %s\n", text(rebind(socket(AF_INET, SOCK_STREAM, 0))));
	printf("udp: send %s\n", text(send_it(sockets[UDP])));
	printf("udp lifted: send %s\n", text(send_it(sockets[UDP_LIFTED])));
	fflush(stdout);
	_exit(0);
}

int main(int argc, char **argv)
{
	struct fence_facts facts;
	int sockets[SOCKETS], listener, status;
	struct fence *fence;
	struct err err;
	pid_t child;

	if (argc != 2)
		return 2;
	log_open(false);
	if (fence_open(argv[1], CONFIG_FENCE_REQUIRED, &fence, &facts, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	listener = make(SOCK_STREAM, &target);
	if (listen(listener, 8))
		die("listen");
	for (int i = 0; i < SOCKETS; i++)
		sockets[i] = make(i >= UDP ? SOCK_DGRAM : SOCK_STREAM, NULL);
	if (fence_lift(fence, sockets[LIFTED], &err) ||
		fence_lift(fence, sockets[UDP_LIFTED], &err))
		die(err.text);
	child = fork();
	if (!child)
		try_all(sockets, facts.outside);
	if (child < 0 || waitpid(child, &status, 0) < 0 || status)
		die("child");
	fence_close(fence);
	if (fence_open(argv[1], CONFIG_FENCE_OFF, &fence, &facts, &err) ||
		engine_remove(argv[1], &err))
		die(err.text);
	return 0;
}
