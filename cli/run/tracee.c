// SPDX-License-Identifier: BSD-2-Clause
// Reads another process by /proc, process_vm_readv(2) and pidfds.
#include "cli/run/tracee.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/cleanup.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

static int open_proc(pid_t pid, const char *name, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Reads a whole /proc file. */
static int slurp_tracee(pid_t pid, const char *name, char **out)
{
	cleanup_close int fd = open_proc(pid, name, O_RDONLY);
	cleanup_free char *text = NULL;
	size_t used = 0, room = 0;
	ssize_t got;

	if (fd < 0)
		return fd;
	do {
		if (room - used < 2) {
			char *more = realloc(text, room + 4096);

			if (!more)
				return -ENOMEM;
			text = more;
			room += 4096;
		}
		got = read(fd, text + used, room - used - 1);
		if (got < 0)
			return -errno;
		used += (size_t)got;
	} while (got);
	text[used] = '\0';
	*out = take_ptr(&text);
	return 0;
}

static pid_t group_of(pid_t thread)
{
	cleanup_free char *status = NULL;
	const char *line;

	if (slurp_tracee(thread, "status", &status))
		return 0;
	line = strstr(status, "\nTgid:");
	return line ? (pid_t)strtol(line + strlen("\nTgid:"), NULL, 10) : 0;
}

/* Notifications carry a thread's id, which pidfd_open(2) takes since Linux 6.9: the thread may
 * have descriptors of its own, or its group's leader may have ended. */
int tracee_open(pid_t thread, struct tracee *tracee, struct err *err)
{
	int pidfd = (int)syscall(SYS_pidfd_open, thread, PIDFD_THREAD);

	if (pidfd < 0 && errno == EINVAL) {
		pid_t group = group_of(thread);

		pidfd = group ? (int)syscall(SYS_pidfd_open, group, 0) : -1;
	}
	if (pidfd < 0)
		return err_errno(err, -errno, "pidfd_open(%d)", (int)thread);
	*tracee = (struct tracee){.thread = thread, .pidfd = pidfd};
	return 0;
}

void tracee_fini(struct tracee *tracee)
{
	cleanup_close_fd(&tracee->pidfd);
}

int tracee_netns(const struct tracee *tracee, ino_t *netns)
{
	char path[64];
	struct stat file;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)tracee->thread);
	if (stat(path, &file))
		return errno == EACCES ? -EPERM : -errno;
	*netns = file.st_ino;
	return 0;
}

int tracee_read(const struct tracee *tracee, unsigned long long address, void *out, size_t length)
{
	struct iovec local = {.iov_base = out, .iov_len = length};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)address, .iov_len = length};
	ssize_t got = process_vm_readv(tracee->thread, &local, 1, &remote, 1, 0);

	if (got < 0)
		return -errno;
	return (size_t)got == length ? 0 : -EFAULT;
}

int tracee_get_fd(const struct tracee *tracee, int fd)
{
	int copy = (int)syscall(SYS_pidfd_getfd, tracee->pidfd, fd, 0);

	return copy < 0 ? -errno : copy;
}

int tracee_each_fd(const struct tracee *tracee,
	void (*visit)(int fd, const char *link, void *context), void *context)
{
	int fd = open_proc(tracee->thread, "fd", O_RDONLY | O_DIRECTORY);
	cleanup_closedir DIR *directory = NULL;
	struct dirent *entry;
	char link[64];

	if (fd < 0)
		return fd;
	directory = fdopendir(fd);
	if (!directory) {
		close(fd);
		return -errno;
	}
	while ((entry = readdir(directory))) {
		ssize_t length =
			readlinkat(dirfd(directory), entry->d_name, link, sizeof(link) - 1);

		if (length < 0)
			continue;
		link[length] = '\0';
		visit(atoi(entry->d_name), link, context);
	}
	return 0;
}

int tracee_fd_info(const struct tracee *tracee, int fd, char **text)
{
	char name[32];

	snprintf(name, sizeof(name), "fdinfo/%d", fd);
	return slurp_tracee(tracee->thread, name, text);
}

void tracee_name(const struct tracee *tracee, char name[16])
{
	cleanup_close int fd = open_proc(tracee->thread, "comm", O_RDONLY);
	ssize_t got = fd < 0 ? -1 : read(fd, name, 15);

	if (got <= 0)
		strcpy(name, "?");
	else
		name[got - (name[got - 1] == '\n')] = '\0';
}
