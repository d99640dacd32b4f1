/* SPDX-License-Identifier: BSD-2-Clause */
/* What becomes of one bind(2) of the program. */
#ifndef SOCKETBOX_CLI_RUN_BIND_H
#define SOCKETBOX_CLI_RUN_BIND_H

#include <linux/seccomp.h>
#include <stdbool.h>
#include <sys/types.h>

#include "cli/run/warn_once.h"
#include "common/claim_client.h"

struct trace;

struct bind_context {
	int notify_fd;
	ino_t netns;		     /* of the program; binds in others are not ours */
	struct claim_client *client; /* NULL with --trace */
	struct trace *trace;	     /* NULL without */
	struct warned warned;
};

/*
 * Answers the notification, unless the daemon is away: then returns -EAGAIN, the thread goes on
 * waiting, and the call is repeated once the daemon is back. All else is 0. `last` answers what the
 * daemon is needed for with EADDRNOTAVAIL.
 */
int bind_answer(struct bind_context *context, const struct seccomp_notif *notification, bool last);

#endif
