// SPDX-License-Identifier: BSD-2-Clause
// Asks for the route to an address.
#include "relay/own_address.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <string.h>

#include "common/cleanup.h"

struct request {
	struct nlmsghdr header;
	struct rtmsg route;
	struct rtattr attribute;
	uint8_t address[16];
};

union answer {
	struct nlmsghdr header;
	uint8_t space[4096];
};

static int read_own_address_answer(const union answer *answer, ssize_t length)
{
	const struct nlmsgerr *error = NLMSG_DATA(&answer->header);
	const struct rtmsg *route = NLMSG_DATA(&answer->header);

	if (length < (ssize_t)NLMSG_LENGTH(sizeof(*route)))
		return -EPROTO;
	if (answer->header.nlmsg_type == NLMSG_ERROR)
		return length < (ssize_t)NLMSG_LENGTH(sizeof(*error)) || !error->error
			       ? -EPROTO
			       : error->error;
	if (answer->header.nlmsg_type != RTM_NEWROUTE)
		return -EPROTO;
	return route->rtm_type != RTN_UNICAST;
}

int own_address_is(const struct addr *addr)
{
	cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct request request = {0};
	size_t size = addr_is_v4(addr) ? 4 : 16;
	union answer answer;
	ssize_t length;

	if (fd < 0)
		return -errno;
	request.header.nlmsg_len = (uint32_t)(offsetof(struct request, address) + size);
	request.header.nlmsg_type = RTM_GETROUTE;
	request.header.nlmsg_flags = NLM_F_REQUEST;
	request.route.rtm_family = (uint8_t)addr_family(addr);
	request.route.rtm_dst_len = (uint8_t)(size * 8);
	request.attribute.rta_type = RTA_DST;
	request.attribute.rta_len = (uint16_t)RTA_LENGTH(size);
	memcpy(request.address, addr->bytes + 16 - size, size);
	if (send(fd, &request, request.header.nlmsg_len, 0) < 0)
		return -errno;
	/* The kernel has answered when send returns. */
	length = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT);
	return length < 0 ? -errno : read_own_address_answer(&answer, length);
}
