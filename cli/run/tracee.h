/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The thread that is stopped in bind(2), seen from outside: its memory, its descriptors, its
 * network namespace. Everything is read from /proc and pidfds; nothing of it is changed here.
 */
#ifndef SOCKETBOX_CLI_RUN_TRACEE_H
#define SOCKETBOX_CLI_RUN_TRACEE_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "common/err.h"

struct tracee {
	pid_t thread;
	int pidfd; /* of it, or before Linux 6.9 of its thread group */
};

/* The caller frees *tracee with tracee_fini. -ESRCH if the thread is gone. */
int tracee_open(pid_t thread, struct tracee *tracee, struct err *err);
void tracee_fini(struct tracee *tracee);

/* The inode of its network namespace; negative errno, -EPERM where the launcher may not look. */
int tracee_netns(const struct tracee *tracee, ino_t *netns);

/* Copies length bytes at address. -EPERM where the launcher may not, -EFAULT. */
int tracee_read(const struct tracee *tracee, unsigned long long address, void *out, size_t length);

/* A copy of one of its descriptors (pidfd_getfd, Linux 5.6); negative errno. */
int tracee_get_fd(const struct tracee *tracee, int fd);

/* Visits each descriptor number with what /proc/PID/fd says it is ("socket:[123]"). */
int tracee_each_fd(const struct tracee *tracee,
	void (*visit)(int fd, const char *link, void *context), void *context);

/* Reads /proc/PID/fdinfo/FD into text, NUL-terminated, cut to size. The caller frees *text. */
int tracee_fd_info(const struct tracee *tracee, int fd, char **text);

/* The program's name (comm, 15 characters at most) for messages. */
void tracee_name(const struct tracee *tracee, char name[16]);

#endif
