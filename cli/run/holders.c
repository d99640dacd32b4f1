// SPDX-License-Identifier: BSD-2-Clause
// Walks the tree of processes in /proc, and the descriptors of each.
#include "cli/run/holders.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

#define MAX_DEPTH 64

static bool holds_holder(const char *pid, const char *wanted)
{
	char path[64], link[64];
	bool found = false;
	struct dirent *entry;
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
	directory = opendir(path);
	while (directory && !found && (entry = readdir(directory))) {
		ssize_t length =
			readlinkat(dirfd(directory), entry->d_name, link, sizeof(link) - 1);

		link[length < 0 ? 0 : length] = '\0';
		found = !strcmp(link, wanted);
	}
	if (directory)
		closedir(directory);
	return found;
}

static bool below_holder(const char *pid, const char *wanted, int depth);

static bool below_thread(const char *pid, const char *thread, const char *wanted, int depth)
{
	cleanup_fclose FILE *children = NULL;
	char path[96], child[16];

	snprintf(path, sizeof(path), "/proc/%.16s/task/%.16s/children", pid, thread);
	children = fopen(path, "re");
	while (children && fscanf(children, "%15s", child) == 1) {
		if (holds_holder(child, wanted) || below_holder(child, wanted, depth + 1))
			return true;
	}
	return false;
}

static bool below_holder(const char *pid, const char *wanted, int depth)
{
	bool found = false;
	struct dirent *entry;
	char path[64];
	DIR *directory;

	if (depth > MAX_DEPTH)
		return false;
	snprintf(path, sizeof(path), "/proc/%.16s/task", pid);
	directory = opendir(path);
	while (directory && !found && (entry = readdir(directory))) {
		if (entry->d_name[0] != '.')
			found = below_thread(pid, entry->d_name, wanted, depth);
	}
	if (directory)
		closedir(directory);
	return found;
}

bool holders_any(int fd)
{
	char wanted[64], own[16];
	struct stat file;

	if (fstat(fd, &file))
		return false;
	snprintf(wanted, sizeof(wanted), "socket:[%lu]", (unsigned long)file.st_ino);
	snprintf(own, sizeof(own), "%d", (int)getpid());
	return below_holder(own, wanted, 0);
}
