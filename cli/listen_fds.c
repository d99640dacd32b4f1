// SPDX-License-Identifier: BSD-2-Clause
// Collects sockets, and hands them to the program that this process becomes.
#include "cli/listen_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

int listen_fds_add(struct listen_fds *pass, int fd, const char *name, struct err *err)
{
	size_t used = pass->names ? strlen(pass->names) + 1 : 0;
	size_t size = used + strlen(name) + 1;
	char *names = realloc(pass->names, size);
	int *fds = reallocarray(pass->fds, pass->count + 1, sizeof(*fds));

	if (names)
		pass->names = names;
	if (fds)
		pass->fds = fds;
	if (!names || !fds)
		return err_errno(err, -ENOMEM, "collecting sockets");
	if (used)
		names[used - 1] = ':';
	memcpy(names + used, name, size - used);
	fds[pass->count++] = fd;
	return 0;
}

void listen_fds_fini(struct listen_fds *pass)
{
	for (size_t i = 0; i < pass->count; i++)
		cleanup_close_fd(&pass->fds[i]);
	free(pass->fds);
	free(pass->names);
	*pass = (struct listen_fds){0};
}

static int move_listen_fds(const struct listen_fds *pass, struct err *err)
{
	cleanup_free int *high = calloc(pass->count, sizeof(*high));

	if (!high)
		return err_errno(err, -ENOMEM, "passing sockets");
	/* First out of the way: one may be where another has to go. */
	for (size_t i = 0; i < pass->count; i++) {
		high[i] = fcntl(pass->fds[i], F_DUPFD_CLOEXEC, LISTEN_FDS_FIRST + (int)pass->count);
		if (high[i] < 0)
			return err_errno(err, -errno, "passing %zu sockets", pass->count);
	}
	for (size_t i = 0; i < pass->count; i++) {
		if (dup2(high[i], LISTEN_FDS_FIRST + (int)i) < 0)
			return err_errno(err, -errno, "passing %zu sockets", pass->count);
	}
	return 0;
}

static int set_listen_fds(const char *name, const char *value, struct err *err)
{
	return setenv(name, value, 1) ? err_errno(err, -errno, "setting %s", name) : 0;
}

int listen_fds_tell(const char *prefix, unsigned long long number, int fd, struct err *err)
{
	char name[64], value[16];

	snprintf(name, sizeof(name), "%s%llu", prefix, number);
	snprintf(value, sizeof(value), "%d", fd);
	return set_listen_fds(name, value, err);
}

int listen_fds_to_program(const struct listen_fds *pass, struct err *err)
{
	char number[16];
	int result = move_listen_fds(pass, err);

	for (size_t i = 0; i < pass->count && !result; i++) {
		int fd = LISTEN_FDS_FIRST + (int)i;

		result = listen_fds_tell("SOCKETBOX_FD_", i, fd, err);
		if (!result)
			result = listen_fds_tell("CTRTOOL_NS_OPEN_FILE_FD_", i, fd, err);
	}
	snprintf(number, sizeof(number), "%zu", pass->count);
	if (!result)
		result = set_listen_fds("LISTEN_FDS", number, err);
	if (!result)
		result = set_listen_fds("LISTEN_FDNAMES", pass->names ? pass->names : "", err);
	snprintf(number, sizeof(number), "%d", (int)getpid());
	if (!result)
		result = set_listen_fds("LISTEN_PID", number, err);
	/* Newer systemds set this beside LISTEN_PID; what is inherited speaks of another process.
	 */
	unsetenv("LISTEN_PIDFDID");
	return result;
}
