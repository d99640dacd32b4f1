// SPDX-License-Identifier: BSD-2-Clause
// Listeners and drains: which connections came before one, and who refuses what comes after it.
#include "daemon/listen/listeners_private.h"
#include "daemon/sockets.h"

/* Where no engine refuses what is new to a service that is being drained, it has to be accepted for
 * that, as soon as what came before is out of the backlog. */
bool listener_only_refuses(const struct listener *listener)
{
	return !listener->old && !engine_steers(listener->set->engine) &&
	       drains_has(listener->set->drains, listener->spec.service);
}

/* The accept queue is in order, and what is in it stays there, even if its client goes. */
uint32_t listener_take_generation(struct listener *listener)
{
	if (!listener->old)
		return listener->set->generation;
	listener->old--;
	return listener->old_generation;
}

/* Without an engine that refuses what is new, the socket of a program has to be made to take none.
 */
static int apply_listener_drops(
	struct listener *listener, const struct config *config, struct err *err)
{
	bool tcp = listener->spec.protocol == IPPROTO_TCP;

	if (listener->drops)
		return tcp ? sockets_refuse_new(listener->fd, err)
			   : sockets_set_drop_filter(listener->fd, true, err);
	return tcp ? sockets_set_drop_filter(listener->fd, false, err)
		   : listener_guard(listener, config, err);
}

static int follow_served(struct listener *listener, const struct config *config, struct err *err)
{
	bool drops = listener->given_to && !engine_steers(listener->set->engine) &&
		     drains_has(listener->set->drains, listener->spec.service);
	char text[ADDR_TEXT_SIZE];

	if (!drops && !listener->drops)
		return 0;
	listener->drops = drops;
	if (!apply_listener_drops(listener, config, err))
		return 0;
	return err_prefix(err, "%s would go on taking connections",
		addr_endpoint_format(&listener->spec.endpoint, text));
}

/* What waits came in an generation that is over. Where some is left of an earlier one, all that
 * waits is taken for as old. */
static void end_listener_generation(struct listener *listener)
{
	if (!listener->old)
		listener->old_generation = listener->set->generation;
	listener->old = (unsigned)listener_backlog(listener->fd);
}

int listeners_follow(struct listeners *listeners, const struct config *config, struct err *err)
{
	bool over = listeners->generation != drains_generation(listeners->drains);
	int result = 0;

	for (struct listener *listener = listeners->first; listener; listener = listener->next) {
		if (over)
			end_listener_generation(listener);
		if (!result)
			result = follow_served(listener, config, err);
	}
	listeners->generation = drains_generation(listeners->drains);
	listeners_wake(listeners);
	return result;
}

/* Of a socket that is the service's alone, and takes nothing new, all that waits is old. */
static unsigned old_connections(const struct listener *listener, bool own)
{
	unsigned waiting = (unsigned)listener_backlog(listener->fd);

	if (own && (listener->given_to || engine_steers(listener->set->engine)))
		return waiting;
	return waiting < listener->old ? waiting : listener->old;
}

struct listeners_waiting listeners_waiting(const struct listeners *listeners, uint32_t service)
{
	struct listeners_waiting waiting = {0};

	for (struct listener *listener = listeners->first; listener; listener = listener->next) {
		bool own = listener->spec.service == service;

		if (!own && listener_delivery(listener))
			continue;
		if (listener->spec.protocol == IPPROTO_TCP)
			waiting.connections += old_connections(listener, own);
		else if (own)
			waiting.datagrams += sockets_has_unread(listener->fd);
	}
	return waiting;
}
