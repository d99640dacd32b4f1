// SPDX-License-Identifier: BSD-2-Clause
// Looks at socket files, and replaces them.
#include "common/receiver_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

enum receiver_found receiver_look(const char *path, struct sockaddr_un *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t length = sizeof(*name);
	cleanup_close int probe = -1;
	struct stat file;

	if (lstat(path, &file))
		return errno == ENOENT ? RECEIVER_NONE : RECEIVER_FOREIGN;
	/* connect(2) says "refused" of any file that is no socket. */
	if (!S_ISSOCK(file.st_mode) || strlen(path) >= sizeof(address.sun_path))
		return RECEIVER_FOREIGN;
	strcpy(address.sun_path, path);
	probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (probe < 0)
		return RECEIVER_FOREIGN;
	if (connect(probe, (struct sockaddr *)&address, sizeof(address)))
		return errno == ECONNREFUSED ? RECEIVER_STALE : RECEIVER_FOREIGN;
	if (name) {
		*name = (struct sockaddr_un){0};
		if (getpeername(probe, (struct sockaddr *)name, &length))
			*name = (struct sockaddr_un){0};
	}
	return RECEIVER_LIVE;
}

/* renameat2's flags are not known to every file system. */
static int move_receiver_path(const char *from, const char *to, unsigned flags)
{
	if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, flags))
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (flags == RENAME_NOREPLACE && !access(to, F_OK))
		return -EEXIST;
	return rename(from, to) ? -errno : 0;
}

int receiver_publish(const char *temporary, const char *path, bool live)
{
	int result = move_receiver_path(temporary, path, RENAME_NOREPLACE);

	if (result == -EEXIST && (live || receiver_look(path, NULL) == RECEIVER_STALE)) {
		result = move_receiver_path(temporary, path, RENAME_EXCHANGE);
		/* Another process may have put its own there since we looked. */
		if (!result && !live && receiver_look(temporary, NULL) == RECEIVER_LIVE) {
			move_receiver_path(temporary, path, RENAME_EXCHANGE);
			result = -EADDRINUSE;
		}
		if (result == -ENOENT) /* it has been removed meanwhile */
			result = move_receiver_path(temporary, path, RENAME_NOREPLACE);
	}
	unlink(temporary);
	return result == -EEXIST ? -EADDRINUSE : result;
}
