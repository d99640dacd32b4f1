// SPDX-License-Identifier: BSD-2-Clause
// Sets options before bind and answers with what they are afterwards.
#include <fcntl.h>
#include <netinet/tcp.h>

#include "serve.h"

static int get(int fd, int level, int name)
{
	int value = -1;
	socklen_t length = sizeof(value);

	getsockopt(fd, level, name, &value, &length);
	return value;
}

static void set(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)))
		die("setsockopt");
}

int main(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct linger linger = {.l_onoff = 1, .l_linger = 7}, got;
	socklen_t length = sizeof(got);
	char text[256];

	set(fd, SOL_SOCKET, SO_RCVBUF, 50000);
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	set(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
	set(fd, IPPROTO_TCP, TCP_FASTOPEN, 33);
	set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)))
		die("SO_LINGER");
	if (bind_wildcard(fd, AF_INET6, PORT) || listen(fd, 16))
		die("bind");
	getsockopt(fd, SOL_SOCKET, SO_LINGER, &got, &length);
	snprintf(text, sizeof(text),
		"rcvbuf %d sndbuf-locked %d keepalive %d nodelay %d keepidle %d defer %d fastopen %d pktinfo %d linger %d nonblock %d",
		get(fd, SOL_SOCKET, SO_RCVBUF), get(fd, SOL_SOCKET, 72) & 1,
		get(fd, SOL_SOCKET, SO_KEEPALIVE), get(fd, IPPROTO_TCP, TCP_NODELAY),
		get(fd, IPPROTO_TCP, TCP_KEEPIDLE), get(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT) > 0,
		get(fd, IPPROTO_TCP, TCP_FASTOPEN), get(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO),
		got.l_onoff ? got.l_linger : 0, !!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	fcntl(fd, F_SETFL, 0);
	serve(fd, text);
}
