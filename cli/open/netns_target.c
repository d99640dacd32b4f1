// SPDX-License-Identifier: BSD-2-Clause
// Finds namespaces by path, process or name, and enters them.
#include "cli/open/netns_target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "common/cleanup.h"

bool place_is_here(const struct netns_target *place)
{
	return !place->netns[0] && !place->anonymous;
}

/* Opens the namespace that the text names; kind is CLONE_NEWNET or CLONE_NEWUSER. */
static int open_namespace(const char *text, int kind, int *fd_out, struct err *err)
{
	const char *format = "/run/netns/%s", *what = kind == CLONE_NEWNET ? "network" : "user";
	char path[SOCKET_SPEC_NETNS_SIZE + 32];
	cleanup_close int fd = -1;

	if (strchr(text, '/'))
		format = "%s";
	else if (strspn(text, "0123456789") == strlen(text))
		format = kind == CLONE_NEWNET ? "/proc/%s/ns/net" : "/proc/%s/ns/user";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(path, sizeof(path), format, text);
#pragma GCC diagnostic pop
	/* It may be any file, even one that waits to be opened. */
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, -errno, "there is no %s namespace '%s' to enter: %s", what,
			text, path);
	if (ioctl(fd, NS_GET_NSTYPE) != kind)
		return err_set(err, -EINVAL, "%s is not a %s namespace", path, what);
	*fd_out = take_fd(&fd);
	return 0;
}

static bool is_own(int userns)
{
	struct stat own, other;

	return !stat("/proc/self/ns/user", &own) && !fstat(userns, &other) &&
	       own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

static int enter_userns(int userns, const char *text, struct err *err)
{
	if (is_own(userns)) /* which the kernel would refuse */
		return 0;
	/* Its processes would otherwise be free to look into this one, which knows the caller's
	 * memory and files. */
	if (prctl(PR_SET_DUMPABLE, 0))
		return err_errno(err, -errno, "prctl");
	if (setns(userns, CLONE_NEWUSER))
		return err_errno(err, -errno,
			"entering the user namespace of '%s' (its creator and root may)", text);
	return 0;
}

/* Enters the user namespace that the network namespace belongs to. */
static int enter_owner(int netns, const char *text, struct err *err)
{
	cleanup_close int userns = ioctl(netns, NS_GET_USERNS);

	if (userns < 0)
		return err_errno(err, -errno,
			"the user namespace that network namespace '%s' belongs to is out of reach",
			text);
	return enter_userns(userns, text, err);
}

static int enter_netns(const struct netns_target *place, struct err *err)
{
	cleanup_close int netns = -1;
	int result = open_namespace(place->netns, CLONE_NEWNET, &netns, err);

	if (!result && place->userns)
		result = enter_owner(netns, place->netns, err);
	if (result || !setns(netns, CLONE_NEWNET))
		return result;
	if (errno != EPERM || place->userns || enter_owner(netns, place->netns, NULL) ||
		setns(netns, CLONE_NEWNET))
		return err_errno(err, -errno,
			"entering network namespace '%s' (needs CAP_SYS_ADMIN, or to be the creator of its user namespace)",
			place->netns);
	return 0;
}

static int make_netns(const struct netns_target *place, struct err *err)
{
	int kind = place->netns_is_userns ? CLONE_NEWUSER : CLONE_NEWNET;
	cleanup_close int of = -1;
	int result = place->netns[0] ? open_namespace(place->netns, kind, &of, err) : 0;

	if (!result && of >= 0)
		result = place->netns_is_userns ? enter_userns(of, place->netns, err)
						: enter_owner(of, place->netns, err);
	if (result)
		return result;
	return unshare(CLONE_NEWNET) ? err_errno(err, -errno, "making a network namespace") : 0;
}

int place_enter(const struct netns_target *place, struct err *err)
{
	return place->anonymous ? make_netns(place, err) : enter_netns(place, err);
}
