// SPDX-License-Identifier: BSD-2-Clause
// Decides between the daemon's socket and the kernel's own bind. A bind that is claimed is never
// continued, and all decisions are about this process's copy of the address: the program cannot
// change its mind between the check and the use.
#include "cli/run/bind.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "cli/run/options.h"
#include "cli/run/replace.h"
#include "cli/run/target.h"
#include "cli/run/trace.h"
#include "common/cleanup.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* One bind while it is looked at. */
struct attempt {
	struct bind_context *context;
	const struct seccomp_notif *notification;
	struct target target;
	int own;     /* our copy of the program's socket */
	ino_t inode; /* of it */
	struct link_bind bind;
};

static void respond(struct bind_context *context, uint64_t id, int error, uint32_t flags)
{
	struct seccomp_notif_resp response = {.id = id, .error = error, .flags = flags};

	/* ENOENT: the thread was killed, or a signal took it out of bind, which it will repeat. */
	ioctl(context->notify_fd, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

/* Says a thing once: servers that cannot bind try again and again. */
static void say_once(struct bind_context *context, const char *text)
{
	char **list;

	for (size_t i = 0; i < context->warned_count; i++) {
		if (!strcmp(context->warned[i], text))
			return;
	}
	fprintf(stderr, "socketbox run: %s\n", text);
	list = reallocarray(context->warned, context->warned_count + 1, sizeof(*list));
	if (!list)
		return;
	context->warned = list;
	list[context->warned_count] = strdup(text);
	if (list[context->warned_count])
		context->warned_count++;
}

void bind_context_fini(struct bind_context *context)
{
	for (size_t i = 0; i < context->warned_count; i++)
		free(context->warned[i]);
	free(context->warned);
}

/* Reads the address that the program passed. False: it is none of ours. */
static bool read_address(struct attempt *attempt, struct addr_endpoint *endpoint, int *family)
{
	const __u64 *args = attempt->notification->data.args;
	struct sockaddr_storage address = {0};
	socklen_t length = (socklen_t)args[2];

	if (length > sizeof(address) || target_read(&attempt->target, args[1], &address, length))
		return false;
	/* The kernel takes this for AF_INET too (inet_bind, for programs of the BSD era). */
	if (address.ss_family == AF_UNSPEC && !((struct sockaddr_in *)&address)->sin_addr.s_addr)
		address.ss_family = AF_INET;
	*family = address.ss_family;
	return !addr_from_sockaddr(&address, length, endpoint);
}

/* Looks at the socket. False: it is not one that can be claimed. */
static bool read_socket(struct attempt *attempt, int family)
{
	int domain, type, protocol;
	struct stat file;

	attempt->own = target_get_fd(&attempt->target, (int)attempt->notification->data.args[0]);
	if (attempt->own < 0 || fstat(attempt->own, &file))
		return false;
	attempt->inode = file.st_ino;
	domain = options_get(attempt->own, SOL_SOCKET, SO_DOMAIN, 0);
	type = options_get(attempt->own, SOL_SOCKET, SO_TYPE, 0);
	protocol = options_get(attempt->own, SOL_SOCKET, SO_PROTOCOL, 0);
	if (domain != family ||
		!((type == SOCK_STREAM && (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP)) ||
			(type == SOCK_DGRAM && protocol == IPPROTO_UDP)))
		return false;
	attempt->bind.protocol = (uint32_t)protocol;
	attempt->bind.family = domain == AF_INET ? 4 : 6;
	attempt->bind.v6only =
		domain == AF_INET6 && options_get(attempt->own, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	attempt->bind.reuseport = options_get(attempt->own, SOL_SOCKET, SO_REUSEPORT, 0);
	return true;
}

/* Addresses that stay within the program's namespace, or mean nothing elsewhere. Port 0 on a
 * specific address is for an outgoing connection, which is a grant's matter. */
static bool is_local(const struct addr_endpoint *endpoint)
{
	const uint8_t *bytes = endpoint->addr.bytes;
	bool v4 = addr_is_v4(&endpoint->addr);
	bool link_local = v4 ? bytes[12] == 169 && bytes[13] == 254
			     : bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
	bool multicast = v4 ? (bytes[12] & 0xf0) == 0xe0 : bytes[0] == 0xff;

	return !endpoint->port || addr_is_loopback(&endpoint->addr) || link_local || multicast;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof(cookie);

	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length);
	return cookie;
}

static bool is_bound(int fd)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	struct addr_endpoint endpoint;

	return !getsockname(fd, (struct sockaddr *)&address, &length) &&
	       !addr_from_sockaddr(&address, length, &endpoint) && endpoint.port;
}

enum decision { CONTINUE, DONE, CLAIM };

static enum decision decide(struct attempt *attempt)
{
	const struct bind_context *context = attempt->context;
	int family;

	if (target_netns(&attempt->target) != context->netns ||
		!read_address(attempt, &attempt->bind.endpoint, &family) ||
		!read_socket(attempt, family))
		return CONTINUE;
	if (is_bound(attempt->own)) {
		/* Ours already: a signal made the kernel repeat the bind that we answered. */
		return context->link && link_knows(context->link, cookie_of(attempt->own),
						&attempt->bind)
			       ? DONE
			       : CONTINUE;
	}
	if (context->trace) {
		trace_note(context->trace, &attempt->target, &attempt->bind,
			!is_local(&attempt->bind.endpoint));
		return CONTINUE;
	}
	return is_local(&attempt->bind.endpoint) ? CONTINUE : CLAIM;
}

/* Claims the socket and puts it in place. The error is what bind(2) shall return. */
static int claim(struct attempt *attempt, struct err *err)
{
	struct bind_context *context = attempt->context;
	cleanup_close int socket = -1;
	int result = link_claim(context->link, &attempt->bind, &socket, err);

	if (result)
		return result;
	options_copy(attempt->own, socket);
	cleanup_close_fd(&attempt->own);
	return replace_socket(context->notify_fd, attempt->notification->id, &attempt->target,
		(int)attempt->notification->data.args[0], attempt->inode, socket, err);
}

static int carry_out(struct attempt *attempt, bool last)
{
	struct bind_context *context = attempt->context;
	uint64_t id = attempt->notification->id;
	struct err err;
	int result = claim(attempt, &err);

	if (result == -EPIPE && !last)
		return -EAGAIN;
	if (result == -EPIPE) {
		say_once(context, "socketboxd did not come back: bind fails with EADDRNOTAVAIL");
		result = -EADDRNOTAVAIL;
	} else if (result) {
		say_once(context, err.text);
	}
	if (result == -ENOENT)
		respond(context, id, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
	else
		respond(context, id, result, 0);
	return 0;
}

int bind_answer(struct bind_context *context, const struct seccomp_notif *notification, bool last)
{
	struct attempt attempt = {.context = context, .notification = notification, .own = -1};
	enum decision decision;
	int result = 0;

	if (target_open((pid_t)notification->pid, &attempt.target, NULL)) {
		respond(context, notification->id, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
		return 0;
	}
	decision = decide(&attempt);
	/* All that was read is of the thread that still waits, not of another that has its number
	 * now. */
	if (ioctl(context->notify_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &notification->id))
		decision = DONE;
	if (decision == CLAIM)
		result = carry_out(&attempt, last);
	else
		respond(context, notification->id, 0,
			decision == CONTINUE ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0);
	cleanup_close_fd(&attempt.own);
	target_fini(&attempt.target);
	return result;
}
