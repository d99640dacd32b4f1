// SPDX-License-Identifier: BSD-2-Clause
// Loads, adopts and attaches the kernel engine. Its tables are in engine_table.c, its sockets in
// engine_sockets.c.
#include "daemon/engine.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/engine_private.h"
#include "daemon/log.h"
#include "daemon/pins.h"
#include "steer.skel.h"

static const char *const map_names[] = {
	"tables", "counters", "sockets", "groups", "homes", "guards"};

__attribute__((format(printf, 2, 0))) static int print_libbpf(
	enum libbpf_print_level level, const char *format, va_list args)
{
	cleanup_free char *text = NULL;
	char *line, *rest;

	if (level == LIBBPF_DEBUG)
		return 0;
	if (vasprintf(&text, format, args) < 0) {
		text = NULL;
		return 0;
	}
	/* The verifier's log is one text of many lines. */
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		log_debug("libbpf: %s", line);
	return 0;
}

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

static int set_pin_paths(struct engine *engine, struct err *err)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(map_names) / sizeof(*map_names); i++) {
		struct bpf_map *map =
			bpf_object__find_map_by_name(engine->skeleton->obj, map_names[i]);
		int result = pins_path(engine->pin_dir, map_names[i], path);

		if (!result)
			result = bpf_map__set_pin_path(map, path);
		if (result)
			return err_errno(err, result, "%s/%s", engine->pin_dir, map_names[i]);
	}
	return 0;
}

static int load(struct engine *engine, struct err *err)
{
	int result;

	engine->skeleton = steer__open();
	if (!engine->skeleton)
		return explain_load_failure(-errno, err);
	engine->migrates = kernel_at_least(5, 14);
	bpf_program__set_autoload(engine->skeleton->progs.migrate, engine->migrates);
	engine->skeleton->rodata->looks_up_percpu =
		libbpf_probe_bpf_helper(
			BPF_PROG_TYPE_SK_LOOKUP, BPF_FUNC_map_lookup_percpu_elem, NULL) == 1;
	if (engine->pin_dir[0]) {
		result = set_pin_paths(engine, err);
		if (result)
			return result;
	}
	result = steer__load(engine->skeleton);
	if (!result)
		return 0;
	steer__destroy(engine->skeleton);
	engine->skeleton = NULL;
	return explain_load_failure(result, err);
}

/* Loads with pins, or without them where they are the problem. */
static int load_pinned_or_not(struct engine *engine, const char *run_dir, struct err *err)
{
	struct err pin_err;

	if (!pins_open(run_dir, engine->pin_dir, &pin_err)) {
		int result = load(engine, err);

		if (!result || result == -EPERM || result == -ENOSYS)
			return result;
		err_set(&pin_err, result, "pinning in %s failed: %s", engine->pin_dir, err->text);
	}
	engine->pin_dir[0] = '\0';
	engine->pin_fault = pin_err;
	return load(engine, err);
}

int engine_open(const char *run_dir, struct engine **out, struct err *err)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	int result;

	if (!engine)
		return err_errno(err, -ENOMEM, "starting the kernel engine");
	engine->counters_fd = -1;
	libbpf_set_print(print_libbpf);
	engine->cpus = libbpf_num_possible_cpus();
	result = load_pinned_or_not(engine, run_dir, err);
	if (!result)
		result = engine_open_holes(engine, err);
	if (result) {
		engine_close(engine);
		return result;
	}
	engine_adopt_table(engine);
	*out = engine;
	return 0;
}

void engine_close(struct engine *engine)
{
	if (!engine)
		return;
	engine_drop_table(engine);
	engine_close_holes(engine);
	bpf_link__destroy(engine->link); /* a pinned link stays attached */
	steer__destroy(engine->skeleton);
	free(engine);
}

int engine_remove(const char *run_dir, struct err *err)
{
	return pins_remove(run_dir, err);
}

void engine_facts(const struct engine *engine, struct engine_facts *facts)
{
	*facts = (struct engine_facts){
		.adopted = engine->adopted,
		.migrates = engine->migrates,
		.pin_dir = engine->pin_dir[0] ? engine->pin_dir : NULL,
		.pin_fault = engine->pin_dir[0] ? NULL : engine->pin_fault.text,
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

static struct bpf_link *adopt_link(struct engine *engine, const char *path)
{
	struct bpf_link *link = bpf_link__open(path);

	if (!link)
		return NULL;
	if (link_is_ours(link) && !bpf_link__update_program(link, engine->skeleton->progs.steer))
		return link;
	unlink(path);
	bpf_link__destroy(link);
	return NULL;
}

int engine_attach(struct engine *engine, struct err *err)
{
	cleanup_close int netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	char path[PATH_MAX] = "";
	int result;

	if (netns < 0)
		return err_errno(err, -errno, "/proc/self/ns/net");
	if (engine->pin_dir[0]) {
		result = pins_path(engine->pin_dir, "link", path);
		if (result)
			return err_errno(err, result, "%s", engine->pin_dir);
		engine->link = adopt_link(engine, path);
		engine->adopted = engine->link;
		if (engine->link)
			return 0;
	}
	engine->link = bpf_program__attach_netns(engine->skeleton->progs.steer, netns);
	if (!engine->link) {
		result = -errno;
		return result == -E2BIG
			       ? err_set(err, result,
					 "this network namespace has the most sk_lookup programs that the kernel allows; see 'bpftool link' for whose they are")
			       : explain_load_failure(result, err);
	}
	if (path[0] && bpf_link__pin(engine->link, path)) {
		err_errno(&engine->pin_fault, -errno, "cannot pin the link at %s", path);
		engine->pin_dir[0] = '\0';
	}
	return 0;
}
