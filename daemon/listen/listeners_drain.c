// SPDX-License-Identifier: BSD-2-Clause
// Acceptors and drains: which connections came before one, and who refuses what comes after it.
#include "daemon/listen/listeners_private.h"
#include "daemon/sockets.h"

/* Where no engine refuses what is new to a service that is being drained, it has to be accepted for
 * that, as soon as what came before is out of the backlog. */
bool acceptor_only_refuses(const struct acceptor *acceptor)
{
	return !acceptor->old && !engine_steers(acceptor->set->engine) &&
	       drains_has(acceptor->set->drains, acceptor->wanted.service);
}

/* The accept queue is in order, and what is in it stays there, even if its client goes. */
uint32_t acceptor_take_era(struct acceptor *acceptor)
{
	if (!acceptor->old)
		return acceptor->set->era;
	acceptor->old--;
	return acceptor->old_era;
}

/* Without an engine that refuses what is new, the socket of a program has to be made to take none.
 */
static int set_deaf(struct acceptor *acceptor, const struct config *config, struct err *err)
{
	bool tcp = acceptor->wanted.protocol == IPPROTO_TCP;

	if (acceptor->deaf)
		return tcp ? sockets_refuse_new(acceptor->fd, err)
			   : sockets_deafen(acceptor->fd, true, err);
	return tcp ? sockets_deafen(acceptor->fd, false, err)
		   : acceptor_guard(acceptor, config, err);
}

static int follow_served(struct acceptor *acceptor, const struct config *config, struct err *err)
{
	bool deaf = acceptor->served && !engine_steers(acceptor->set->engine) &&
		    drains_has(acceptor->set->drains, acceptor->wanted.service);
	char text[ADDR_TEXT_SIZE];

	if (!deaf && !acceptor->deaf)
		return 0;
	acceptor->deaf = deaf;
	if (!set_deaf(acceptor, config, err))
		return 0;
	return err_prefix(err, "%s would go on taking connections",
		addr_endpoint_format(&acceptor->wanted.endpoint, text));
}

/* What waits came in an era that is over. Where some is left of an earlier one, all that waits is
 * taken for as old. */
static void end_era(struct acceptor *acceptor)
{
	if (!acceptor->old)
		acceptor->old_era = acceptor->set->era;
	acceptor->old = (unsigned)acceptor_backlog(acceptor->fd);
}

int acceptors_follow(struct acceptors *acceptors, const struct config *config, struct err *err)
{
	bool over = acceptors->era != drains_era(acceptors->drains);
	int result = 0;

	for (struct acceptor *acceptor = acceptors->first; acceptor; acceptor = acceptor->next) {
		if (over)
			end_era(acceptor);
		if (!result)
			result = follow_served(acceptor, config, err);
	}
	acceptors->era = drains_era(acceptors->drains);
	acceptors_wake(acceptors);
	return result;
}

/* Of a socket that is the service's alone, and takes nothing new, all that waits is old. */
static unsigned old_connections(const struct acceptor *acceptor, bool own)
{
	unsigned waiting = (unsigned)acceptor_backlog(acceptor->fd);

	if (own && (acceptor->served || engine_steers(acceptor->set->engine)))
		return waiting;
	return waiting < acceptor->old ? waiting : acceptor->old;
}

struct acceptors_waiting acceptors_waiting(const struct acceptors *acceptors, uint32_t service)
{
	struct acceptors_waiting waiting = {0};

	for (struct acceptor *acceptor = acceptors->first; acceptor; acceptor = acceptor->next) {
		bool own = acceptor->wanted.service == service;

		if (!own && acceptor_delivery(acceptor))
			continue;
		if (acceptor->wanted.protocol == IPPROTO_TCP)
			waiting.connections += old_connections(acceptor, own);
		else if (own)
			waiting.datagrams += sockets_has_unread(acceptor->fd);
	}
	return waiting;
}
