// SPDX-License-Identifier: BSD-2-Clause
// unshare(2), identity maps, and lo's addresses by rtnetlink(7).
#include "cli/run/isolate.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/cleanup.h"

static int write_file(const char *path, const char *text, struct err *err)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return err_errno(err, -errno, "writing %s", path);
	return 0;
}

static int map_ids(uid_t uid, gid_t gid, struct err *err)
{
	char line[64];
	int result = write_file("/proc/self/setgroups", "deny", err);

	snprintf(line, sizeof(line), "%u %u 1", (unsigned)uid, (unsigned)uid);
	if (!result)
		result = write_file("/proc/self/uid_map", line, err);
	snprintf(line, sizeof(line), "%u %u 1", (unsigned)gid, (unsigned)gid);
	if (!result)
		result = write_file("/proc/self/gid_map", line, err);
	return result;
}

static int unshare_network(struct err *err)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (!unshare(CLONE_NEWNET))
		return 0;
	if (errno != EPERM)
		return err_errno(err, -errno, "making a network namespace");
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return err_errno(err, -errno,
			"making a user namespace for --isolate (run as root, or allow user namespaces: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone; in a chroot there are none)");
	return map_ids(uid, gid, err);
}

static int raise_loopback(struct err *err)
{
	cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request))
		return err_errno(err, -errno, "bringing lo up");
	return 0;
}

/* Sends one RTM_NEWADDR and waits for the kernel's word. */
static int add_isolate_address(int netlink, unsigned lo, const struct addr *addr)
{
	bool v4 = addr_is_v4(addr);
	struct {
		struct nlmsghdr header;
		struct ifaddrmsg message;
		struct rtattr attribute;
		uint8_t bytes[16];
	} request = {
		.header = {.nlmsg_type = RTM_NEWADDR,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE},
		.message = {.ifa_family = v4 ? AF_INET : AF_INET6,
			.ifa_prefixlen = v4 ? 32 : 128,
			.ifa_flags = v4 ? 0 : IFA_F_NODAD,
			.ifa_index = lo},
		.attribute = {.rta_len = (unsigned short)RTA_LENGTH(v4 ? 4 : 16),
			.rta_type = IFA_LOCAL},
	};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[512];
	} answer;

	memcpy(request.bytes, addr->bytes + (v4 ? 12 : 0), v4 ? 4 : 16);
	request.header.nlmsg_len =
		(uint32_t)(NLMSG_LENGTH(sizeof(request.message)) + RTA_LENGTH(v4 ? 4 : 16));
	if (send(netlink, &request, request.header.nlmsg_len, 0) < 0 ||
		recv(netlink, &answer, sizeof(answer), 0) <
			(ssize_t)NLMSG_LENGTH(sizeof(answer.error)))
		return -errno;
	return answer.header.nlmsg_type == NLMSG_ERROR && answer.error.error != -EEXIST
		       ? answer.error.error
		       : 0;
}

/* New namespaces are born without IPv6 where the kernel was booted with ipv6.disable_ipv6=1. */
static int enable_ipv6(void)
{
	cleanup_close int fd =
		open("/proc/sys/net/ipv6/conf/lo/disable_ipv6", O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, "0", 1) != 1 ? -errno : 0;
}

static int add_or_explain(int netlink, unsigned lo, const struct addr *addr, struct err *err)
{
	int result = add_isolate_address(netlink, lo, addr);
	char text[ADDR_TEXT_SIZE];

	if (result == -EACCES && !addr_is_v4(addr) && !enable_ipv6())
		result = add_isolate_address(netlink, lo, addr);
	if (!result)
		return 0;
	addr_format(addr, text);
	if (!addr_is_v4(addr) && (result == -EACCES || result == -EOPNOTSUPP))
		return err_set(err, result,
			"cannot put %s on the new namespace's lo: IPv6 is disabled on this machine; boot without ipv6.disable=1, or use --no-addresses",
			text);
	return err_errno(
		err, result, "putting %s on the new namespace's lo (see --no-addresses)", text);
}

int isolate_enter(const struct addr *addresses, size_t count, struct err *err)
{
	cleanup_close int netlink = -1;
	int result = unshare_network(err);

	if (!result)
		result = raise_loopback(err);
	if (result)
		return result;
	netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (netlink < 0)
		return err_errno(err, -errno, "netlink");
	for (size_t i = 0; i < count; i++) {
		if (addr_is_loopback(&addresses[i]) || addr_is_wildcard(&addresses[i]))
			continue;
		result = add_or_explain(netlink, if_nametoindex("lo"), &addresses[i], err);
		if (result)
			return result;
	}
	return 0;
}
