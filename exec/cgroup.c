// SPDX-License-Identifier: BSD-2-Clause
// Looks for the cgroup v2 hierarchy in /proc, and makes directories in it.
#include "exec/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"

static char home_path[PATH_MAX];
static int home_fd = -1;

int cgroup_set_home(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, -errno, "opening the cgroup %s", path);
	cleanup_close_fd(&home_fd);
	home_fd = fd;
	snprintf(home_path, sizeof(home_path), "%s", path);
	return 0;
}

int cgroup_home(void)
{
	return home_fd;
}

int cgroup_find(FILE *mounts, char *path, size_t size)
{
	char text[PATH_MAX * 2];
	struct mntent entry;

	while (getmntent_r(mounts, &entry, text, sizeof(text))) {
		if (strcmp(entry.mnt_type, "cgroup2") != 0)
			continue;
		if (strlen(entry.mnt_dir) >= size)
			return -ENAMETOOLONG;
		strcpy(path, entry.mnt_dir);
		return 0;
	}
	return -ENOENT;
}

/* Appends this process's own cgroup, the line "0::/..." of /proc/self/cgroup. */
static int append_own(char *path, size_t size)
{
	cleanup_fclose FILE *file = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX];

	while (file && fgets(line, sizeof(line), file)) {
		size_t used = strlen(path);

		if (strncmp(line, "0::/", 4) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		return snprintf(path + used, size - used, "%s", line[4] ? line + 3 : "") >=
				       (int)(size - used)
			       ? -ENAMETOOLONG
			       : 0;
	}
	return -ENOENT;
}

/* In the parent, or in this process's own cgroup where that is NULL. */
static int open_below(
	const char *parent, const char *name, char *path, int *fd_out, struct err *err)
{
	cleanup_fclose FILE *mounts = parent ? NULL : fopen("/proc/self/mounts", "re");
	cleanup_close int fd = -1;
	char whole[PATH_MAX];
	int result = 0;
	size_t used;

	if (parent)
		snprintf(whole, sizeof(whole), "%s", parent);
	else
		result = mounts ? cgroup_find(mounts, whole, sizeof(whole)) : -ENOENT;
	if (!result && !parent)
		result = append_own(whole, sizeof(whole));
	if (result)
		return err_set(err, result, "no cgroup v2 hierarchy is mounted");
	used = strlen(whole);
	if ((size_t)snprintf(whole + used, sizeof(whole) - used, "/socketbox-%s", name) >=
		sizeof(whole) - used)
		return err_set(err, -ENAMETOOLONG, "the path of its cgroup is too long");
	if (mkdir(whole, 0755) && errno != EEXIST)
		return err_errno(err, -errno, "making %s", whole);
	fd = open(whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, -errno, "opening %s", whole);
	strcpy(path, whole);
	*fd_out = take_fd(&fd);
	return 0;
}

int cgroup_open(const char *parent, const char *name, char *path, int *fd_out, struct err *err)
{
	if (!parent && home_path[0])
		parent = home_path;
	return open_below(parent, name, path, fd_out, err);
}
