// SPDX-License-Identifier: BSD-2-Clause
// Attaches, pins, adopts and clears the links of the confinement.
#include "daemon/confinement/confinement_links.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/kernel/pins.h"
#include "daemon/log.h"

static int make_confinement_link_directory(const char *path, struct err *err)
{
	if (mkdir(path, 0700) && errno != EEXIST)
		return err_errno(err, -errno, "cannot make the directory %s", path);
	return 0;
}

int confinement_links_directory(const char *pin_dir, const struct confinement_cgroup *cgroup,
	char directory[PATH_MAX], struct err *err)
{
	char parent[PATH_MAX], name[24];
	int result;

	snprintf(name, sizeof(name), "%" PRIx64, cgroup->id);
	if (pins_path(pin_dir, "confinement", parent) || pins_path(parent, name, directory))
		return err_errno(err, -ENAMETOOLONG, "%s", pin_dir);
	result = make_confinement_link_directory(parent, err);
	return result ? result : make_confinement_link_directory(directory, err);
}

/* The cgroup that the link is attached to; 0: it is gone, or this is no link to a cgroup. */
static uint64_t cgroup_of(struct bpf_link *link)
{
	struct bpf_link_info info = {0};
	uint32_t length = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_link__fd(link), &info, &length))
		return 0;
	return info.type == BPF_LINK_TYPE_CGROUP ? info.cgroup.cgroup_id : 0;
}

int confinement_links_attach(struct bpf_program *program, const struct confinement_cgroup *cgroup,
	const char *directory, struct bpf_link **out, bool *adopted, struct err *err)
{
	const char *name = bpf_program__name(program);
	struct bpf_link *link, *before = NULL;
	char path[PATH_MAX];

	if (directory[0]) {
		if (pins_path(directory, name, path))
			return err_errno(err, -ENAMETOOLONG, "%s", directory);
		before = bpf_link__open(path);
		if (before && cgroup_of(before) == cgroup->id &&
			!bpf_link__update_program(before, program)) {
			*out = before;
			*adopted = true;
			return 0;
		}
	}
	link = bpf_program__attach_cgroup(program, cgroup->fd);
	if (!link) {
		int result = -errno;

		bpf_link__destroy(before);
		return err_errno(err, result, "attaching %s to %s", name, cgroup->path);
	}
	if (before) {
		unlink(path);
		bpf_link__destroy(before);
	}
	if (directory[0] && bpf_link__pin(link, path)) {
		err_errno(err, -errno, "pinning %s", path);
		bpf_link__destroy(link);
		return err->code;
	}
	*out = link;
	return 0;
}

static bool is_gone(const char *directory, const char *name)
{
	char path[PATH_MAX];
	struct bpf_link *link;
	bool gone;

	if (pins_path(directory, name, path))
		return false;
	link = bpf_link__open(path);
	gone = !link || !cgroup_of(link);
	bpf_link__destroy(link);
	return gone;
}

/* What only loses its pin is detached some time after. */
static void detach_confinement_link(const char *directory, const char *name)
{
	char path[PATH_MAX];
	struct bpf_link *link = pins_path(directory, name, path) ? NULL : bpf_link__open(path);

	if (link && bpf_link__detach(link))
		log_debug("%s: %s", path, strerror(errno));
	bpf_link__destroy(link);
}

static void clear_directory(const char *directory, bool all)
{
	cleanup_closedir DIR *listing = opendir(directory);
	struct dirent *entry;

	while (listing && (entry = readdir(listing))) {
		if (entry->d_name[0] == '.' || (!all && !is_gone(directory, entry->d_name)))
			continue;
		if (all)
			detach_confinement_link(directory, entry->d_name);
		unlinkat(dirfd(listing), entry->d_name, 0);
	}
	rmdir(directory);
}

void confinement_links_clear(const char *pin_dir, bool all)
{
	char parent[PATH_MAX], directory[PATH_MAX];
	cleanup_closedir DIR *listing =
		pins_path(pin_dir, "confinement", parent) ? NULL : opendir(parent);
	struct dirent *entry;

	while (listing && (entry = readdir(listing))) {
		if (entry->d_name[0] != '.' && !pins_path(parent, entry->d_name, directory))
			clear_directory(directory, all);
	}
}
