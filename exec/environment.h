/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The environment of a started program: what is passed on, what settings say, and who the client
 * is, in the words of UCSPI (PROTO, TCPREMOTEIP, ...) and of systemd (REMOTE_ADDR, LISTEN_FDS).
 */
#ifndef SOCKETBOX_EXEC_ENVIRONMENT_H
#define SOCKETBOX_EXEC_ENVIRONMENT_H

#include "exec/client.h"
#include "exec/exec_settings.h"

/* Who the program is started for: a client, or, with wait, nobody yet. */
struct environment_of {
	const struct client *client;	   /* NULL: of a listening socket */
	const struct addr_endpoint *local; /* of a listening IP socket, or NULL */
	bool udp;
	const char *name; /* of the service: LISTEN_FDNAMES */
};

/* Adds the variables to *out, which is zero or empty; the last of a name counts and is the only
 * one. *pid_text, if there is a LISTEN_PID, is where 10 digits go. The caller frees *out with
 * environment_free, also after -ENOMEM. `own` is the caller's environment. */
int environment_make(const struct exec_settings *settings, const struct environment_of *of,
	char *const *own, struct exec_words *out, char **pid_text);
void environment_free(struct exec_words *environment);

#endif
