/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sockets that no route says: made where a service's `grants:` allow it, on an address that its
 * routes name. Each belongs to the program that asked for it alone. Nothing is kept of it here: it
 * ends with the program's close, and with it the kernel's entry that steers to it.
 *
 * - passive: a TCP socket bound in the host's namespace, not listening, so that listen() and
 *   connect() are the program's to choose as with its own. While it listens, it comes before every
 *   route.
 * - connect: a TCP socket bound to a local port, to connect out from, that nobody can connect to.
 * - UDP: one kind for both, bound, and steered to from the beginning.
 */
#ifndef SOCKETBOX_DAEMON_GRANTS_H
#define SOCKETBOX_DAEMON_GRANTS_H

#include <stdint.h>

#include "daemon/confinement/confinement.h"
#include "daemon/engine.h"
#include "daemon/routes/coverage.h"

struct grants;

struct grants_socket {
	int fd; /* the caller's to close */
	uint64_t cookie;
	struct addr_endpoint bound;
};

/* What a service got and did not get since the daemon started. */
struct grants_counts {
	uint64_t passive, connect, refused;
};

/* The engine and the confinement (NULL: there is none) stay the caller's. NULL out of memory. */
struct grants *grants_new(struct engine *engine, struct confinement *confinement);
void grants_free(struct grants *grants); /* NULL is allowed */

/* Tells which configuration is in force; it must outlive the registry or the next call. What has
 * been given stays with who has it. */
void grants_configure(struct grants *grants, const struct config *config);

/*
 * Makes the socket that bind asks for, whose port may be 0, if a grant allows it and no route names
 * its port. -ENOENT if not: a matter for claims, and without a port for nobody (the text has the
 * line that would allow it); -EADDRINUSE where the port, or every port of the range, is taken;
 * others from the kernel.
 */
int grants_give(struct grants *grants, const struct config_service *service,
	const struct coverage_bind *bind, struct grants_socket *out, struct err *err);

/* To be told of each bind that is allowed by neither route nor grant, with the reason that the
 * asker gets: adds the grant that would, where it may be one that is wanted, and logs the reason
 * once a minute per service and kind of bind. */
void grants_refuse(struct grants *grants, const struct config_service *service,
	const struct coverage_bind *bind, struct err *err);

/* Zero for a service that never asked. */
struct grants_counts grants_counts(const struct grants *grants, uint32_t service);

#endif
