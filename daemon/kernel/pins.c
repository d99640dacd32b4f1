// SPDX-License-Identifier: BSD-2-Clause
// Mounts, finds and removes the bpffs that holds the pins.
#include "daemon/kernel/pins.h"

#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "bpf/steer_maps.h"
#include "common/cleanup.h"
#include "daemon/log.h"

int pins_path(const char *directory, const char *name, char path[PATH_MAX])
{
	return snprintf(path, PATH_MAX, "%s/%s", directory, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static bool is_bpffs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

static int make_pin_directory(const char *path, struct err *err)
{
	if (mkdir(path, 0700) && errno != EEXIST)
		return err_errno(err, -errno, "cannot make the directory %s", path);
	return 0;
}

void pins_detach_link(const char *path)
{
	struct bpf_link *link = bpf_link__open(path);

	/* EINVAL: it is a map. */
	if (link && bpf_link__detach(link))
		log_debug("%s: %s", path, strerror(errno));
	bpf_link__destroy(link);
	unlink(path);
}

/* Layouts have directories in directories, and no more than that. */
static void clear_pin_directory(const char *path, unsigned depth)
{
	cleanup_closedir DIR *listing = depth ? opendir(path) : NULL;
	struct dirent *entry;

	while (listing && (entry = readdir(listing))) {
		char inner[PATH_MAX];

		if (entry->d_name[0] == '.' || pins_path(path, entry->d_name, inner))
			continue;
		if (entry->d_type == DT_DIR)
			clear_pin_directory(inner, depth - 1);
		else
			pins_detach_link(inner);
	}
	rmdir(path);
}

void pins_detach(const char *run_dir, const char *keep)
{
	char mount_point[PATH_MAX], layout[PATH_MAX];
	cleanup_closedir DIR *listing = NULL;
	struct dirent *entry;

	if (pins_path(run_dir, "bpf", mount_point) || !is_bpffs(mount_point))
		return;
	listing = opendir(mount_point);
	while (listing && (entry = readdir(listing))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.' ||
			(keep && !strcmp(entry->d_name, keep)) ||
			pins_path(mount_point, entry->d_name, layout))
			continue;
		if (keep)
			log_info("detaching what a daemon of another version has pinned in %s",
				layout);
		clear_pin_directory(layout, 4);
	}
}

int pins_open(const char *run_dir, char directory[PATH_MAX], struct err *err)
{
	char mount_point[PATH_MAX];
	int result;

	if (pins_path(run_dir, "bpf", mount_point) ||
		pins_path(mount_point, STEER_LAYOUT, directory))
		return err_errno(err, -ENAMETOOLONG, "%s", run_dir);
	if (!is_bpffs(mount_point)) {
		result = make_pin_directory(mount_point, err);
		if (result)
			return result;
		if (mount("bpf", mount_point, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"))
			return err_errno(err, -errno,
				"cannot mount a bpf file system on %s (needs CAP_SYS_ADMIN; or mount one there beforehand)",
				mount_point);
	}
	pins_detach(run_dir, STEER_LAYOUT);
	return make_pin_directory(directory, err);
}

int pins_remove(const char *run_dir, struct err *err)
{
	char mount_point[PATH_MAX];

	if (pins_path(run_dir, "bpf", mount_point))
		return err_errno(err, -ENAMETOOLONG, "%s", run_dir);
	while (is_bpffs(mount_point)) {
		if (umount2(mount_point, MNT_DETACH))
			return err_errno(err, -errno, "cannot unmount %s", mount_point);
	}
	return 0;
}
