/* SPDX-License-Identifier: BSD-2-Clause */
/* The launcher's life after the program has started. */
#ifndef SOCKETBOX_CLI_RUN_SUPERVISE_H
#define SOCKETBOX_CLI_RUN_SUPERVISE_H

#include <signal.h>

#include "cli/run/bind.h"

/* The signals that the launcher passes on or waits for; blocked from before the program starts. */
void supervise_signals(sigset_t *set);

/*
 * Answers binds, passes signals on, reaps, and keeps the connection to the daemon, until the
 * program and all that it has started are gone: it may put itself into the background.
 * context->notify_fd is -1 without a filter, context->link NULL with --trace. Returns the program's
 * wait status.
 */
int supervise(pid_t program, struct bind_context *context);

#endif
