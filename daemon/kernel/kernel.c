// SPDX-License-Identifier: BSD-2-Clause
// Loads, adopts and attaches the programs.
#include "daemon/kernel/kernel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/kernel/libbpf_log.h"
#include "daemon/kernel/pins.h"
#include "daemon/log.h"
#include "steer.skel.h"

static const char *const map_names[] = {
	"tables", "counters", "sockets", "groups", "group_addresses", "guards"};

static bool kernel_at_least(unsigned major, unsigned minor)
{
	struct utsname name;
	unsigned have_major, have_minor;

	if (uname(&name) || sscanf(name.release, "%u.%u", &have_major, &have_minor) != 2)
		return false;
	return have_major > major || (have_major == major && have_minor >= minor);
}

/* What a failure to load means for the person who has to mend it. */
static int explain_load_failure(int code, struct err *err)
{
	if (!kernel_at_least(5, 10))
		return err_set(err, -ENOSYS,
			"the kernel engine needs Linux 5.10 or newer (sk_lookup with route tables of any size)");
	if (code == -EPERM)
		return err_set(err, code,
			"the kernel refused the BPF programs (%s): run socketboxd as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN (for systemd: AmbientCapabilities=); a kernel in lockdown mode, or a container without these capabilities, cannot run the kernel engine",
			strerror(-code));
	if (code == -EACCES)
		return err_set(err, code,
			"this kernel's BPF verifier rejects the programs; please report the output of socketboxd --debug and uname -r");
	if (code == -ENOSYS)
		return err_set(err, code, "this kernel was built without BPF (CONFIG_BPF_SYSCALL)");
	return err_errno(err, code, "the kernel refused the BPF programs");
}

static int set_kernel_pin_paths(struct kernel *kernel, struct err *err)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(map_names) / sizeof(*map_names); i++) {
		struct bpf_map *map =
			bpf_object__find_map_by_name(kernel->skeleton->obj, map_names[i]);
		int result = pins_path(kernel->pin_dir, map_names[i], path);

		if (!result)
			result = bpf_map__set_pin_path(map, path);
		if (result)
			return err_errno(err, result, "%s/%s", kernel->pin_dir, map_names[i]);
	}
	return 0;
}

static int load_kernel(struct kernel *kernel, struct err *err)
{
	int result;

	kernel->skeleton = steer__open();
	if (!kernel->skeleton)
		return explain_load_failure(-errno, err);
	kernel->migrates = kernel_at_least(5, 14);
	bpf_program__set_autoload(kernel->skeleton->progs.migrate, kernel->migrates);
	kernel->skeleton->rodata->looks_up_percpu =
		libbpf_probe_bpf_helper(
			BPF_PROG_TYPE_SK_LOOKUP, BPF_FUNC_map_lookup_percpu_elem, NULL) == 1;
	if (kernel->pin_dir[0]) {
		result = set_kernel_pin_paths(kernel, err);
		if (result)
			return result;
	}
	result = steer__load(kernel->skeleton);
	if (!result)
		return 0;
	steer__destroy(kernel->skeleton);
	kernel->skeleton = NULL;
	return explain_load_failure(result, err);
}

/* Loads with pins, or without them where they are the problem. */
static int load_pinned_or_not(struct kernel *kernel, const char *run_dir, struct err *err)
{
	char path[PATH_MAX];
	struct err pin_err;

	if (!pins_open(run_dir, kernel->pin_dir, &pin_err)) {
		int result = load_kernel(kernel, err);

		if (!result || result == -EPERM || result == -ENOSYS)
			return result;
		err_set(&pin_err, result, "pinning in %s failed: %s", kernel->pin_dir, err->text);
	}
	/* An earlier daemon's program must not decide beside this one's. */
	if (kernel->pin_dir[0] && !pins_path(kernel->pin_dir, "link", path))
		pins_detach_link(path);
	kernel->pin_dir[0] = '\0';
	kernel->pin_fault = pin_err;
	return load_kernel(kernel, err);
}

static void close_kernel_engine(struct engine *engine)
{
	struct kernel *kernel = kernel_of(engine);

	kernel_drop_table(kernel);
	kernel_close_drop_sockets(kernel);
	bpf_link__destroy(kernel->link); /* a pinned link stays attached */
	steer__destroy(kernel->skeleton);
	free(kernel);
}

static void kernel_info(const struct engine *engine, struct engine_info *out)
{
	const struct kernel *kernel = (const struct kernel *)engine;

	*out = (struct engine_info){
		.name = "kernel",
		.steers = true,
		.adopted = kernel->adopted,
		.migrates = kernel->migrates,
		.pin_dir = kernel->pin_dir[0] ? kernel->pin_dir : NULL,
		.pin_fault = kernel->pin_dir[0] ? NULL : kernel->pin_fault.text,
	};
}

/* True if the link decides for this process's network namespace: it may be left from another. */
static bool link_is_ours(struct bpf_link *link)
{
	struct bpf_link_info info = {0};
	uint32_t length = sizeof(info);
	struct stat ns;

	return !bpf_obj_get_info_by_fd(bpf_link__fd(link), &info, &length) &&
	       info.type == BPF_LINK_TYPE_NETNS && !stat("/proc/self/ns/net", &ns) &&
	       info.netns.netns_ino == ns.st_ino;
}

static struct bpf_link *adopt_link(struct kernel *kernel, const char *path)
{
	struct bpf_link *link = bpf_link__open(path);

	if (!link)
		return NULL;
	if (link_is_ours(link) && !bpf_link__update_program(link, kernel->skeleton->progs.steer))
		return link;
	unlink(path);
	bpf_link__destroy(link);
	return NULL;
}

static int attach_kernel(struct engine *engine, struct err *err)
{
	struct kernel *kernel = kernel_of(engine);
	cleanup_close int netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	char path[PATH_MAX] = "";
	int result;

	if (netns < 0)
		return err_errno(err, -errno, "/proc/self/ns/net");
	if (kernel->pin_dir[0]) {
		result = pins_path(kernel->pin_dir, "link", path);
		if (result)
			return err_errno(err, result, "%s", kernel->pin_dir);
		kernel->link = adopt_link(kernel, path);
		kernel->adopted = kernel->link;
		if (kernel->link)
			return 0;
	}
	kernel->link = bpf_program__attach_netns(kernel->skeleton->progs.steer, netns);
	if (!kernel->link) {
		result = -errno;
		return result == -E2BIG
			       ? err_set(err, result,
					 "this network namespace has the most sk_lookup programs that the kernel allows; see 'bpftool link' for whose they are")
			       : explain_load_failure(result, err);
	}
	if (path[0] && bpf_link__pin(kernel->link, path)) {
		err_errno(&kernel->pin_fault, -errno, "cannot pin the link at %s", path);
		kernel->pin_dir[0] = '\0';
	}
	return 0;
}

static const struct engine_ops ops = {
	.close = close_kernel_engine,
	.info = kernel_info,
	.install = kernel_install,
	.attach = attach_kernel,
	.steer = kernel_steer,
	.unsteer = kernel_unsteer,
	.steered = kernel_steered,
	.reconcile = kernel_reconcile,
	.set_members = kernel_set_members,
	.members = kernel_members,
	.migrate = kernel_migrate,
	.stop_migrating = kernel_stop_migrating,
	.guard = kernel_guard,
	.unguard = kernel_unguard,
	.explain = kernel_explain,
	.time = kernel_time,
	.count = kernel_count,
};

int kernel_open(const char *run_dir, struct engine **out, struct err *err)
{
	struct kernel *kernel = calloc(1, sizeof(*kernel));
	int result;

	if (!kernel)
		return err_errno(err, -ENOMEM, "starting the kernel engine");
	kernel->base.ops = &ops;
	kernel->counters_fd = -1;
	for (int i = 0; i < KERNEL_DROP_SOCKETS; i++)
		kernel->drop_sockets[i] = -1;
	libbpf_log_open();
	kernel->cpus = libbpf_num_possible_cpus();
	result = load_pinned_or_not(kernel, run_dir, err);
	if (!result)
		result = kernel_open_drop_sockets(kernel, err);
	if (result) {
		close_kernel_engine(&kernel->base);
		return result;
	}
	kernel_adopt_table(kernel);
	kernel_forget_dead_guards(kernel);
	*out = &kernel->base;
	return 0;
}

int kernel_check(struct err *err)
{
	struct kernel kernel = {0};
	int result;

	libbpf_log_open();
	result = load_kernel(&kernel, err);
	steer__destroy(kernel.skeleton);
	return result;
}

int kernel_remove(const char *run_dir, struct err *err)
{
	libbpf_log_open();
	pins_detach(run_dir, NULL);
	return pins_remove(run_dir, err);
}
