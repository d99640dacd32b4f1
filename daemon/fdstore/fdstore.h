/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The descriptors that outlive this process: each is kept under a name that says what it is for,
 * and the next daemon takes it by that name. There are two ways to it, used alike:
 *
 * - the service manager's descriptor store (systemd), which has a copy from handover_keep on, so
 *   that even kill -9 loses nothing of what is there;
 * - the daemon's own program, executed anew in the same process (SIGUSR2): see handover_pass.
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

#define HANDOVER_NAME_SIZE 160

/* The environment variable that tells a program executed anew of what it inherits. */
#define HANDOVER_VARIABLE "SOCKETBOX_HANDOVER"

struct handover;

/* The descriptor store; fd is not taken. */
struct handover_store {
	void (*add)(const char *name, int fd);
	void (*remove)(const char *name);
	void (*flush)(void); /* returns when the store has done all that it was asked */
};

/* Every function but these two does nothing with a handover that is NULL. store NULL: there is no
 * descriptor store. NULL without memory. */
struct handover *handover_new(const struct handover_store *store);

/* Closes what was inherited and not taken, and connections that were given; the rest is its
 * owners'. What the store has, it goes on having. NULL is allowed. */
void handover_free(struct handover *handover);

/* Adds what an earlier daemon kept; takes the descriptor. */
void handover_inherit(struct handover *handover, const char *name, int fd);

/* Adds what handover_pass has passed to this program, if anything. -EPROTO if it was written by a
 * daemon that writes it in another way. */
int handover_inherit_passed(struct handover *handover, struct err *err);

/* The inherited descriptor of that name, which is the caller's then, to keep again; or -1. */
int handover_take(struct handover *handover, const char *name);

/* Shows each inherited descriptor whose name begins so, in the order of the names. A visitor may
 * take it, and leaves -1 then; it is not shown again. */
void handover_visit(struct handover *handover, const char *prefix,
	void (*visit)(void *context, const char *name, int *fd), void *context);

/* fd, which stays its owner's, is to outlive the process. One that is kept already gets the new
 * name. A descriptor is dropped before its owner closes it. */
void handover_keep(struct handover *handover, int fd, const char *name);
void handover_drop(struct handover *handover, int fd);

/* Whoever finds an address in use asks this: true if the store may have held what was dropped until
 * now, and holds it no more. */
bool handover_flush(struct handover *handover);

/* From now on, what is dropped leaves the store too: before that, a daemon that fails to start must
 * not take with it what the next one needs. What nobody has taken is closed. */
void handover_settle(struct handover *handover);

/* The daemon is about to end: from now on nothing leaves the store. */
void handover_seal(struct handover *handover);

/*
 * A connection in the daemon's hands. service 0: it is to be judged anew; receiver: the cookie of
 * the way on which it has been sent already (0: it has not), see daemon/deliver/receiver.h.
 */
struct handover_connection {
	struct arrival arrival;
	uint32_t service;
	uint64_t receiver;
};

/* Takes the connection out of the owner's hands, and keeps it. In the order of these calls the next
 * daemon gets them. */
void handover_give(struct handover *handover, struct handover_connection *connection);

/* The same for a descriptor that is no such connection, under a name of its owner's. -ENOMEM: it is
 * not taken. The handover must not be NULL. */
int handover_give_fd(struct handover *handover, const char *name, int *fd);

/* Shows what was given under names that begin so, in the order of the names; it is the visitor's.
 */
void handover_visit_given(struct handover *handover, const char *prefix,
	void (*visit)(void *context, const char *name, int fd), void *context);

/* Moves what was given, but not passed after all, to what is inherited. */
void handover_take_back(struct handover *handover);

/* Shows all inherited connections, which are the visitor's. */
void handover_connections(struct handover *handover,
	void (*visit)(void *context, struct handover_connection *connection), void *context);

/* Writes down what is kept, for HANDOVER_VARIABLE: the value is "1:FD". All that is kept, and FD,
 * stay open across execve from now on, until handover_unpass. */
int handover_pass(struct handover *handover, char value[32], struct err *err);
void handover_unpass(struct handover *handover);

/* True if there is a descriptor store. */
bool handover_has_store(const struct handover *handover);

/* An endpoint in a name: 36 hexadecimal digits. */
#define HANDOVER_ENDPOINT_SIZE 37
const char *handover_endpoint(
	const struct addr_endpoint *endpoint, char text[HANDOVER_ENDPOINT_SIZE]);
int handover_read_endpoint(const char *text, struct addr_endpoint *endpoint);

#endif
