// SPDX-License-Identifier: BSD-2-Clause
// A hostile service: from an empty namespace it tries to get out through the sockets it is given.
//   escape accepted|listener|udp 4|6 ADDRESS PORT [PATH]
// With 6 and an IPv4 address the sockets are dual-stack ones. ADDRESS and PORT are a server of the
// host's that nobody has given it. Each line of its output is an attempt and what came of it: "ok",
// or an errno. accepted: one connection is used up by each attempt. PATH: a Unix socket outside to
// which one socket more is passed.
#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/un.h>

#include "serve.h"
#include "uring.h"

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

static int domain;
static sigset_t go;
static struct sockaddr_storage outside; /* in the socket's own family */
static socklen_t outside_length;
static struct sockaddr_storage heard; /* a client, by UDP */
static socklen_t heard_length;
static const char *pass_to;

static const char *result_text(int result)
{
	return result < 0 ? strerrorname_np(-result) : "ok";
}

static void set_outside(const char *address, int port)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&outside;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&outside;
	char mapped[64];

	memset(&outside, 0, sizeof(outside));
	outside.ss_family = (sa_family_t)domain;
	if (domain == AF_INET) {
		v4->sin_port = htons((uint16_t)port);
		outside_length = sizeof(*v4);
		if (inet_pton(AF_INET, address, &v4->sin_addr) != 1)
			die(address);
		return;
	}
	snprintf(mapped, sizeof(mapped), "%s%s", strchr(address, ':') ? "" : "::ffff:", address);
	v6->sin6_port = htons((uint16_t)port);
	outside_length = sizeof(*v6);
	if (inet_pton(AF_INET6, mapped, &v6->sin6_addr) != 1)
		die(mapped);
}

static int disconnect(int fd)
{
	struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

	return connect(fd, &nowhere, sizeof(nowhere)) ? -errno : 0;
}

/* Without a confinement it may be under way for long. */
static int connect_out(int fd)
{
	struct timeval patience = {.tv_sec = 1};

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	return connect(fd, (struct sockaddr *)&outside, outside_length) ? -errno : 0;
}

static int bind_out(int fd)
{
	int result = bind_wildcard(fd, domain, 7777);

	return result ? -errno : 0;
}

static int disconnect_connect(int fd)
{
	int result = disconnect(fd);

	return result ? result : connect_out(fd);
}

static int disconnect_bind(int fd)
{
	int result = disconnect(fd);

	return result ? result : bind_out(fd);
}

/* The test tries to reach the port that it names, and sends SIGUSR1 when it has. */
static int disconnect_listen(int fd)
{
	struct sockaddr_in6 name = {0};
	socklen_t length = sizeof(name);
	int result = disconnect(fd), signal;

	if (!result)
		result = listen(fd, 16) ? -errno : 0;
	if (result)
		return result;
	getsockname(fd, (struct sockaddr *)&name, &length);
	printf("listens %d\n", ntohs(name.sin6_port)); /* at the same place in both families */
	sigwait(&go, &signal);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	result = accept(fd, NULL, NULL);
	return result < 0 ? -errno : 0;
}

static int shutdown_connect(int fd)
{
	shutdown(fd, SHUT_RDWR);
	disconnect(fd);
	return connect_out(fd);
}

static int shutdown_bind(int fd)
{
	shutdown(fd, SHUT_RDWR);
	disconnect(fd);
	return bind_out(fd);
}

static int shutdown_listen(int fd)
{
	struct sockaddr_in6 before = {0}, after = {0};
	socklen_t length = sizeof(before);

	getsockname(fd, (struct sockaddr *)&before, &length);
	shutdown(fd, SHUT_RDWR);
	if (listen(fd, 16))
		return -errno;
	length = sizeof(after);
	getsockname(fd, (struct sockaddr *)&after, &length);
	return before.sin6_port == after.sin6_port ? 0 : -EADDRNOTAVAIL;
}

static int fast_open(int fd)
{
	int result = disconnect(fd);

	if (result)
		return result;
	return sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&outside, outside_length) < 0
		       ? -errno
		       : 0;
}

static int fast_open_connect(int fd)
{
	int result = disconnect(fd);

	if (!result && setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &(int){1}, sizeof(int)))
		result = -errno;
	if (!result)
		result = connect_out(fd);
	if (!result && send(fd, "x", 1, MSG_NOSIGNAL) < 0)
		result = -errno;
	return result;
}

static int uring_connect(int fd)
{
	disconnect(fd);
	return uring_do(IORING_OP_CONNECT, fd, &outside, outside_length);
}

static int uring_bind(int fd)
{
	struct sockaddr_in6 anywhere = {
		.sin6_family = (sa_family_t)domain, .sin6_port = htons(7778)};

	disconnect(fd);
	return uring_do(URING_BIND, fd, &anywhere,
		domain == AF_INET ? sizeof(struct sockaddr_in) : sizeof(anywhere));
}

/* Makes the connected socket an IPv4 one for the kernel, and disconnects it. */
static int become_v4(int fd, struct sockaddr_in *target)
{
	const struct sockaddr_in6 *mapped = (struct sockaddr_in6 *)&outside;

	if (domain == AF_INET)
		return -EAFNOSUPPORT;
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_ADDRFORM, &(int){AF_INET}, sizeof(int)))
		return -errno;
	*target = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = mapped->sin6_port};
	memcpy(&target->sin_addr, mapped->sin6_addr.s6_addr + 12, sizeof(target->sin_addr));
	return disconnect(fd);
}

static int change_family(int fd)
{
	struct sockaddr_in target;
	int result = become_v4(fd, &target);

	if (result)
		return result;
	return connect(fd, (struct sockaddr *)&target, sizeof(target)) ? -errno : 0;
}

static int other_interface(int fd)
{
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3))
		return -errno;
	return disconnect_connect(fd);
}

/* Takes an address of somebody else's. */
static int transparent_bind(int fd)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(7779)};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(7779)};

	setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &(int){1}, sizeof(int));
	setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &(int){1}, sizeof(int));
	setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &(int){1}, sizeof(int));
	disconnect(fd);
	inet_pton(AF_INET, "203.0.113.9", &v4.sin_addr);
	inet_pton(AF_INET6, "2001:db8:dead::9", &v6.sin6_addr);
	return bind(fd, domain == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
		       domain == AF_INET ? sizeof(v4) : sizeof(v6))
		       ? -errno
		       : 0;
}

static int take_namespace(int fd)
{
	int netns = ioctl(fd, SIOCGSKNS);

	if (netns < 0)
		return -errno;
	return setns(netns, CLONE_NEWNET) ? -errno : 0;
}

/* "ok": it has seen the host's interfaces. */
static int see_interfaces(int fd)
{
	struct ifreq list[16];
	struct ifconf request = {.ifc_len = sizeof(list), .ifc_req = list};

	if (ioctl(fd, SIOCGIFCONF, &request))
		return -errno;
	for (size_t i = 0; i < (size_t)request.ifc_len / sizeof(*list); i++) {
		if (strcmp(list[i].ifr_name, "lo") != 0)
			return 0;
	}
	return -ENODEV;
}

static int pass(int fd)
{
	struct sockaddr_un path = {.sun_family = AF_UNIX};
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec byte = {.iov_base = control, .iov_len = 1};
	struct msghdr message = {.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int channel = socket(AF_UNIX, SOCK_STREAM, 0);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(int));
	snprintf(path.sun_path, sizeof(path.sun_path), "%s", pass_to);
	if (connect(channel, (struct sockaddr *)&path, sizeof(path)) ||
		sendmsg(channel, &message, 0) < 0)
		return -errno;
	return recv(channel, &(char){0}, 1, 0) < 0 ? -errno : 0; /* until it has been tried */
}

static int send_out(int fd)
{
	return sendto(fd, "x", 1, 0, (struct sockaddr *)&outside, outside_length) < 0 ? -errno : 0;
}

static struct msghdr *message_out(struct sockaddr_storage *to)
{
	static char text[] = "x";
	static struct iovec byte = {.iov_base = text, .iov_len = 1};
	static struct msghdr message;

	message = (struct msghdr){
		.msg_name = to, .msg_namelen = outside_length, .msg_iov = &byte, .msg_iovlen = 1};
	return &message;
}

static int sendmsg_out(int fd)
{
	return sendmsg(fd, message_out(&outside), 0) < 0 ? -errno : 0;
}

static int sendmmsg_out(int fd)
{
	struct mmsghdr many = {.msg_hdr = *message_out(&outside)};

	return sendmmsg(fd, &many, 1, 0) < 0 ? -errno : 0;
}

static int uring_send(int fd)
{
	int result = uring_do(IORING_OP_SENDMSG, fd, message_out(&outside), 0);

	return result < 0 ? result : 0;
}

static int send_loopback(int fd)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	v4.sin_port = v6.sin6_port = ((struct sockaddr_in *)&outside)->sin_port;
	return sendto(fd, "x", 1, 0,
		       domain == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
		       domain == AF_INET ? sizeof(v4) : sizeof(v6)) < 0
		       ? -errno
		       : 0;
}

/* What a server does: answers whom it has heard, also connected, and lets go again. */
static int answer_heard(int fd)
{
	char packet[16];

	heard_length = sizeof(heard);
	if (recvfrom(fd, packet, sizeof(packet), 0, (struct sockaddr *)&heard, &heard_length) < 0 ||
		sendto(fd, "heard", 5, 0, (struct sockaddr *)&heard, heard_length) < 0 ||
		connect(fd, (struct sockaddr *)&heard, heard_length) || send(fd, "twice", 5, 0) < 0)
		return -errno;
	return disconnect(fd);
}

static int change_family_send(int fd)
{
	struct sockaddr_in target;
	int result = connect(fd, (struct sockaddr *)&heard, heard_length) ? -errno : 0;

	if (!result)
		result = become_v4(fd, &target);
	if (result)
		return result;
	return sendto(fd, "x", 1, 0, (struct sockaddr *)&target, sizeof(target)) < 0 ? -errno : 0;
}

struct attempt {
	const char *name;
	int (*make)(int fd);
};

static const struct attempt on_accepted[] = {
	{"connect", disconnect_connect},
	{"bind", disconnect_bind},
	{"listen", disconnect_listen},
	{"shutdown-connect", shutdown_connect},
	{"fast-open", fast_open},
	{"fast-open-connect", fast_open_connect},
	{"uring-connect", uring_connect},
	{"uring-bind", uring_bind},
	{"change-family", change_family},
	{"other-interface", other_interface},
	{"transparent-bind", transparent_bind},
	{"take-namespace", take_namespace},
	{"see-interfaces", see_interfaces},
	{"pass", pass},
};

static const struct attempt on_listener[] = {
	{"connect", connect_out},
	{"bind", bind_out},
	{"take-namespace", take_namespace},
	{"see-interfaces", see_interfaces},
	{"pass", pass},
	{"shutdown-listen", shutdown_listen},
	{"shutdown-connect", shutdown_connect},
	{"shutdown-bind", shutdown_bind},
	{"fast-open", fast_open},
	{"uring-connect", uring_connect},
	{"transparent-bind", transparent_bind},
};

static const struct attempt on_udp[] = {
	{"answer", answer_heard},
	{"send", send_out},
	{"sendmsg", sendmsg_out},
	{"sendmmsg", sendmmsg_out},
	{"uring-send", uring_send},
	{"send-loopback", send_loopback},
	{"connect", connect_out},
	{"disconnect-connect", disconnect_connect},
	{"uring-connect", uring_connect},
	{"bind", bind_out},
	{"other-interface", other_interface},
	{"transparent-bind", transparent_bind},
	{"take-namespace", take_namespace},
	{"see-interfaces", see_interfaces},
	{"pass", pass},
	{"change-family", change_family_send},
};

static void try_all(const struct attempt *attempts, size_t count, int fd, bool accepts)
{
	for (size_t i = 0; i < count; i++) {
		int use = accepts ? accept(fd, NULL, NULL) : fd;

		if (use < 0)
			die("accept");
		if (attempts[i].make == pass && !pass_to)
			continue;
		printf("%s %s\n", attempts[i].name, result_text(attempts[i].make(use)));
		if (accepts)
			close(use);
	}
}

#define TRY(attempts, fd, accepts) \
	try_all(attempts, sizeof(attempts) / sizeof(*(attempts)), fd, accepts)

int main(int argc, char **argv)
{
	bool udp;
	int fd;

	if (argc < 5)
		return 2;
	udp = !strcmp(argv[1], "udp");
	domain = argv[2][0] == '4' ? AF_INET : AF_INET6;
	pass_to = argv[5];
	sigemptyset(&go);
	sigaddset(&go, SIGUSR1);
	sigprocmask(SIG_BLOCK, &go, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	set_outside(argv[3], atoi(argv[4]));
	fd = socket(domain, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
	if (bind_wildcard(fd, domain, PORT) || (!udp && listen(fd, 64)))
		die("bind");
	printf("ready\n");
	if (udp)
		TRY(on_udp, fd, false);
	else if (!strcmp(argv[1], "accepted"))
		TRY(on_accepted, fd, true);
	else
		TRY(on_listener, fd, false);
	printf("done\n");
	return 0;
}
