/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fence: a socket that the daemon gives away can be used for what it was given for, and for
 * nothing else. The daemon makes its sockets in a cgroup of its own to which bpf/fence.bpf.c is
 * attached; the kernel judges by where a socket was made, whoever holds it. What is attached is
 * pinned: the fence stands while no daemon runs, and the next one takes it over. One thread only.
 */
#ifndef SOCKETBOX_DAEMON_CONFINEMENT_CONFINEMENT_H
#define SOCKETBOX_DAEMON_CONFINEMENT_CONFINEMENT_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/config/config.h"

struct fence;

struct fence_facts {
	bool stands;
	bool adopted;		/* an earlier daemon's was taken over */
	char cgroup[PATH_MAX];	/* of the sockets; empty without a fence */
	char outside[PATH_MAX]; /* where programs are to be started; empty without a fence */
	struct err why;		/* it does not stand; empty text otherwise */
	struct err gap;		/* what it cannot keep in on this kernel; empty text: nothing */
	struct err loose;	/* it ends with the daemon; empty text: it does not */
};

/* Finds out whether this program's fence could be had here; nothing that runs is touched. With
 * CONFIG_FENCE_REQUIRED alone it matters, so nothing is done with another. */
int fence_check(enum config_fence wanted, struct err *err);

/*
 * Enters the cgroup and attaches the programs; to be called before the daemon makes any socket that
 * it gives away. With CONFIG_FENCE_AUTO a fence that cannot be had is no error: *out is NULL, and
 * facts say why. With CONFIG_FENCE_OFF one that an earlier daemon has put up is taken down.
 */
int fence_open(const char *run_dir, enum config_fence wanted, struct fence **out,
	struct fence_facts *facts, struct err *err);

/* These do nothing without a fence (NULL). */

/* Lets whoever holds the socket connect, and send to anyone, as a grant to connect says, but not to
 * the host's loopback. It still cannot be bound anew. */
int fence_lift(struct fence *fence, int fd, struct err *err);

/* Says which service a UDP socket is for: it may answer whom any of that service's has heard. */
int fence_assign(struct fence *fence, int fd, uint32_t service, struct err *err);

/* To be told each configuration that comes into force: services may answer clients on the host's
 * loopback where its routes say that they serve there. */
void fence_configure(struct fence *fence, const struct config *config);

/* To be shown each socket that an earlier daemon made: those that it did not make inside a fence
 * are counted, and complained of once. */
void fence_recognise(struct fence *fence, int fd);
unsigned fence_strangers(const struct fence *fence);

/* Frees the object; the fence stands. NULL is allowed. */
void fence_close(struct fence *fence);

/* Removes the cgroup, once the pins are gone, with no daemon running. */
void fence_remove(const char *run_dir);

#endif
