// SPDX-License-Identifier: BSD-2-Clause
// Replaces single sockets that a holder shuts down, as some programs do when they end (Twisted):
// the kernel then stops listening for all who share the socket, the daemon's copy included, and
// clients would be refused until the next claim.
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/claims/claims_private.h"
#include "daemon/log.h"

/* How many are replaced in one turn of the event loop: a user who shuts down thousands at once
 * keeps nobody waiting. */
#define MOST_PER_TURN 16

/* Replaces sockets that have died. The rest of them is reported in the next turn, since the epoll
 * descriptor stays readable. A socket that cannot be replaced now is with the next claim. */
static void on_shutdowns(evutil_socket_t fd, short what, void *context)
{
	struct claims *claims = context;
	struct epoll_event events[MOST_PER_TURN];
	int count = epoll_wait(fd, events, MOST_PER_TURN, 0);
	struct err err;

	(void)what;
	for (int i = 0; i < count; i++) {
		struct claim *claim = events[i].data.ptr;
		const struct config_service *service =
			config_service_by_id(claims->config, claim->service);

		if (!service)
			continue;
		if (claims_single_replace(claim, service, &err))
			log_warning("replacing a socket that was shut down: %s", err.text);
		claims_store(claim);
	}
	/* Only now, since those that died together may take packets from each other. */
	for (int i = 0; i < count; i++) {
		if (claims_single_steer(events[i].data.ptr, &err))
			log_warning("steering to sockets again: %s", err.text);
	}
}

int claims_watch_init(struct claims *claims)
{
	claims->deaths = epoll_create1(EPOLL_CLOEXEC);
	if (claims->deaths < 0)
		return -errno;
	claims->death =
		event_new(claims->base, claims->deaths, EV_READ | EV_PERSIST, on_shutdowns, claims);
	if (!claims->death || event_add(claims->death, NULL))
		return -ENOMEM;
	return 0;
}

void claims_watch_fini(struct claims *claims)
{
	if (claims->death)
		event_free(claims->death);
	cleanup_close_fd(&claims->deaths);
}

void claims_watch(struct claim *claim)
{
	/* No events: EPOLLHUP is always reported, and connections that arrive wake nobody. */
	struct epoll_event event = {.events = EPOLLET, .data.ptr = claim};

	/* EEXIST: it is watched already. */
	epoll_ctl(claim->claims->deaths, EPOLL_CTL_ADD, claim->fd, &event);
}

void claims_unwatch(const struct claim *claim)
{
	/* By closing it would not go, since others have the socket too. */
	if (claim->fd >= 0)
		epoll_ctl(claim->claims->deaths, EPOLL_CTL_DEL, claim->fd, NULL);
}
