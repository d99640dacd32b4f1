// SPDX-License-Identifier: BSD-2-Clause
// One question, and its answer in several messages.
#include "daemon/sock_diag.h"

#include <errno.h>
#include <linux/bpf.h> /* the states of TCP */
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"

/* The kernel answers at once. */
static const struct timeval patience = {.tv_sec = 5};

struct listing {
	int domain;
	uint16_t port;
	void (*each)(const struct sock_diag_socket *socket, void *context);
	void *context;
};

static int ask_sock_diag(int fd, const struct listing *listing, uint8_t protocol)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	} question = {
		.header = {.nlmsg_len = sizeof(question),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.request = {.sdiag_family = (uint8_t)listing->domain,
			.sdiag_protocol = protocol,
			.idiag_states = protocol == IPPROTO_TCP
						? 1u << BPF_TCP_LISTEN
						: 1u << BPF_TCP_CLOSE | 1u << BPF_TCP_ESTABLISHED,
			.id.idiag_sport = htons(listing->port)},
	};

	return send(fd, &question, sizeof(question), 0) < 0 ? -errno : 0;
}

static void show_sock_diag(const struct listing *listing, const struct inet_diag_msg *message)
{
	const uint32_t *cookie = message->id.idiag_cookie;
	struct sock_diag_socket socket = {
		.local.port = ntohs(message->id.idiag_sport),
		.cookie = (uint64_t)cookie[1] << 32 | cookie[0],
		.waiting = message->idiag_rqueue,
	};

	if (message->idiag_family != listing->domain ||
		(listing->port && socket.local.port != listing->port))
		return;
	if (listing->domain == AF_INET) {
		socket.local.addr.bytes[10] = socket.local.addr.bytes[11] = 0xff;
		memcpy(socket.local.addr.bytes + 12, message->id.idiag_src, 4);
	} else {
		memcpy(socket.local.addr.bytes, message->id.idiag_src,
			sizeof(socket.local.addr.bytes));
	}
	listing->each(&socket, listing->context);
}

/* 1: there is more to come. */
static int read_sock_diag_answer(const void *answer, size_t size, const struct listing *listing)
{
	const struct nlmsghdr *header = answer;

	for (; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size)) {
		if (header->nlmsg_type == NLMSG_DONE)
			return 0;
		if (header->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
		if (header->nlmsg_type == SOCK_DIAG_BY_FAMILY)
			show_sock_diag(listing, NLMSG_DATA(header));
	}
	return 1;
}

int sock_diag_each(int domain, uint8_t protocol, uint16_t port,
	void (*each)(const struct sock_diag_socket *socket, void *context), void *context)
{
	cleanup_close int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	const struct listing listing = {domain, port, each, context};
	_Alignas(struct nlmsghdr) char answer[16384];
	int result;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		return -errno;
	result = ask_sock_diag(fd, &listing, protocol);
	if (result)
		return result;
	do {
		ssize_t length = recv(fd, answer, sizeof(answer), 0);

		if (length < 0)
			return -errno;
		result = read_sock_diag_answer(answer, (size_t)length, &listing);
	} while (result > 0);
	return result;
}
