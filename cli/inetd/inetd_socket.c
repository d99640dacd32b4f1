// SPDX-License-Identifier: BSD-2-Clause
// Makes or inherits the receiving socket, and takes connections out of it.
#include "cli/inetd/inetd_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/cleanup.h"

static int get_option(int fd, int name)
{
	int value = -1;
	socklen_t length = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &length) ? -1 : value;
}

static int inherit_inetd_socket(int fd, bool any, struct socket *out, struct err *err)
{
	int type = get_option(fd, SO_TYPE), family = get_option(fd, SO_DOMAIN);
	bool listens = get_option(fd, SO_ACCEPTCONN) == 1;

	if (type < 0)
		return err_errno(err, -errno,
			"descriptor %d is not an inherited socket (a path that is a number is written ./%d)",
			fd, fd);
	if (!any && !listens && family != AF_UNIX)
		return err_set(err, -EINVAL,
			"descriptor %d is neither a Unix socket that brings connections nor a listening one; for a UDP socket use --wait",
			fd);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK))
		return err_errno(err, -errno, "descriptor %d", fd);
	*out = (struct socket){.fd = fd, .accepts = listens, .datagrams = type == SOCK_DGRAM};
	return 0;
}

/* Removes a socket file that nobody serves: connecting to it is refused. */
static int remove_inetd_socket_stale(const struct sockaddr_un *address, struct err *err)
{
	cleanup_close int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct stat file;

	if (lstat(address->sun_path, &file))
		return 0; /* it went by itself */
	if (!S_ISSOCK(file.st_mode))
		return err_set(err, -EEXIST,
			"%s is there and is not a socket; name another path, or remove it",
			address->sun_path);
	if (probe < 0)
		return err_errno(err, -errno, "socket");
	if (!connect(probe, (const struct sockaddr *)address, sizeof(*address)) ||
		errno != ECONNREFUSED)
		return err_set(err, -EADDRINUSE,
			"somebody serves %s already; end that, or name another path",
			address->sun_path);
	if (unlink(address->sun_path))
		return err_errno(err, -errno, "replacing %s", address->sun_path);
	return 0;
}

static int make_inetd_socket(const char *path, int mode, struct socket *out, struct err *err)
{
	cleanup_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;
	struct stat file = {0};
	int result = channel_address(path, "the path", &address, err);

	if (result)
		return result;
	if (fd < 0)
		return err_errno(err, -errno, "socket");
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address))) {
		if (errno != EADDRINUSE)
			return err_errno(err, -errno, "making %s", path);
		result = remove_inetd_socket_stale(&address, err);
		if (result)
			return result;
		if (bind(fd, (const struct sockaddr *)&address, sizeof(address)))
			return err_errno(err, -errno, "making %s", path);
	}
	if ((mode >= 0 && chmod(path, (mode_t)mode)) || stat(path, &file))
		return err_errno(err, -errno, "making %s", path);
	*out = (struct socket){
		.fd = take_fd(&fd),
		.datagrams = true,
		.path = path,
		.device = file.st_dev,
		.inode = file.st_ino,
	};
	return 0;
}

int socket_open(const char *word, int mode, bool any, struct socket *out, struct err *err)
{
	if (word[0] && !word[strspn(word, "0123456789")] && strlen(word) < 8)
		return inherit_inetd_socket(atoi(word), any, out, err);
	return make_inetd_socket(word, mode, out, err);
}

void socket_close(struct socket *socket)
{
	struct stat file;

	if (socket->path && !stat(socket->path, &file) && file.st_dev == socket->device &&
		file.st_ino == socket->inode)
		unlink(socket->path);
	cleanup_close_fd(&socket->fd);
}

static int accept_next(const struct socket *socket, int *connection)
{
	for (;;) {
		int fd = accept4(socket->fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0) {
			*connection = fd;
			return 0;
		}
		/* accept(2) reports what happened to a connection that is gone already. */
		if (errno == EAGAIN || errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			errno == ENOBUFS || errno == EBADF || errno == EINVAL)
			return errno == EBADF || errno == EINVAL ? -EPIPE : -errno;
	}
}

/* True if the next descriptor that comes has a number; else the kernel would drop it. */
static bool has_inetd_socket_room(int fd)
{
	cleanup_close int probe = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return probe >= 0;
}

int socket_next(const struct socket *socket, int *connection, struct err *err)
{
	cleanup_close int fd = -1;
	char message[16];
	ssize_t length;

	if (socket->accepts)
		return accept_next(socket, connection);
	if (!has_inetd_socket_room(socket->fd))
		return -errno;
	length = channel_receive(socket->fd, message, sizeof(message), &fd, MSG_DONTWAIT);
	if (length < 0)
		return (int)length;
	if (fd < 0)
		return length || socket->datagrams
			       ? err_set(err, -EPROTO, "a message came without a connection")
			       : -EPIPE;
	if (get_option(fd, SO_TYPE) != SOCK_STREAM || get_option(fd, SO_ACCEPTCONN) != 0)
		return err_set(err, -EPROTO,
			"a message brought something that is not a connected stream socket");
	*connection = take_fd(&fd);
	return 0;
}
