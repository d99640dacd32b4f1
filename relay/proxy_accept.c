// SPDX-License-Identifier: BSD-2-Clause
// Reads headers: peeks, and consumes what surely belongs to one.
#include "relay/proxy_accept.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>

#include "relay/session.h"

struct proxy_accept {
	int fd;
	struct event readable, expired;
	proxy_accepted *done;
	void *context;
	size_t length; /* bytes that were consumed */
	uint8_t data[PROXY_PARSED_MOST];
};

enum proxy_verdict proxy_verdict(const struct relay_accept_proxy *proxy, const struct addr *remote)
{
	if (!remote || relay_prefixes_contain(proxy->from, proxy->from_count, remote))
		return PROXY_EXPECTED;
	return proxy->others_plain ? PROXY_PLAIN : PROXY_REFUSED;
}

static void finish_proxy_accept(
	struct proxy_accept *accept, const struct proxy_header *header, const char *reason)
{
	proxy_accepted *done = accept->done;
	void *context = accept->context;
	bool known = header && header->proxied;
	int fd = accept->fd;

	event_del(&accept->readable);
	event_del(&accept->expired);
	free(accept);
	if (!header) {
		session_reset_socket(fd);
		fd = -1;
	}
	done(context, fd, known ? &header->source : NULL, known ? &header->destination : NULL,
		reason);
}

void proxy_accept_stop(struct proxy_accept *accept)
{
	event_del(&accept->readable);
	event_del(&accept->expired);
	session_reset_socket(accept->fd);
	free(accept);
}

int proxy_accept_give_back(struct proxy_accept *accept)
{
	int fd = accept->fd;

	if (accept->length) {
		proxy_accept_stop(accept);
		return -1;
	}
	event_del(&accept->readable);
	event_del(&accept->expired);
	free(accept);
	return fd;
}

static void on_expired(evutil_socket_t fd, short what, void *context)
{
	struct proxy_accept *accept = context;

	(void)fd;
	(void)what;
	finish_proxy_accept(accept, NULL,
		accept->length ? "a PROXY header that did not come to its end in time"
			       : "no PROXY header came in time");
}

/* Takes bytes out of the socket that were peeked at. */
static bool consume_proxy_accept(struct proxy_accept *accept, size_t length)
{
	if (length && recv(accept->fd, accept->data + accept->length, length, MSG_DONTWAIT) !=
			      (ssize_t)length)
		return false;
	accept->length += length;
	return true;
}

static void on_proxy_accept_readable(evutil_socket_t fd, short what, void *context)
{
	struct proxy_accept *accept = context;
	struct proxy_header header;
	struct err err;
	ssize_t got, length;
	size_t needed;

	(void)what;
	/* There is always room: a header that would not fit is refused by its length. */
	got = recv(fd, accept->data + accept->length, sizeof(accept->data) - accept->length,
		MSG_PEEK | MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		finish_proxy_accept(accept, NULL, "closed before a PROXY header came");
		return;
	}
	length = proxy_parse(accept->data, accept->length + (size_t)got, &header, &needed, &err);
	if (length < 0)
		finish_proxy_accept(accept, NULL, err.text);
	else if (!consume_proxy_accept(
			 accept, length ? (size_t)length - accept->length : (size_t)got))
		finish_proxy_accept(accept, NULL, "closed before a PROXY header came");
	else if (length)
		finish_proxy_accept(accept, &header, NULL);
}

int proxy_accept_start(struct event_base *base, int fd, uint32_t timeout_ms, proxy_accepted *done,
	void *context, struct proxy_accept **out, struct err *err)
{
	struct proxy_accept *accept = calloc(1, sizeof(*accept));
	struct timeval timeout = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};

	if (!accept)
		return err_errno(err, -ENOMEM, "a new connection");
	accept->fd = fd;
	accept->done = done;
	accept->context = context;
	event_assign(&accept->readable, base, fd, EV_READ | EV_PERSIST, on_proxy_accept_readable,
		accept);
	evtimer_assign(&accept->expired, base, on_expired, accept);
	if (event_add(&accept->readable, NULL) || event_add(&accept->expired, &timeout)) {
		event_del(&accept->readable);
		free(accept);
		return err_errno(err, -ENOMEM, "a new connection");
	}
	*out = accept;
	return 0;
}
