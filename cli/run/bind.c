// SPDX-License-Identifier: BSD-2-Clause
// Decides between the daemon's socket and the kernel's own bind. A bind that is claimed is never
// continued, and all decisions are about this process's copy of the address: the program cannot
// change its mind between the check and the use.
#include "cli/run/bind.h"

#include <errno.h>
#include <linux/audit.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "cli/run/holders.h"
#include "cli/run/sockopt_copy.h"
#include "cli/run/swap.h"
#include "cli/run/trace.h"
#include "cli/run/tracee.h"
#include "common/cleanup.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define I386_SOCKETCALL 102

/* One bind while it is looked at. */
struct attempt {
	struct bind_context *context;
	const struct seccomp_notif *notification;
	struct tracee tracee;
	int fd;	     /* what the program binds */
	int own;     /* our copy of the program's socket */
	ino_t inode; /* of it */
	struct claim_client_bind bind;
};

static void respond_bind(struct bind_context *context, uint64_t id, int error, uint32_t flags)
{
	struct seccomp_notif_resp response = {.id = id, .error = error, .flags = flags};

	/* ENOENT: the thread was killed, or a signal took it out of bind, which it will repeat. */
	ioctl(context->notify_fd, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

/* What bind(2) was called with. */
struct arguments {
	int fd;
	uint64_t address;
	socklen_t length;
};

/* 32-bit programs of glibc and Go bind by socketcall(2), whose arguments are in memory. */
static int read_bind_arguments(const struct attempt *attempt, struct arguments *out)
{
	const struct seccomp_data *data = &attempt->notification->data;
	uint32_t words[3];
	int result;

	if (data->arch != AUDIT_ARCH_I386 || data->nr != I386_SOCKETCALL) {
		*out = (struct arguments){
			(int)data->args[0], data->args[1], (socklen_t)data->args[2]};
		return 0;
	}
	result = tracee_read(&attempt->tracee, data->args[1], words, sizeof(words));
	if (!result)
		*out = (struct arguments){(int)words[0], words[1], words[2]};
	return result;
}

/* Reads the address that the program passed. -EAFNOSUPPORT, -EINVAL: it is none of ours. */
static int read_bind_address(struct attempt *attempt, struct addr_endpoint *endpoint, int *family)
{
	struct sockaddr_storage address = {0};
	struct arguments arguments;
	int result = read_bind_arguments(attempt, &arguments);

	if (!result && arguments.length > sizeof(address))
		result = -EINVAL;
	if (!result)
		result = tracee_read(
			&attempt->tracee, arguments.address, &address, arguments.length);
	if (result)
		return result;
	attempt->fd = arguments.fd;
	/* The kernel takes this for AF_INET too (inet_bind, for programs of the BSD era). */
	if (address.ss_family == AF_UNSPEC && !((struct sockaddr_in *)&address)->sin_addr.s_addr)
		address.ss_family = AF_INET;
	*family = address.ss_family;
	return addr_from_sockaddr(&address, arguments.length, endpoint);
}

/* Looks at the socket. -ENOTSUP: it is not one that can be claimed. */
static int read_socket(struct attempt *attempt, int family)
{
	int domain, type, protocol;
	struct stat file;

	attempt->own = tracee_get_fd(&attempt->tracee, attempt->fd);
	if (attempt->own < 0)
		return attempt->own;
	if (fstat(attempt->own, &file))
		return -errno;
	attempt->inode = file.st_ino;
	domain = sockopt_get(attempt->own, SOL_SOCKET, SO_DOMAIN, 0);
	type = sockopt_get(attempt->own, SOL_SOCKET, SO_TYPE, 0);
	protocol = sockopt_get(attempt->own, SOL_SOCKET, SO_PROTOCOL, 0);
	if (domain != family ||
		!((type == SOCK_STREAM && (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP)) ||
			(type == SOCK_DGRAM && protocol == IPPROTO_UDP)))
		return -ENOTSUP;
	attempt->bind.protocol = (uint32_t)protocol;
	attempt->bind.family = domain == AF_INET ? 4 : 6;
	attempt->bind.v6only =
		domain == AF_INET6 && sockopt_get(attempt->own, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	attempt->bind.reuseport = sockopt_get(attempt->own, SOL_SOCKET, SO_REUSEPORT, 0);
	return 0;
}

/* Port 0 on a specific address: for a connection that goes out, or for one that a client is told to
 * make. No route says so, but a grant may. */
static bool is_for_a_grant(const struct addr_endpoint *endpoint)
{
	return !endpoint->port && !addr_is_wildcard(&endpoint->addr);
}

/* Addresses that stay within the program's namespace, or mean nothing elsewhere. */
static bool is_local(const struct addr_endpoint *endpoint)
{
	const uint8_t *bytes = endpoint->addr.bytes;
	bool v4 = addr_is_v4(&endpoint->addr);
	bool link_local = !v4 && bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
	bool multicast = v4 ? (bytes[12] & 0xf0) == 0xe0 : bytes[0] == 0xff;

	return addr_is_loopback(&endpoint->addr) || link_local || multicast ||
	       (!endpoint->port && !is_for_a_grant(endpoint));
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

/* Two UDP sockets of a program without SO_REUSEADDR cannot have one address. Programs that look for
 * a free port, such as TFTP servers for each transfer, count on it. (Two TCP sockets that listen
 * cannot either, but workers which each bind one are better served by sharing it.) */
static bool is_bind_taken(const struct attempt *attempt)
{
	int copy;

	if (attempt->bind.protocol != IPPROTO_UDP || attempt->bind.reuseport ||
		sockopt_get(attempt->own, SOL_SOCKET, SO_REUSEADDR, 0))
		return false;
	copy = claim_client_copy(attempt->context->client, &attempt->bind);
	return copy >= 0 && holders_any(copy);
}

enum decision { CONTINUE, DONE, CLAIM, TAKEN };

/* A bind that cannot be looked into stays the program's own, which is not what the user wanted. */
static void warn_unread(struct bind_context *context, const struct tracee *tracee, int result)
{
	char text[256], name[16];

	if (result != -EPERM && result != -EMFILE && result != -ENFILE && result != -ENOMEM)
		return;
	tracee_name(tracee, name);
	snprintf(text, sizeof(text), "a bind of %s was not claimed: %s%s", name, strerror(-result),
		result == -EPERM
			? ": this user may not look into the process (it is not dumpable, or runs as another user); start socketbox run as root"
			: "");
	warn_once(&context->warned, text);
}

static enum decision decide_bind(struct attempt *attempt)
{
	const struct bind_context *context = attempt->context;
	ino_t netns = 0;
	int family, result = tracee_netns(&attempt->tracee, &netns);

	if (!result && netns != context->netns)
		return CONTINUE;
	if (!result)
		result = read_bind_address(attempt, &attempt->bind.endpoint, &family);
	if (!result)
		result = read_socket(attempt, family);
	if (result) {
		warn_unread(attempt->context, &attempt->tracee, result);
		return CONTINUE;
	}
	if (is_bound(attempt->own)) {
		/* Ours already: a signal made the kernel repeat the bind that we answered. */
		return context->client && claim_client_was_issued(context->client,
						  cookie_of(attempt->own), &attempt->bind)
			       ? DONE
			       : CONTINUE;
	}
	if (context->trace) {
		trace_note(context->trace, &attempt->tracee, &attempt->bind,
			is_local(&attempt->bind.endpoint));
		return CONTINUE;
	}
	/* What has no grant does not wait for a daemon that is away. */
	if (is_local(&attempt->bind.endpoint) ||
		(is_for_a_grant(&attempt->bind.endpoint) && context->client->fd < 0 &&
			context->client->ungranted))
		return CONTINUE;
	return is_bind_taken(attempt) ? TAKEN : CLAIM;
}

/* Claims the socket and puts it in place. The error is what bind(2) shall return. */
static int claim_bind(struct attempt *attempt, struct err *err)
{
	struct bind_context *context = attempt->context;
	cleanup_close int socket = -1;
	bool granted = false;
	int result = claim_client_claim(context->client, &attempt->bind, &socket, &granted, err);

	if (result)
		return result;
	sockopt_copy(attempt->own, socket);
	/* Or the next could not be bound to the port until the last connection is forgotten. */
	if (granted && attempt->bind.protocol != IPPROTO_UDP)
		setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	cleanup_close_fd(&attempt->own);
	return swap_socket(context->notify_fd, attempt->notification->id, &attempt->tracee,
		attempt->fd, attempt->inode, socket, err);
}

/* Prints the daemon's refusal. A server that picks ports at random is told once per address. */
static void say_bind_refused(struct attempt *attempt, int result, const char *text)
{
	const struct addr_endpoint *endpoint = &attempt->bind.endpoint;
	char key[ADDR_TEXT_SIZE + 16], address[ADDR_TEXT_SIZE];

	if ((result != -ENOENT && result != -EADDRINUSE) || addr_is_wildcard(&endpoint->addr) ||
		(endpoint->port && endpoint->port < 1024)) {
		warn_once(&attempt->context->warned, text);
		return;
	}
	snprintf(key, sizeof(key), "%s %s%s %d",
		attempt->bind.protocol == IPPROTO_UDP ? "udp" : "tcp",
		addr_format(&endpoint->addr, address), endpoint->port ? "" : " 0", -result);
	warn_once_about(&attempt->context->warned, key, text);
}

/* False once a signal has interrupted the call, or has ended the thread. */
static bool still_waits(const struct attempt *attempt)
{
	return !ioctl(attempt->context->notify_fd, SECCOMP_IOCTL_NOTIF_ID_VALID,
		&attempt->notification->id);
}

static int carry_bind_out(struct attempt *attempt, bool last)
{
	struct bind_context *context = attempt->context;
	uint64_t id = attempt->notification->id;
	struct err err;
	int result = claim_bind(attempt, &err);

	if (result == -EPIPE && !last)
		return -EAGAIN;
	/* An interrupted call comes again. */
	if (result && !still_waits(attempt))
		return 0;
	if (result == -EPIPE) {
		warn_once(&context->warned,
			"socketboxd did not come back: bind fails with EADDRNOTAVAIL");
		result = -EADDRNOTAVAIL;
	} else if (result) {
		say_bind_refused(attempt, result, err.text);
	}
	if (result == -ENOENT)
		respond_bind(context, id, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
	else
		respond_bind(context, id, result, 0);
	return 0;
}

int bind_answer(struct bind_context *context, const struct seccomp_notif *notification, bool last)
{
	struct attempt attempt = {.context = context, .notification = notification, .own = -1};
	enum decision decision;
	int result = 0;

	result = tracee_open((pid_t)notification->pid, &attempt.tracee, NULL);
	if (result) {
		warn_unread(context, &(struct tracee){.thread = (pid_t)notification->pid}, result);
		respond_bind(context, notification->id, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
		return 0;
	}
	decision = decide_bind(&attempt);
	/* All that was read is of the thread that still waits, not of another that has its number
	 * now. */
	if (!still_waits(&attempt))
		decision = DONE;
	if (decision == CLAIM)
		result = carry_bind_out(&attempt, last);
	else if (decision == TAKEN)
		respond_bind(context, notification->id, -EADDRINUSE, 0);
	else
		respond_bind(context, notification->id, 0,
			decision == CONTINUE ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0);
	cleanup_close_fd(&attempt.own);
	tracee_fini(&attempt.tracee);
	return result;
}
