// SPDX-License-Identifier: BSD-2-Clause
// One question, and its answer in several messages.
#include "daemon/claims/queues.h"

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

static int ask(int fd, const struct addr_endpoint *bound, int domain, uint8_t protocol)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	} question = {
		.header = {.nlmsg_len = sizeof(question),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.request = {.sdiag_family = (uint8_t)domain,
			.sdiag_protocol = protocol,
			.idiag_states = protocol == IPPROTO_TCP
						? 1u << BPF_TCP_LISTEN
						: 1u << BPF_TCP_CLOSE | 1u << BPF_TCP_ESTABLISHED,
			.id.idiag_sport = htons(bound->port)},
	};

	return send(fd, &question, sizeof(question), 0) < 0 ? -errno : 0;
}

static bool is_there(
	const struct inet_diag_msg *message, const struct addr_endpoint *bound, int domain)
{
	struct addr_endpoint local = {.port = ntohs(message->id.idiag_sport)};

	if (message->idiag_family != domain)
		return false;
	if (domain == AF_INET) {
		local.addr.bytes[10] = local.addr.bytes[11] = 0xff;
		memcpy(local.addr.bytes + 12, message->id.idiag_src, 4);
	} else {
		memcpy(local.addr.bytes, message->id.idiag_src, sizeof(local.addr.bytes));
	}
	return local.port == bound->port && addr_equal(&local.addr, &bound->addr);
}

/* 1: there is more to come. */
static int read_answer(const void *answer, size_t size, const struct addr_endpoint *bound,
	int domain, struct queues *queues)
{
	const struct nlmsghdr *header = answer;

	for (; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size)) {
		const struct inet_diag_msg *message = NLMSG_DATA(header);

		if (header->nlmsg_type == NLMSG_DONE)
			return 0;
		if (header->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
		if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY || !is_there(message, bound, domain))
			continue;
		queues->sockets++;
		queues->waiting += message->idiag_rqueue;
	}
	return 1;
}

int queues_at(
	const struct addr_endpoint *bound, int domain, uint8_t protocol, struct queues *queues)
{
	cleanup_close int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	_Alignas(struct nlmsghdr) char answer[16384];
	struct queues found = {0};
	int result;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		return -errno;
	result = ask(fd, bound, domain, protocol);
	if (result)
		return result;
	do {
		ssize_t length = recv(fd, answer, sizeof(answer), 0);

		if (length < 0)
			return -errno;
		result = read_answer(answer, (size_t)length, bound, domain, &found);
	} while (result > 0);
	if (!result)
		*queues = found;
	return result;
}
