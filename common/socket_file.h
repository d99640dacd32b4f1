/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files of Unix sockets in directories that others can write. Nothing is done to a path after it
 * was looked at: what is there may be another file by then, or a symbolic link to one. Thread-safe;
 * allocates nothing.
 */
#ifndef SOCKETBOX_COMMON_SOCKET_FILE_H
#define SOCKETBOX_COMMON_SOCKET_FILE_H

#include <sys/stat.h>
#include <sys/un.h>

/*
 * Binds the socket, whose file has exactly this mode (0 to 0777) and is at no moment more open. The
 * kernel makes the file with the socket's own mode less the umask (unix_bind_bsd in
 * net/unix/af_unix.c), so that is set before. Negative errno; then there is no file, unless its
 * mode could not be widened.
 */
int socket_file_bind(int fd, const struct sockaddr_un *address, mode_t mode);

/*
 * Opens the file at the path for reference (O_PATH), without following a symbolic link there, and
 * describes it. -ENOENT; -ELOOP: it is a symbolic link; -ENOTSOCK: another kind of file; -EPERM: a
 * file of root, or of the process's user, that somebody else has linked into a directory of theirs.
 */
int socket_file_open(const char *path, struct stat *file);

/* The same without the last rule: whoever it belongs to. */
int socket_file_refer(const char *path, struct stat *file);

/* Connects to the very socket that socket_file_open has opened. */
int socket_file_connect(int fd, int file_fd);

/* Takes from the mode of the file what is not in `most`. 0 where nothing is to be done. */
int socket_file_narrow(int file_fd, mode_t most);

#endif
