/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starts one program, without copying the caller's address space: the child borrows it until it
 * has become the program, as vfork(2)'s does, and tells a failure by writing it there.
 */
#ifndef SOCKETBOX_EXEC_SPAWN_H
#define SOCKETBOX_EXEC_SPAWN_H

#include <sys/types.h>

#include "exec/exec_settings.h"

/* All descriptors stay the caller's. */
struct spawn {
	const struct exec_settings *settings; /* ids, rlimits, nice, umask, chdir */
	const char *path;		      /* of the program */
	char *const *environment;
	char *pid_text;	    /* where in environment the child's pid goes, 10 digits; or NULL */
	int socket;	    /* becomes 0 and 1 */
	const char *banner; /* sent on it right before the program is executed; NULL: nothing */
	int stderr_fd;	    /* becomes 2; -1: the socket does */
	bool listen;	    /* the socket becomes 3 too */
	int netns;	    /* -1: the caller's */
	int cgroup;	    /* an open cgroup v2 directory; -1: the caller's */
};

/*
 * 0 and *pid (the leader of a session of its own) and *pidfd, both the caller's: the program runs.
 * Or negative errno with the failing step and its meaning: then nothing runs and nothing is left
 * behind. -EAGAIN is for what a later time may mend: too few processes, descriptors or memory.
 * *no_cgroup is set where the program could be started only outside of its cgroup.
 * All signals of the caller's thread wait meanwhile. SIGCHLD must not be ignored. The program has
 * every signal as by default: what this process ignores it must ignore before the first start. That
 * one reserves three descriptors for ever. Not for several threads at a time.
 */
int spawn(const struct spawn *what, pid_t *pid, int *pidfd, bool *no_cgroup, struct err *err);

/* Raises this process's soft limit of descriptors to its hard one; what spawn starts gets the one
 * that was before. Call it once, before threads. */
void spawn_raise_nofile(void);

/* Makes the limit what it was, for another program in this process. */
void spawn_restore_nofile(void);

#endif
