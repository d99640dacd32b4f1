// SPDX-License-Identifier: BSD-2-Clause
// Finds the cgroup v2 hierarchy, and the daemon's place in it. The run directory remembers where
// the cgroup is, for the next daemon and for --detach.
#include "daemon/confinement/confinement_cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/log.h"
#include "exec/cgroup.h"

#define PREFIX "socketbox-confinement-"

/* Appends the process's own cgroup to where the hierarchy is mounted. A confinement, this one or
 * that of whoever started us, is never the outside. */
static int find_outside(char path[PATH_MAX], bool *inside)
{
	cleanup_fclose FILE *file = fopen("/proc/self/cgroup", "re");
	size_t used = strlen(path);
	char line[PATH_MAX], *last;

	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "0::/", 4) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		last = strrchr(line, '/');
		*inside = !strncmp(last + 1, PREFIX, strlen(PREFIX));
		if (*inside)
			*last = '\0';
		if (snprintf(path + used, PATH_MAX - used, "%s",
			    strlen(line) > 4 ? line + 3 : "") >= (int)(PATH_MAX - used))
			return -ENAMETOOLONG;
		return 0;
	}
	return -ENOENT;
}

/* In a container, what is mounted may be another part of the hierarchy than the process is in. */
static bool is_cgroup(const char *path)
{
	struct statfs what;

	return !statfs(path, &what) && what.f_type == CGROUP2_SUPER_MAGIC;
}

/* Where the hierarchy is mounted, and where the process is in it, or was before it entered a
 * confinement. */
static int locate_confinement_cgroup(
	char root[PATH_MAX], char outside[PATH_MAX], bool *inside, struct err *err)
{
	cleanup_fclose FILE *mounts = fopen("/proc/self/mounts", "re");
	int result = mounts ? cgroup_find(mounts, root, PATH_MAX) : -errno;

	if (result)
		return err_set(err, result,
			"no cgroup v2 hierarchy is mounted (mount -t cgroup2 none /sys/fs/cgroup/unified)");
	strcpy(outside, root);
	result = find_outside(outside, inside);
	if (result)
		return err_errno(err, result, "/proc/self/cgroup");
	if (!is_cgroup(outside))
		strcpy(outside, root);
	return 0;
}

static int write_text(int directory, const char *name, const char *text)
{
	cleanup_close int fd = openat(directory, name, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* Moves this process, all of its threads, into the cgroup. */
static int move_into(int directory)
{
	return write_text(directory, "cgroup.procs", "0");
}

/* The run directory's own number, since paths are the same in many mount namespaces. */
static int cgroup_name(const char *run_dir, char *name, size_t size, struct err *err)
{
	struct stat directory;

	if (stat(run_dir, &directory))
		return err_errno(err, -errno, "%s", run_dir);
	snprintf(name, size, PREFIX "%" PRIx64 "-%" PRIx64, (uint64_t)directory.st_dev,
		(uint64_t)directory.st_ino);
	return 0;
}

/* Makes or finds parent/name, and enters it. */
static int enter_below(
	const char *parent, const char *name, struct confinement_cgroup *cgroup, struct err *err)
{
	char path[PATH_MAX];
	cleanup_close int fd = -1;
	struct stat directory = {0};
	bool made;
	int result;

	if (snprintf(path, sizeof(path), "%s/%s", parent, name) >= (int)sizeof(path))
		return err_errno(err, -ENAMETOOLONG, "%s", parent);
	made = !mkdir(path, 0755);
	if (!made && errno != EEXIST)
		return err_errno(err, -errno, "cannot make the cgroup %s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	result = fd < 0 || fstat(fd, &directory) ? -errno : move_into(fd);
	if (result) {
		err_errno(err, result, "cannot enter the cgroup %s", path);
		if (made)
			rmdir(path);
		return result;
	}
	strcpy(cgroup->path, path);
	cgroup->id = directory.st_ino;
	cgroup->fd = take_fd(&fd);
	return 0;
}

static bool note_path(const char *run_dir, char path[PATH_MAX])
{
	return snprintf(path, PATH_MAX, "%s/cgroup", run_dir) < PATH_MAX;
}

/* The path that the run directory remembers; empty if there is none. */
static void read_note(const char *run_dir, char path[PATH_MAX])
{
	char note[PATH_MAX];
	cleanup_fclose FILE *file = note_path(run_dir, note) ? fopen(note, "re") : NULL;
	const char *name;

	if (!file || !fgets(path, PATH_MAX, file))
		path[0] = '\0';
	path[strcspn(path, "\n")] = '\0';
	name = strrchr(path, '/');
	if (!name || strncmp(name + 1, PREFIX, strlen(PREFIX)) != 0)
		path[0] = '\0';
}

static void write_note(const char *run_dir, const char *path)
{
	char note[PATH_MAX];
	cleanup_fclose FILE *file = note_path(run_dir, note) ? fopen(note, "we") : NULL;

	if (!file || fprintf(file, "%s\n", path) < 0)
		log_warning(
			"cannot write %s: --detach will leave the cgroup %s behind", note, path);
}

int confinement_cgroup_enter(
	const char *run_dir, struct confinement_cgroup *cgroup, struct err *err)
{
	char root[PATH_MAX], before[PATH_MAX], name[64];
	bool inside = false;
	int result = locate_confinement_cgroup(root, cgroup->outside, &inside, err);

	if (!result)
		result = cgroup_name(run_dir, name, sizeof(name), err);
	if (result)
		return result;
	result = enter_below(cgroup->outside, name, cgroup, err);
	if (result && strcmp(root, cgroup->outside) != 0)
		result = enter_below(root, name, cgroup, err);
	if (result)
		return result;
	read_note(run_dir, before);
	if (before[0] && strcmp(before, cgroup->path) != 0)
		rmdir(before);
	write_note(run_dir, cgroup->path);
	return 0;
}

int confinement_cgroup_check(struct err *err)
{
	char root[PATH_MAX], outside[PATH_MAX];
	bool inside = false;
	int result = locate_confinement_cgroup(root, outside, &inside, err);

	if (!result && access(outside, W_OK) && access(root, W_OK))
		result = err_errno(err, -errno, "cannot make a cgroup in %s", outside);
	return result;
}

/* Out of whatever confinement the process is in. */
static void step_outside(void)
{
	char root[PATH_MAX], outside[PATH_MAX];
	cleanup_close int fd = -1;
	bool inside = false;

	if (locate_confinement_cgroup(root, outside, &inside, NULL) || !inside)
		return;
	fd = open(outside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || move_into(fd))
		log_warning("cannot go back to the cgroup %s: %s", outside, strerror(errno));
}

void confinement_cgroup_remove(const char *run_dir)
{
	char path[PATH_MAX], note[PATH_MAX];

	read_note(run_dir, path);
	if (!path[0])
		return;
	step_outside();
	if (rmdir(path) && errno != ENOENT) {
		log_warning("cannot remove the cgroup %s: %s", path, strerror(errno));
		return;
	}
	if (note_path(run_dir, note))
		unlink(note);
}
