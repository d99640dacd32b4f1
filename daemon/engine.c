// SPDX-License-Identifier: BSD-2-Clause
// Loads, adopts and attaches the kernel engine, and swaps its tables. What is done to its sockets
// is in engine_sockets.c.
#include "daemon/engine.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

/* The fd of the map that slot `index` of an outer map points to, or -1. */
static int open_inner(int outer, uint32_t index)
{
	uint32_t id;

	if (bpf_map_lookup_elem(outer, &index, &id))
		return -1;
	return bpf_map_get_fd_by_id(id);
}

static union match_cell *map_cells(int fd, size_t count, int protection)
{
	return mmap(NULL, count * sizeof(union match_cell), protection, MAP_SHARED, fd, 0);
}

/* Finds the table that an earlier daemon left in force, for its counters and generation. */
static void adopt_table(struct engine *engine)
{
	cleanup_close int fd = open_inner(bpf_map__fd(engine->skeleton->maps.tables), 0);
	struct bpf_map_info info = {0};
	uint32_t length = sizeof(info);
	union match_cell *cells;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length))
		return;
	cells = map_cells(fd, info.max_entries, PROT_READ);
	if (cells == MAP_FAILED)
		return;
	if (cells->header.version == MATCH_VERSION) {
		engine->counters_fd = open_inner(
			bpf_map__fd(engine->skeleton->maps.counters), cells->header.counters);
		engine->cells = cells;
		engine->cell_count = info.max_entries;
		return;
	}
	munmap(cells, info.max_entries * sizeof(*cells));
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
	adopt_table(engine);
	*out = engine;
	return 0;
}

static void drop_table(struct engine *engine)
{
	if (engine->cells)
		munmap(engine->cells, engine->cell_count * sizeof(*engine->cells));
	engine->cells = NULL;
	if (engine->counters_fd >= 0)
		close(engine->counters_fd);
	engine->counters_fd = -1;
}

void engine_close(struct engine *engine)
{
	if (!engine)
		return;
	drop_table(engine);
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

struct identity_slot {
	uint64_t identity;
	uint32_t number;
};

static int compare_identity(const void *a, const void *b)
{
	uint64_t left = ((const struct identity_slot *)a)->identity;
	uint64_t right = ((const struct identity_slot *)b)->identity;

	return left < right ? -1 : left > right;
}

/* The routes of the table in force by identity, as a sorted array; NULL if there are none. */
static struct identity_slot *index_routes(const struct engine *engine, size_t *count)
{
	const struct match_header *header = &engine->cells->header;
	struct identity_slot *slots = calloc(header->route_count + 1, sizeof(*slots));

	if (!slots)
		return NULL;
	for (uint32_t r = 0; r < header->route_count; r++) {
		slots[r].identity = engine->cells[header->route_base + r].route.identity;
		slots[r].number = r;
	}
	*count = header->route_count;
	qsort(slots, *count, sizeof(*slots), compare_identity);
	return slots;
}

/* Starts the new counters with what the same routes have counted so far. Packets decided between
 * here and the swap are counted in the old array only: a reload may lose a few microseconds' count.
 */
static int carry_counts(struct engine *engine, const struct table *table, int counters)
{
	const struct match_header *header = &table->cells->header;
	cleanup_free struct identity_slot *slots = NULL;
	cleanup_free struct steer_count *values = calloc((size_t)engine->cpus, sizeof(*values));
	size_t count = 0;

	if (!engine->cells)
		return 0;
	slots = index_routes(engine, &count);
	if (!slots || !values)
		return -ENOMEM;
	for (uint32_t r = 0; r < header->route_count; r++) {
		struct identity_slot wanted = {
			.identity = table->cells[header->route_base + r].route.identity};
		struct identity_slot *found =
			bsearch(&wanted, slots, count, sizeof(*slots), compare_identity);

		if (!found || engine_count(engine, found->number, &values[0]) || !values[0].lookups)
			continue;
		if (bpf_map_update_elem(counters, &r, values, BPF_ANY))
			return -errno;
	}
	return 0;
}

static int create_maps(
	struct engine *engine, const struct table *table, int *table_fd, int *counters_fd)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	uint32_t routes = table->cells->header.route_count;
	union match_cell *cells;
	int result;

	*counters_fd = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "socketbox_count",
		sizeof(uint32_t), sizeof(struct steer_count), routes ? routes : 1, NULL);
	if (*counters_fd < 0)
		return *counters_fd;
	result = carry_counts(engine, table, *counters_fd);
	if (result)
		return result;
	*table_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "socketbox_table", sizeof(uint32_t),
		sizeof(union match_cell), (uint32_t)table->count, &options);
	if (*table_fd < 0)
		return *table_fd;
	cells = map_cells(*table_fd, table->count, PROT_READ | PROT_WRITE);
	if (cells == MAP_FAILED)
		return -errno;
	memcpy(cells, table->cells, table->count * sizeof(*cells));
	munmap(cells, table->count * sizeof(*cells));
	return 0;
}

/* The kernel waits for running programs before either update returns (map-in-map, Linux 4.20), so
 * the counter slot that the table before the last used is free. */
static int swap_in(struct engine *engine, const struct table *table, int table_fd, int counters_fd)
{
	uint32_t slot = table->cells->header.counters, zero = 0;

	if (bpf_map_update_elem(
		    bpf_map__fd(engine->skeleton->maps.counters), &slot, &counters_fd, 0))
		return -errno;
	if (bpf_map_update_elem(bpf_map__fd(engine->skeleton->maps.tables), &zero, &table_fd, 0))
		return -errno;
	return 0;
}

int engine_install(struct engine *engine, struct table *table, struct err *err)
{
	cleanup_close int table_fd = -1;
	cleanup_close int counters_fd = -1;
	union match_cell *cells;
	int result;

	if (engine->cells) {
		table->cells->header.counters = !engine->cells->header.counters;
		table->cells->header.generation = engine->cells->header.generation + 1;
	}
	result = create_maps(engine, table, &table_fd, &counters_fd);
	if (result)
		return err_errno(err, result, "installing a table of %u routes",
			table->cells->header.route_count);
	cells = map_cells(table_fd, table->count, PROT_READ);
	if (cells == MAP_FAILED)
		return err_errno(err, -errno, "mapping the route table");
	result = swap_in(engine, table, table_fd, counters_fd);
	if (result) {
		munmap(cells, table->count * sizeof(*cells));
		return err_errno(err, result, "putting the route table in force");
	}
	drop_table(engine);
	engine->cells = cells;
	engine->cell_count = table->count;
	engine->counters_fd = take_fd(&counters_fd);
	return 0;
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

int engine_count(struct engine *engine, uint32_t number, struct steer_count *count)
{
	cleanup_free struct steer_count *values = calloc((size_t)engine->cpus, sizeof(*values));

	if (!values)
		return -ENOMEM;
	if (bpf_map_lookup_elem(engine->counters_fd, &number, values))
		return -errno;
	*count = (struct steer_count){0};
	for (int cpu = 0; cpu < engine->cpus; cpu++) {
		count->lookups += values[cpu].lookups;
		count->unserved += values[cpu].unserved;
	}
	return 0;
}
