/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a child gets its descriptors without a copy of all that its parent has, which it would have
 * to close one by one: thousands, where as many programs run. It shares the parent's table, and
 * takes a copy of the lower end alone, in which are two numbers that are reserved with the first
 * start, before there are many. One start at a time; not for several threads.
 */
#ifndef SOCKETBOX_EXEC_CHILD_FDS_H
#define SOCKETBOX_EXEC_CHILD_FDS_H

#define SPAWN_LISTEN_FD 3 /* SD_LISTEN_FDS_START */

/* The child leaves its frames behind when it becomes the program, which a sanitizer takes amiss. */
#define IN_CHILD __attribute__((no_sanitize("address"), no_sanitize("undefined"), noinline))

/* In the parent: stages copies of both descriptors. Negative errno if there is no room: then the
 * child must not share the table. */
int child_fds_fill(int socket, int error);

/* In the parent, after the child has taken them or failed. */
void child_fds_clear(void);

/* In the child, which has been cloned with CLONE_FILES: from here on it has a table of its own,
 * without the higher numbers. *socket and *error, close-on-exec and above SPAWN_LISTEN_FD, are in
 * it. -1 and errno if the kernel has no memory. */
int child_fds_take(int *socket, int *error);

#endif
