// SPDX-License-Identifier: BSD-2-Clause
// Waits for PROXY headers, and puts their addresses in place of the connection's own.
#include "daemon/deliver/proxy_headers.h"

#include <stdlib.h>

#include "daemon/log.h"
#include "relay/proxy_accept.h"

/* Proxies that keep silent must not use up the daemon's descriptors. */
#define MOST_WAITING 1024

struct header {
	struct headers *headers;
	struct header *next, **link;
	struct proxy_accept *accept;
	struct arrival arrival; /* its fd is accept's meanwhile */
	headers_done *done;
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

static void on_header(void *context, int fd, const struct addr_endpoint *source,
	const struct addr_endpoint *destination, const char *reason)
{
	struct header *header = context;
	struct arrival arrival = header->arrival;
	headers_done *done = header->done;
	void *done_context = header->context;
	char text[ADDR_TEXT_SIZE];

	remove_header(header);
	if (fd < 0) {
		log_debug("refused %s: %s", addr_endpoint_format(&arrival.remote, text), reason);
		return;
	}
	arrival.fd = fd;
	if (source) {
		arrival.local = *destination;
		arrival.remote = *source;
	}
	done(done_context, &arrival);
}

static int wait_for_header(struct headers *headers, struct event_base *base, uint32_t timeout_ms,
	const struct header *wanted)
{
	struct header *header = malloc(sizeof(*header));

	if (!header)
		return -1;
	*header = *wanted;
	if (proxy_accept_start(base, header->arrival.fd, timeout_ms, on_header, header,
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

void headers_take(struct headers *headers, struct event_base *base,
	const struct config_service *service, struct arrival *arrival, headers_done *done,
	void *context)
{
	const struct relay_accept_proxy *proxy = service->accept_proxy;
	enum proxy_verdict verdict = proxy_verdict(proxy, &arrival->remote.addr);
	struct header wanted = {.arrival = *arrival, .done = done, .context = context};
	char text[ADDR_TEXT_SIZE];

	if (verdict == PROXY_PLAIN) {
		done(context, arrival);
		return;
	}
	if (verdict == PROXY_REFUSED)
		log_debug("refused %s: service '%s' takes connections from its proxies only",
			addr_endpoint_format(&arrival->remote, text), service->name);
	if (verdict == PROXY_REFUSED || wait_for_header(headers, base, proxy->timeout_ms, &wanted))
		arrival_refuse(arrival);
}

bool headers_full(const struct headers *headers)
{
	return headers->count >= MOST_WAITING;
}

void headers_keep(struct headers *headers, struct handover *handover)
{
	while (headers->first) {
		struct handover_connection connection = {.arrival = headers->first->arrival};

		connection.arrival.fd = proxy_accept_give_back(headers->first->accept);
		remove_header(headers->first);
		if (connection.arrival.fd >= 0)
			handover_give(handover, &connection);
	}
}

void headers_fini(struct headers *headers)
{
	while (headers->first) {
		proxy_accept_stop(headers->first->accept);
		remove_header(headers->first);
	}
}
