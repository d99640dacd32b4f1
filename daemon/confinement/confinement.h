/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The confinement: a socket that the daemon gives away can be used for what it was given for, and
 * for nothing else. The daemon makes its sockets in a cgroup of its own to which
 * bpf/confinement.bpf.c is attached; the kernel judges by where a socket was made, whoever holds
 * it. What is attached is pinned: confinement stays active while no daemon runs, and the next one
 * takes it over. One thread only.
 */
#ifndef SOCKETBOX_DAEMON_CONFINEMENT_CONFINEMENT_H
#define SOCKETBOX_DAEMON_CONFINEMENT_CONFINEMENT_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/config/config.h"

struct confinement;

struct confinement_info {
	bool active;
	bool adopted;		/* an earlier daemon's was taken over */
	char cgroup[PATH_MAX];	/* of the sockets; empty without a confinement */
	char outside[PATH_MAX]; /* where programs are to be started; empty without a confinement */
	struct err why;		/* it does not stand; empty text otherwise */
	struct err limitation;	/* what it cannot keep in on this kernel; empty text: nothing */
	struct err unpinned;	/* it ends with the daemon; empty text: it does not */
};

/* Finds out whether this program's confinement could be had here; nothing that runs is touched.
 * With CONFIG_CONFINEMENT_REQUIRED alone it matters, so nothing is done with another. */
int confinement_check(enum config_confinement wanted, struct err *err);

/*
 * Enters the cgroup and attaches the programs; to be called before the daemon makes any socket that
 * it gives away. With CONFIG_CONFINEMENT_AUTO a confinement that cannot be had is no error: *out is
 * NULL, and info say why. With CONFIG_CONFINEMENT_OFF one that an earlier daemon has put up is
 * taken down.
 */
int confinement_open(const char *run_dir, enum config_confinement wanted, struct confinement **out,
	struct confinement_info *info, struct err *err);

/* These do nothing without a confinement (NULL). */

/* Lets whoever holds the socket connect, and send to anyone, as a grant to connect says, but not to
 * the host's loopback. It still cannot be bound anew. */
int confinement_allow_connect(struct confinement *confinement, int fd, struct err *err);

/* Says which service a UDP socket is for: it may answer whom any of that service's has heard. */
int confinement_assign(struct confinement *confinement, int fd, uint32_t service, struct err *err);

/* To be told each configuration that comes into force: services may answer clients on the host's
 * loopback where its routes say that they serve there. */
void confinement_configure(struct confinement *confinement, const struct config *config);

/* To be shown each socket that an earlier daemon made: those that it did not make inside a
 * confinement are counted, and complained of once. */
void confinement_check_inherited(struct confinement *confinement, int fd);
unsigned confinement_unconfined(const struct confinement *confinement);

/* Frees the object; confinement stays active. NULL is allowed. */
void confinement_close(struct confinement *confinement);

/* Removes the cgroup, once the pins are gone, with no daemon running. */
void confinement_remove(const char *run_dir);

#endif
