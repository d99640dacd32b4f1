/* SPDX-License-Identifier: BSD-2-Clause */
/* Starts the program: namespace, filter, descriptors, exec. */
#ifndef SOCKETBOX_CLI_RUN_START_H
#define SOCKETBOX_CLI_RUN_START_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "cli/listen_fds.h"
#include "common/addr.h"

struct start {
	char *const *command; /* NULL-terminated */
	bool isolate;
	const struct addr *addresses; /* for lo, with isolate */
	size_t address_count;
	bool filter;			  /* notify of bind(2) */
	const struct listen_fds *sockets; /* for the program to inherit; none with filter */
	const sigset_t *mask;		  /* the program's signal mask */
};

struct started {
	pid_t pid;
	int notify_fd; /* the caller's; -1 without filter */
	ino_t netns;   /* the program's network namespace when it started; 0 without filter */
};

/* Returns when the program has been executed; a failure on the way, such as a program that does not
 * exist, is the caller's error, and no process is left. */
int start_program(const struct start *start, struct started *started, struct err *err);

#endif
