// SPDX-License-Identifier: BSD-2-Clause
// References to files (O_PATH), and what /proc makes of them.
#include "common/socket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"

#define FD_PATH_SIZE 32

static const char *fd_path(int fd, char path[FD_PATH_SIZE])
{
	snprintf(path, FD_PATH_SIZE, "/proc/self/fd/%d", fd);
	return path;
}

int socket_file_refer(const char *path, struct stat *file)
{
	cleanup_close int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat found;

	if (fd < 0 || fstat(fd, &found))
		return -errno;
	if (S_ISLNK(found.st_mode))
		return -ELOOP;
	if (!S_ISSOCK(found.st_mode))
		return -ENOTSOCK;
	*file = found;
	return take_fd(&fd);
}

int socket_file_bind(int fd, const struct sockaddr_un *address, mode_t mode)
{
	cleanup_close int file_fd = -1;
	char path[FD_PATH_SIZE];
	struct stat file = {0};

	if (fchmod(fd, mode) || bind(fd, (const struct sockaddr *)address, sizeof(*address)))
		return -errno;
	file_fd = socket_file_refer(address->sun_path, &file);
	if (file_fd < 0)
		return file_fd;
	if (file.st_uid != geteuid() || file.st_nlink != 1)
		return -EPERM; /* another has taken its place */
	/* The umask has taken a part of it. */
	if ((file.st_mode & 0777) != mode && chmod(fd_path(file_fd, path), mode))
		return -errno;
	return 0;
}

/* The owner of the directory that the path is in. */
static int directory_owner(const char *path, uid_t *owner)
{
	char directory[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	const char *slash = strrchr(path, '/');
	struct stat file;

	if (!slash)
		strcpy(directory, ".");
	else if (snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path + 1), path) >=
		 (int)sizeof(directory))
		return -ENAMETOOLONG;
	if (stat(directory, &file))
		return -errno;
	*owner = file.st_uid;
	return 0;
}

int socket_file_open(const char *path, struct stat *file)
{
	struct stat found = {0};
	cleanup_close int fd = socket_file_refer(path, &found);
	uid_t owner = 0;
	int result;

	if (fd < 0)
		return fd;
	result = directory_owner(path, &owner);
	if (result)
		return result;
	if (found.st_nlink > 1 && found.st_uid != owner && owner != 0 && owner != geteuid())
		return -EPERM;
	*file = found;
	return take_fd(&fd);
}

int socket_file_connect(int fd, int file_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", file_fd);
	return connect(fd, (struct sockaddr *)&address, sizeof(address)) ? -errno : 0;
}

int socket_file_narrow(int file_fd, mode_t most)
{
	char path[FD_PATH_SIZE];
	struct stat file;

	if (fstat(file_fd, &file))
		return -errno;
	if (!(file.st_mode & 0222 & ~most))
		return 0;
	return chmod(fd_path(file_fd, path), file.st_mode & 07777 & most) ? -errno : 0;
}
