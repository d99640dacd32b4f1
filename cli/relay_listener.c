// SPDX-License-Identifier: BSD-2-Clause
// Accepts or receives connections, takes their PROXY headers off, and gives them to the relay.
#include "cli/relay_listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/cleanup.h"
#include "relay/proxy_accept.h"
#include "relay/session.h"

#define BACKLOG	     4096
#define SAY_AGAIN_S  10	 /* that accept finds no descriptor */
#define BURST	     64	 /* connections in a row before others get their turn */
#define STARVED_MS   200 /* until accept is tried again that found no descriptor */
#define MOST_PENDING 256 /* connections that have not sent their PROXY header */

/* A connection whose PROXY header is awaited. */
struct pending {
	struct relay_listener *listener;
	struct pending *next, **link;
	struct proxy_accept *accept;
	bool addressed;
	struct addr_endpoint local, remote;
};

struct relay_listener {
	struct relay_listener_settings settings;
	int fd;
	struct event *readable, *again;
	struct pending *pending;
	unsigned pending_count;
	time_t say_starved; /* not before */
};

/* As a backend is written, but the wildcard is a place to listen at, though none to reach. */
static int parse_place(const char *text, struct addr_endpoint *out, struct err *err)
{
	bool v6 = !strncmp(text, "[::]:", 5), v4 = !strncmp(text, "0.0.0.0:", 8);
	struct relay_backend where;
	char reachable[64];

	snprintf(reachable, sizeof(reachable), "%s%s",
		v6   ? "[::1]:"
		: v4 ? "127.0.0.1:"
		     : "",
		v6   ? text + 5
		: v4 ? text + 8
		     : text);
	if (relay_backend_parse(reachable, &where, err) || where.target != RELAY_TO_ENDPOINT)
		return err_set(err, -EINVAL,
			"'%s' is no place to listen at; write 192.0.2.1:80, [2001:db8::1]:80 or [::]:80",
			text);
	*out = where.endpoint;
	if (v6)
		out->addr = (struct addr){0};
	else if (v4)
		memset(out->addr.bytes + 12, 0, 4);
	return 0;
}

int relay_listener_listen(const char *text, int *fd_out, struct err *err)
{
	struct sockaddr_storage address;
	struct addr_endpoint place;
	cleanup_close int fd = -1;
	int family, on = 1, off = 0;
	socklen_t length;

	if (parse_place(text, &place, err))
		return err->code;
	family = addr_family(&place.addr);
	fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(err, -errno, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	length = addr_to_sockaddr(&place, family, &address);
	if (bind(fd, (struct sockaddr *)&address, length) || listen(fd, BACKLOG))
		return err_errno(err, -errno, "cannot listen at %s", text);
	*fd_out = take_fd(&fd);
	return 0;
}

/* Removes a socket that nobody receives from. */
static int remove_relay_listener_stale(
	const char *path, const struct sockaddr_un *address, struct err *err)
{
	cleanup_close int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct stat file;

	if (lstat(path, &file))
		return 0;
	if (!S_ISSOCK(file.st_mode))
		return err_set(err, -EADDRINUSE,
			"%s exists and is no socket; remove it, or name another path", path);
	if (!connect(probe, (const struct sockaddr *)address, sizeof(*address)) ||
		errno != ECONNREFUSED)
		return err_set(err, -EADDRINUSE,
			"another program receives at %s; stop it, or name another path", path);
	return unlink(path) ? err_errno(err, -errno, "cannot remove %s", path) : 0;
}

int relay_listener_bind(const char *path, int *fd_out, struct err *err)
{
	cleanup_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;

	if (fd < 0)
		return err_errno(err, -errno, "socket");
	if (channel_address(path, "the path", &address, err) ||
		remove_relay_listener_stale(path, &address, err))
		return err->code;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)))
		return err_errno(err, -errno, "cannot bind %s", path);
	*fd_out = take_fd(&fd);
	return 0;
}

static bool is_relay_listener_full(const struct relay_listener *listener)
{
	return relay_full(listener->settings.relay) || listener->pending_count >= MOST_PENDING;
}

void relay_listener_resume(struct relay_listener *listener)
{
	if (listener->fd >= 0 && !is_relay_listener_full(listener))
		event_add(listener->readable, NULL);
}

static void pause_if_full(struct relay_listener *listener)
{
	if (is_relay_listener_full(listener))
		event_del(listener->readable);
}

static void on_relay_listener_header(void *context, int fd, const struct addr_endpoint *source,
	const struct addr_endpoint *destination, const char *reason)
{
	struct pending *pending = context;
	struct relay_listener *listener = pending->listener;
	char from[ADDR_TEXT_SIZE] = "a Unix socket", text[ERR_TEXT_SIZE];

	*pending->link = pending->next;
	if (pending->next)
		pending->next->link = pending->link;
	listener->pending_count--;
	if (fd < 0) {
		if (pending->addressed)
			addr_endpoint_format(&pending->remote, from);
		snprintf(text, sizeof(text), "refused %s: %s", from, reason);
		listener->settings.say(text);
	} else if (source) {
		relay_take(listener->settings.relay, fd, destination, source, NULL, 0);
	} else {
		relay_take(listener->settings.relay, fd,
			pending->addressed ? &pending->local : NULL,
			pending->addressed ? &pending->remote : NULL, NULL, 0);
	}
	free(pending);
	relay_listener_resume(listener);
	listener->settings.pending_ended(listener->settings.context);
}

/* Waits for the header; false if that cannot be. */
static bool expect_header(struct relay_listener *listener, int fd, const struct pending *known)
{
	struct pending *pending = malloc(sizeof(*pending));

	if (!pending)
		return false;
	*pending = *known;
	if (proxy_accept_start(event_get_base(listener->readable), fd,
		    listener->settings.proxy->timeout_ms, on_relay_listener_header, pending,
		    &pending->accept, NULL)) {
		free(pending);
		return false;
	}
	pending->listener = listener;
	pending->next = listener->pending;
	pending->link = &listener->pending;
	if (pending->next)
		pending->next->link = &pending->next;
	listener->pending = pending;
	listener->pending_count++;
	return true;
}

static bool own_addresses(int fd, struct addr_endpoint *local, struct addr_endpoint *remote)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &length) ||
		addr_from_sockaddr(&address, length, local))
		return false;
	length = sizeof(address);
	return !getpeername(fd, (struct sockaddr *)&address, &length) &&
	       !addr_from_sockaddr(&address, length, remote);
}

static void take_relay_listener(struct relay_listener *listener, int fd)
{
	const struct relay_accept_proxy *proxy = listener->settings.proxy;
	enum proxy_verdict verdict = PROXY_PLAIN;
	struct pending known = {0};
	char from[ADDR_TEXT_SIZE], text[ERR_TEXT_SIZE];

	if (proxy || relay_wants_addresses(listener->settings.relay))
		known.addressed = own_addresses(fd, &known.local, &known.remote);
	if (proxy)
		verdict = proxy_verdict(proxy, known.addressed ? &known.remote.addr : NULL);
	if (verdict == PROXY_PLAIN) {
		relay_take(listener->settings.relay, fd, known.addressed ? &known.local : NULL,
			known.addressed ? &known.remote : NULL, NULL, 0);
		return;
	}
	if (verdict == PROXY_EXPECTED && expect_header(listener, fd, &known))
		return;
	session_reset_socket(fd);
	if (verdict == PROXY_REFUSED) {
		snprintf(text, sizeof(text),
			"refused %s: connections with a PROXY header are accepted from elsewhere only",
			addr_endpoint_format(&known.remote, from));
		listener->settings.say(text);
	}
}

/* Waits until somebody has given back a descriptor: the listener stays readable all the while. */
static void starve_relay_listener(struct relay_listener *listener, int error)
{
	struct timeval later = {.tv_usec = STARVED_MS * 1000};
	char text[128];

	snprintf(text, sizeof(text), "accept: %s; connections wait", strerror(error));
	if (listener->say_starved <= time(NULL)) {
		listener->say_starved = time(NULL) + SAY_AGAIN_S;
		listener->settings.say(text);
	}
	event_del(listener->readable);
	event_add(listener->again, &later);
}

static void on_again(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	relay_listener_resume(context);
}

static void on_connection(evutil_socket_t socket, short what, void *context)
{
	struct relay_listener *listener = context;

	(void)what;
	for (int i = 0; i < BURST && !is_relay_listener_full(listener); i++) {
		int fd = accept4(socket, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			take_relay_listener(listener, fd);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			starve_relay_listener(listener, errno);
		if (fd < 0 && errno != ECONNABORTED && errno != EINTR)
			break;
	}
	pause_if_full(listener);
}

static int socket_option(int fd, int name)
{
	int value = -1;
	socklen_t length = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &length) ? -1 : value;
}

/* Why a descriptor is no connection to be relayed; NULL if it is one. */
static const char *unfit_relay_listener(int fd)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof(peer);

	if (fd < 0)
		return "a message without a descriptor";
	if (socket_option(fd, SO_TYPE) != SOCK_STREAM || socket_option(fd, SO_ACCEPTCONN) != 0)
		return "a message whose descriptor is not a stream connection";
	if (getpeername(fd, (struct sockaddr *)&peer, &length))
		return "a message whose socket is not connected";
	return NULL;
}

static void on_message(evutil_socket_t channel, short what, void *context)
{
	struct relay_listener *listener = context;

	(void)what;
	for (int i = 0; i < BURST && !is_relay_listener_full(listener); i++) {
		int fd = -1;
		char byte;
		ssize_t length = channel_receive(
			channel, &byte, sizeof(byte), &fd, MSG_DONTWAIT | MSG_TRUNC);
		const char *fault;

		if (length == -EAGAIN)
			break;
		fault = length == 1 ? unfit_relay_listener(fd)
				    : "a message that is not of one byte";
		if (fault) {
			listener->settings.say(fault);
			cleanup_close_fd(&fd);
			continue;
		}
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		relay_prepare(fd);
		take_relay_listener(listener, fd);
	}
	pause_if_full(listener);
}

int relay_listener_new(struct event_base *base, const struct relay_listener_settings *settings,
	int fd, struct relay_listener **out, struct err *err)
{
	bool listens = socket_option(fd, SO_ACCEPTCONN) == 1;
	cleanup_close int owned = fd;
	struct relay_listener *listener;

	if (!listens && (socket_option(fd, SO_DOMAIN) != AF_UNIX ||
				socket_option(fd, SO_TYPE) != SOCK_DGRAM))
		return err_set(err, -EINVAL,
			"descriptor %d is neither a listening socket nor a Unix datagram socket",
			fd);
	listener = calloc(1, sizeof(*listener));
	if (!listener)
		return err_errno(err, -ENOMEM, "starting");
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (listens)
		relay_prepare(fd);
	listener->settings = *settings;
	listener->fd = take_fd(&owned);
	listener->readable = event_new(
		base, fd, EV_READ | EV_PERSIST, listens ? on_connection : on_message, listener);
	listener->again = evtimer_new(base, on_again, listener);
	if (!listener->readable || !listener->again || event_add(listener->readable, NULL)) {
		relay_listener_free(listener);
		return err_errno(err, -ENOMEM, "starting");
	}
	*out = listener;
	return 0;
}

void relay_listener_close(struct relay_listener *listener)
{
	event_del(listener->readable);
	event_del(listener->again);
	cleanup_close_fd(&listener->fd);
}

unsigned relay_listener_pending(const struct relay_listener *listener)
{
	return listener->pending_count;
}

void relay_listener_free(struct relay_listener *listener)
{
	if (!listener)
		return;
	while (listener->pending) {
		struct pending *pending = listener->pending;

		listener->pending = pending->next;
		proxy_accept_stop(pending->accept);
		free(pending);
	}
	if (listener->readable)
		event_free(listener->readable);
	if (listener->again)
		event_free(listener->again);
	cleanup_close_fd(&listener->fd);
	free(listener);
}
