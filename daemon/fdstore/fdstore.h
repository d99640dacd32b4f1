/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The descriptors that outlive this process: each is kept under a name that says what it is for,
 * and the next daemon takes it by that name. There are two ways to it, used alike:
 *
 * - the service manager's descriptor store (systemd), which has a copy from fdstore_put on, so
 *   that even kill -9 loses nothing of what is there;
 * - the daemon's own program, executed anew in the same process (SIGUSR2): see fdstore_pass.
 *
 * Names are printable, without ':' and white space, and unique.
 */
#ifndef SOCKETBOX_DAEMON_FDSTORE_FDSTORE_H
#define SOCKETBOX_DAEMON_FDSTORE_FDSTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/err.h"
#include "daemon/accepted.h"

#define FDSTORE_NAME_SIZE 160

/* The environment variable that tells a program executed anew of what it inherits. */
#define FDSTORE_VARIABLE "SOCKETBOX_FDSTORE"

struct fdstore;

/* The descriptor store; fd is not taken. */
struct fdstore_backend {
	void (*add)(const char *name, int fd);
	void (*remove)(const char *name);
	void (*flush)(void); /* returns when the store has done all that it was asked */
};

/* Every function but these two does nothing with a fdstore that is NULL. store NULL: there is no
 * descriptor store. NULL out of memory. */
struct fdstore *fdstore_new(const struct fdstore_backend *store);

/* Closes what was inherited and not taken, and connections that were given; the rest is its
 * owners'. What the store has, it goes on having. NULL is allowed. */
void fdstore_free(struct fdstore *fdstore);

/* Adds what an earlier daemon kept; takes the descriptor. */
void fdstore_inherit(struct fdstore *fdstore, const char *name, int fd);

/* Adds what fdstore_pass has passed to this program, if anything. -EPROTO if it was written by a
 * daemon that writes it in another way. */
int fdstore_inherit_passed(struct fdstore *fdstore, struct err *err);

/* The inherited descriptor of that name, which is the caller's then, to keep again; or -1. */
int fdstore_take(struct fdstore *fdstore, const char *name);

/* Shows each inherited descriptor whose name begins so, in the order of the names. A visitor may
 * take it, and leaves -1 then; it is not shown again. */
void fdstore_visit_inherited(struct fdstore *fdstore, const char *prefix,
	void (*visit)(void *context, const char *name, int *fd), void *context);

/* fd, which stays its owner's, is to outlive the process. One that is kept already gets the new
 * name. A descriptor is dropped before its owner closes it. */
void fdstore_put(struct fdstore *fdstore, int fd, const char *name);
void fdstore_drop(struct fdstore *fdstore, int fd);

/* Whoever finds an address in use asks this: true if the store may have held what was dropped until
 * now, and holds it no more. */
bool fdstore_flush(struct fdstore *fdstore);

/* From now on, what is dropped leaves the store too: before that, a daemon that fails to start must
 * not take with it what the next one needs. What nobody has taken is closed. */
void fdstore_settle(struct fdstore *fdstore);

/* The daemon is about to end: from now on nothing leaves the store. */
void fdstore_seal(struct fdstore *fdstore);

/*
 * A connection in the daemon's hands. service 0: it is to be dispatched anew; receiver: the cookie
 * of the way on which it has been sent already (0: it has not), see daemon/deliver/receiver.h.
 */
struct fdstore_connection {
	struct accepted accepted;
	uint32_t service;
	uint64_t receiver;
};

/* Takes the connection out of the owner's hands, and keeps it. In the order of these calls the next
 * daemon gets them. */
void fdstore_put_connection(struct fdstore *fdstore, struct fdstore_connection *connection);

/* The same for a descriptor that is no such connection, under a name of its owner's. -ENOMEM: it is
 * not taken. The fdstore must not be NULL. */
int fdstore_put_in_flight(struct fdstore *fdstore, const char *name, int *fd);

/* Shows what was given under names that begin so, in the order of the names; it is the visitor's.
 */
void fdstore_visit_in_flight(struct fdstore *fdstore, const char *prefix,
	void (*visit)(void *context, const char *name, int fd), void *context);

/* Moves what was given, but not passed after all, to what is inherited. */
void fdstore_take_back(struct fdstore *fdstore);

/* Shows all inherited connections, which are the visitor's. */
void fdstore_visit_connections(struct fdstore *fdstore,
	void (*visit)(void *context, struct fdstore_connection *connection), void *context);

/* Writes down what is kept, for FDSTORE_VARIABLE: the value is "1:FD". All that is kept, and FD,
 * stay open across execve from now on, until fdstore_unpass. */
int fdstore_pass(struct fdstore *fdstore, char value[32], struct err *err);
void fdstore_unpass(struct fdstore *fdstore);

/* True if there is a descriptor store. */
bool fdstore_has_backend(const struct fdstore *fdstore);

/* An endpoint in a name: 36 hexadecimal digits. */
#define FDSTORE_ENDPOINT_SIZE 37
const char *fdstore_endpoint(
	const struct addr_endpoint *endpoint, char text[FDSTORE_ENDPOINT_SIZE]);
int fdstore_read_endpoint(const char *text, struct addr_endpoint *endpoint);

#endif
