// SPDX-License-Identifier: BSD-2-Clause
// Attaches, pins, adopts and clears the links of the fence.
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

static int make_folder(const char *path, struct err *err)
{
	if (mkdir(path, 0700) && errno != EEXIST)
		return err_errno(err, -errno, "cannot make the folder %s", path);
	return 0;
}

int fence_links_folder(const char *pin_dir, const struct fence_cgroup *cgroup,
	char folder[PATH_MAX], struct err *err)
{
	char parent[PATH_MAX], name[24];
	int result;

	snprintf(name, sizeof(name), "%" PRIx64, cgroup->id);
	if (pins_path(pin_dir, "fence", parent) || pins_path(parent, name, folder))
		return err_errno(err, -ENAMETOOLONG, "%s", pin_dir);
	result = make_folder(parent, err);
	return result ? result : make_folder(folder, err);
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

int fence_links_attach(struct bpf_program *program, const struct fence_cgroup *cgroup,
	const char *folder, struct bpf_link **out, bool *adopted, struct err *err)
{
	const char *name = bpf_program__name(program);
	struct bpf_link *link, *before = NULL;
	char path[PATH_MAX];

	if (folder[0]) {
		if (pins_path(folder, name, path))
			return err_errno(err, -ENAMETOOLONG, "%s", folder);
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
	if (folder[0] && bpf_link__pin(link, path)) {
		err_errno(err, -errno, "pinning %s", path);
		bpf_link__destroy(link);
		return err->code;
	}
	*out = link;
	return 0;
}

static bool is_gone(const char *folder, const char *name)
{
	char path[PATH_MAX];
	struct bpf_link *link;
	bool gone;

	if (pins_path(folder, name, path))
		return false;
	link = bpf_link__open(path);
	gone = !link || !cgroup_of(link);
	bpf_link__destroy(link);
	return gone;
}

/* What only loses its pin is detached some time after. */
static void detach(const char *folder, const char *name)
{
	char path[PATH_MAX];
	struct bpf_link *link = pins_path(folder, name, path) ? NULL : bpf_link__open(path);

	if (link && bpf_link__detach(link))
		log_debug("%s: %s", path, strerror(errno));
	bpf_link__destroy(link);
}

static void clear_folder(const char *folder, bool all)
{
	cleanup_closedir DIR *directory = opendir(folder);
	struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		if (entry->d_name[0] == '.' || (!all && !is_gone(folder, entry->d_name)))
			continue;
		if (all)
			detach(folder, entry->d_name);
		unlinkat(dirfd(directory), entry->d_name, 0);
	}
	rmdir(folder);
}

void fence_links_clear(const char *pin_dir, bool all)
{
	char parent[PATH_MAX], folder[PATH_MAX];
	cleanup_closedir DIR *directory =
		pins_path(pin_dir, "fence", parent) ? NULL : opendir(parent);
	struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		if (entry->d_name[0] != '.' && !pins_path(parent, entry->d_name, folder))
			clear_folder(folder, all);
	}
}
