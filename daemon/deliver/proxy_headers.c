// SPDX-License-Identifier: BSD-2-Clause
// Waits for PROXY headers, and puts their addresses in place of the connection's own.
#include "daemon/deliver/proxy_headers.h"

#include <stdlib.h>

#include "daemon/log.h"
#include "relay/proxy_accept.h"

/* Proxies that keep silent must not use up the daemon's descriptors. */
#define MOST_WAITING 1024

struct header {
	struct proxy_headers *headers;
	struct header *next, **link;
	struct proxy_accept *accept;
	struct accepted accepted; /* its fd is accept's meanwhile */
	proxy_headers_done *done;
	void *context;
};

static void remove_header(struct header *header)
{
	*header->link = header->next;
	if (header->next)
		header->next->link = header->link;
	header->headers->count--;
	free(header);
}

static void on_proxy_header(void *context, int fd, const struct addr_endpoint *source,
	const struct addr_endpoint *destination, const char *reason)
{
	struct header *header = context;
	struct accepted accepted = header->accepted;
	proxy_headers_done *done = header->done;
	void *done_context = header->context;
	char text[ADDR_TEXT_SIZE];

	remove_header(header);
	if (fd < 0) {
		log_debug("refused %s: %s", addr_endpoint_format(&accepted.remote, text), reason);
		return;
	}
	accepted.fd = fd;
	if (source) {
		accepted.local = *destination;
		accepted.remote = *source;
	}
	done(done_context, &accepted);
}

static int wait_for_header(struct proxy_headers *headers, struct event_base *base,
	uint32_t timeout_ms, const struct header *wanted)
{
	struct header *header = malloc(sizeof(*header));

	if (!header)
		return -1;
	*header = *wanted;
	if (proxy_accept_start(base, header->accepted.fd, timeout_ms, on_proxy_header, header,
		    &header->accept, NULL)) {
		free(header);
		return -1;
	}
	header->headers = headers;
	header->next = headers->first;
	header->link = &headers->first;
	if (header->next)
		header->next->link = &header->next;
	headers->first = header;
	headers->count++;
	return 0;
}

void proxy_headers_take(struct proxy_headers *headers, struct event_base *base,
	const struct config_service *service, struct accepted *accepted, proxy_headers_done *done,
	void *context)
{
	const struct relay_accept_proxy *proxy = service->accept_proxy;
	enum proxy_verdict verdict = proxy_verdict(proxy, &accepted->remote.addr);
	struct header wanted = {.accepted = *accepted, .done = done, .context = context};
	char text[ADDR_TEXT_SIZE];

	if (verdict == PROXY_PLAIN) {
		done(context, accepted);
		return;
	}
	if (verdict == PROXY_REFUSED)
		log_debug("refused %s: service '%s' takes connections from its proxies only",
			addr_endpoint_format(&accepted->remote, text), service->name);
	if (verdict == PROXY_REFUSED || wait_for_header(headers, base, proxy->timeout_ms, &wanted))
		accepted_refuse(accepted);
}

bool proxy_headers_full(const struct proxy_headers *headers)
{
	return headers->count >= MOST_WAITING;
}

void proxy_headers_save_in_flight(struct proxy_headers *headers, struct fdstore *fdstore)
{
	while (headers->first) {
		struct fdstore_connection connection = {.accepted = headers->first->accepted};

		connection.accepted.fd = proxy_accept_give_back(headers->first->accept);
		remove_header(headers->first);
		if (connection.accepted.fd >= 0)
			fdstore_put_connection(fdstore, &connection);
	}
}

void proxy_headers_fini(struct proxy_headers *headers)
{
	while (headers->first) {
		proxy_accept_stop(headers->first->accept);
		remove_header(headers->first);
	}
}
