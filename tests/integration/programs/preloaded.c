// SPDX-License-Identifier: BSD-2-Clause
// What programs do to their listeners, to be run with libsocketbox-preload.so: binds ADDRESS PORT,
// does what MODE says, and prints what it saw.
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>

#include "common/addr.h"
#include "serve.h"

static struct sockaddr_storage address;
static socklen_t address_length;

static int open_listener(int flags)
{
	int fd = socket(address.ss_family, SOCK_STREAM | flags, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	errno = 0;
	if (bind(fd, (struct sockaddr *)&address, address_length))
		die("bind");
	if (listen(fd, 16))
		die("listen");
	if (errno)
		die("errno after success");
	puts("ready");
	fflush(stdout);
	return fd;
}

static const char *text_of(const struct sockaddr_storage *from, socklen_t length, char *text)
{
	struct addr_endpoint endpoint;

	if (addr_from_sockaddr(from, length, &endpoint))
		return "none";
	return addr_endpoint_format(&endpoint, text);
}

/* Accepts one connection and tells its client who it is. */
static void serve_one(int fd, const char *word)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof(peer);
	char text[ADDR_TEXT_SIZE], reply[256];
	int connection = accept(fd, (struct sockaddr *)&peer, &length);

	if (connection < 0)
		die("accept");
	snprintf(reply, sizeof(reply), "%s %s", word, text_of(&peer, length, text));
	answer(connection, reply);
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t length = sizeof(value);

	return getsockopt(fd, level, name, &value, &length) ? -errno : value;
}

static void set(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)))
		printf("setsockopt %d %d: %s\n", level, name, strerror(errno));
}

static void describe(int fd)
{
	struct sockaddr_storage name = {0}, peer;
	socklen_t length = sizeof(name), short_length = 8;
	struct tcp_info info = {0};
	socklen_t info_length = sizeof(info);
	char text[ADDR_TEXT_SIZE];

	if (getsockname(fd, (struct sockaddr *)&name, &length))
		die("getsockname");
	printf("name %s length %d\n", text_of(&name, length, text), (int)length);
	memset(&name, 0, sizeof(name));
	getsockname(fd, (struct sockaddr *)&name, &short_length);
	printf("short: told %d, family %d\n", (int)short_length, name.ss_family);
	printf("domain %d type %d protocol %d accepts %d error %d reuse %d\n",
		option(fd, SOL_SOCKET, SO_DOMAIN), option(fd, SOL_SOCKET, SO_TYPE),
		option(fd, SOL_SOCKET, SO_PROTOCOL), option(fd, SOL_SOCKET, SO_ACCEPTCONN),
		option(fd, SOL_SOCKET, SO_ERROR), option(fd, SOL_SOCKET, SO_REUSEADDR));
	length = sizeof(peer);
	printf("peer %s\n",
		getpeername(fd, (struct sockaddr *)&peer, &length) ? strerror(errno) : "some");
	printf("nodelay %d defer %d maxseg %d\n", option(fd, IPPROTO_TCP, TCP_NODELAY),
		option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), option(fd, IPPROTO_TCP, TCP_MAXSEG));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &info_length))
		die("TCP_INFO");
	printf("info %d state %d\n", (int)info_length > 0, info.tcpi_state);
	printf("again %s\n",
		bind(fd, (struct sockaddr *)&address, address_length) ? strerror(errno) : "bound");
}

static int do_describe(void)
{
	int fd = open_listener(0);

	describe(fd);
	return 0;
}

/* Options before and after bind are those of the connection. */
static int do_options(void)
{
	int fd = socket(address.ss_family, SOCK_STREAM, 0), connection;

	set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	set(fd, SOL_SOCKET, SO_RCVBUF, 60000);
	if (bind(fd, (struct sockaddr *)&address, address_length) || listen(fd, 1))
		die("bind");
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 3);
	set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 4242);
	set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 4243);
	set(fd, IPPROTO_TCP, TCP_KEEPINTVL, -5);
	if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4))
		puts("no reno");
	set(fd, SOL_SOCKET, SO_LOCK_FILTER, 1);
	printf("listener: nodelay %d defer %d timeout %d keepalive %d idle %d\n",
		option(fd, IPPROTO_TCP, TCP_NODELAY), option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT) > 0,
		option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), option(fd, SOL_SOCKET, SO_KEEPALIVE),
		option(fd, IPPROTO_TCP, TCP_KEEPIDLE));
	puts("ready");
	fflush(stdout);
	connection = accept(fd, NULL, NULL);
	char congestion[16] = "";
	socklen_t length = sizeof(congestion);

	getsockopt(connection, IPPROTO_TCP, TCP_CONGESTION, congestion, &length);
	printf("connection: nodelay %d timeout %d keepalive %d idle %d rcvbuf %d %s\n",
		option(connection, IPPROTO_TCP, TCP_NODELAY),
		option(connection, IPPROTO_TCP, TCP_USER_TIMEOUT),
		option(connection, SOL_SOCKET, SO_KEEPALIVE),
		option(connection, IPPROTO_TCP, TCP_KEEPIDLE),
		option(connection, SOL_SOCKET, SO_RCVBUF), congestion);
	answer(connection, "served");
	return 0;
}

static int do_dup(void)
{
	int fd = open_listener(0), copy = dup(fd), high = fcntl(fd, F_DUPFD_CLOEXEC, 50);

	close(fd);
	serve_one(copy, "dup");
	dup2(high, fd);
	close(copy);
	close(high);
	serve_one(fd, "dup2");
	return 0;
}

static int do_fork(void)
{
	int fd = open_listener(0);

	for (int i = 0; i < 3; i++) {
		if (fork())
			continue;
		serve_one(fd, "worker");
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
	describe(fd);
	return 0;
}

static void *thread_main(void *argument)
{
	for (int i = 0; i < 25; i++)
		serve_one(*(int *)argument, "thread");
	return NULL;
}

static int do_threads(void)
{
	int fd = open_listener(0);
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, thread_main, &fd);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

/* A second program takes the listener as descriptor 3, as after an upgrade. */
static int do_exec(void)
{
	int fd = open_listener(0);

	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	dup2(fd, 3);
	execl("/proc/self/exe", "preloaded", "inherited", "::", "1", NULL);
	die("exec");
	return 1;
}

static int do_inherited(void)
{
	describe(3);
	fflush(stdout);
	serve_one(3, "inherited");
	return 0;
}

/* Nothing waits: EAGAIN. Then three ways of waiting. */
static int do_wait(void)
{
	int fd = open_listener(SOCK_NONBLOCK | SOCK_CLOEXEC), epoll = epoll_create1(0), connection;
	struct epoll_event event = {.events = EPOLLIN}, got;
	struct pollfd poller = {.fd = fd, .events = POLLIN};
	fd_set set_of;

	printf("flags %d %d\n", !!(fcntl(fd, F_GETFL) & O_NONBLOCK), fcntl(fd, F_GETFD));
	printf("empty: %s\n", accept(fd, NULL, NULL) < 0 ? strerror(errno) : "accepted");
	puts("ready");
	fflush(stdout);
	printf("poll %d\n", poll(&poller, 1, 10000));
	serve_one(fd, "poll");
	FD_ZERO(&set_of);
	FD_SET(fd, &set_of);
	printf("select %d\n", select(fd + 1, &set_of, NULL, NULL, NULL));
	serve_one(fd, "select");
	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	printf("epoll %d\n", epoll_wait(epoll, &got, 1, 10000));
	connection = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	printf("accept4: nonblock %d cloexec %d\n", !!(fcntl(connection, F_GETFL) & O_NONBLOCK),
		fcntl(connection, F_GETFD));
	fcntl(connection, F_SETFL, 0);
	answer(connection, "epoll");
	poll(&poller, 1, 10000);
	connection = accept(fd, NULL, NULL);
	printf("accept: nonblock %d cloexec %d\n", !!(fcntl(connection, F_GETFL) & O_NONBLOCK),
		fcntl(connection, F_GETFD));
	answer(connection, "plain");
	return 0;
}

static void on_alarm(int number)
{
	(void)number;
}

/* Signals, wrong arguments, short buffers, the socket's own timeout. */
static int do_odd(void)
{
	int fd = open_listener(0), connection;
	struct sigaction action = {.sa_handler = on_alarm};
	struct timeval soon = {.tv_usec = 50000}, never = {0};
	struct sockaddr_in6 peer;
	socklen_t length = 4;

	sigaction(SIGALRM, &action, NULL);
	alarm(1);
	printf("signal: %s\n", accept(fd, NULL, NULL) < 0 ? strerror(errno) : "accepted");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	printf("timeout: %s\n", accept(fd, NULL, NULL) < 0 ? strerror(errno) : "accepted");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &never, sizeof(never));
	printf("flags: %s\n", accept4(fd, NULL, NULL, 0x123) < 0 ? strerror(errno) : "accepted");
	printf("no length: %s\n",
		accept(fd, (struct sockaddr *)&peer, NULL) < 0 ? strerror(errno) : "accepted");
	memset(&peer, 0x55, sizeof(peer));
	puts("ready");
	fflush(stdout);
	connection = accept(fd, (struct sockaddr *)&peer, &length);
	printf("short: told %d, family %d, beyond %x\n", (int)length, peer.sin6_family,
		(unsigned)((unsigned char *)&peer)[4]);
	answer(connection, "short");
	printf("shutdown %d\n", shutdown(fd, SHUT_RDWR));
	printf("after: %s\n", accept(fd, NULL, NULL) < 0 ? strerror(errno) : "accepted");
	return 0;
}

/* Accepts what comes, and says what is refused. */
static _Noreturn int do_every(void)
{
	int fd = open_listener(0);

	for (;;) {
		int connection = accept(fd, NULL, NULL);

		if (connection < 0)
			printf("refused: %s\n", strerror(errno));
		else
			answer(connection, "every");
		fflush(stdout);
	}
}

static const struct {
	const char *name;
	int (*run)(void);
} modes[] = {
	{"describe", do_describe},
	{"options", do_options},
	{"dup", do_dup},
	{"fork", do_fork},
	{"threads", do_threads},
	{"exec", do_exec},
	{"inherited", do_inherited},
	{"wait", do_wait},
	{"odd", do_odd},
	{"every", do_every},
};

int main(int argc, char **argv)
{
	struct addr_endpoint endpoint = {0};

	if (argc != 4 || addr_parse(argv[2], &endpoint.addr, NULL))
		return 2;
	endpoint.port = (uint16_t)atoi(argv[3]);
	address_length = addr_to_sockaddr(&endpoint, addr_family(&endpoint.addr), &address);
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		if (!strcmp(argv[1], modes[i].name))
			return modes[i].run();
	}
	return 2;
}
