// SPDX-License-Identifier: BSD-2-Clause
// The kernel engine's route table and its counters: swaps them as a whole.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/cleanup.h"
#include "daemon/kernel/kernel.h"
#include "steer.skel.h"

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

void kernel_adopt_table(struct kernel *kernel)
{
	cleanup_close int fd = open_inner(bpf_map__fd(kernel->skeleton->maps.tables), 0);
	struct bpf_map_info info = {0};
	uint32_t length = sizeof(info);
	union match_cell *cells;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length))
		return;
	cells = map_cells(fd, info.max_entries, PROT_READ);
	if (cells == MAP_FAILED)
		return;
	if (cells->header.version == MATCH_VERSION) {
		kernel->counters_fd = open_inner(
			bpf_map__fd(kernel->skeleton->maps.counters), cells->header.counters);
		kernel->cells = cells;
		kernel->cell_count = info.max_entries;
		return;
	}
	munmap(cells, info.max_entries * sizeof(*cells));
}

void kernel_drop_table(struct kernel *kernel)
{
	if (kernel->cells)
		munmap(kernel->cells, kernel->cell_count * sizeof(*kernel->cells));
	kernel->cells = NULL;
	if (kernel->counters_fd >= 0)
		close(kernel->counters_fd);
	kernel->counters_fd = -1;
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
static struct identity_slot *index_kernel_table_routes(const struct kernel *kernel, size_t *count)
{
	const struct match_header *header = &kernel->cells->header;
	struct identity_slot *slots = calloc(header->route_count + 1, sizeof(*slots));

	if (!slots)
		return NULL;
	for (uint32_t r = 0; r < header->route_count; r++) {
		slots[r].identity = kernel->cells[header->route_base + r].route.identity;
		slots[r].number = r;
	}
	*count = header->route_count;
	qsort(slots, *count, sizeof(*slots), compare_identity);
	return slots;
}

/* Starts the new counters with what the same routes have counted so far. Packets decided between
 * here and the swap are counted in the old array only: a reload may lose a few microseconds' count.
 */
static int carry_counts(struct kernel *kernel, const struct table *table, int counters)
{
	const struct match_header *header = &table->cells->header;
	cleanup_free struct identity_slot *slots = NULL;
	cleanup_free struct steer_count *values = calloc((size_t)kernel->cpus, sizeof(*values));
	size_t count = 0;

	if (!kernel->cells)
		return 0;
	slots = index_kernel_table_routes(kernel, &count);
	if (!slots || !values)
		return -ENOMEM;
	for (uint32_t r = 0; r < header->route_count; r++) {
		struct identity_slot wanted = {
			.identity = table->cells[header->route_base + r].route.identity};
		struct identity_slot *found =
			bsearch(&wanted, slots, count, sizeof(*slots), compare_identity);

		if (!found || kernel_count(&kernel->base, found->number, &values[0]) ||
			!values[0].lookups)
			continue;
		if (bpf_map_update_elem(counters, &r, values, BPF_ANY))
			return -errno;
	}
	return 0;
}

static int create_maps(
	struct kernel *kernel, const struct table *table, int *table_fd, int *counters_fd)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	uint32_t routes = table->cells->header.route_count;
	union match_cell *cells;
	int result;

	*counters_fd = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "socketbox_count",
		sizeof(uint32_t), sizeof(struct steer_count), routes ? routes : 1, NULL);
	if (*counters_fd < 0)
		return *counters_fd;
	result = carry_counts(kernel, table, *counters_fd);
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
static int swap_in(struct kernel *kernel, const struct table *table, int table_fd, int counters_fd)
{
	uint32_t slot = table->cells->header.counters, zero = 0;

	if (bpf_map_update_elem(
		    bpf_map__fd(kernel->skeleton->maps.counters), &slot, &counters_fd, 0))
		return -errno;
	if (bpf_map_update_elem(bpf_map__fd(kernel->skeleton->maps.tables), &zero, &table_fd, 0))
		return -errno;
	return 0;
}

int kernel_install(struct engine *engine, struct table *table, struct err *err)
{
	struct kernel *kernel = kernel_of(engine);
	cleanup_close int table_fd = -1;
	cleanup_close int counters_fd = -1;
	union match_cell *cells;
	int result;

	if (kernel->cells) {
		table->cells->header.counters = !kernel->cells->header.counters;
		table->cells->header.generation = kernel->cells->header.generation + 1;
	}
	result = create_maps(kernel, table, &table_fd, &counters_fd);
	if (result)
		return err_errno(err, result, "installing a table of %u routes",
			table->cells->header.route_count);
	cells = map_cells(table_fd, table->count, PROT_READ);
	if (cells == MAP_FAILED)
		return err_errno(err, -errno, "mapping the route table");
	result = swap_in(kernel, table, table_fd, counters_fd);
	if (result) {
		munmap(cells, table->count * sizeof(*cells));
		return err_errno(err, result, "putting the route table in force");
	}
	kernel_drop_table(kernel);
	kernel->cells = cells;
	kernel->cell_count = table->count;
	kernel->counters_fd = take_fd(&counters_fd);
	return 0;
}

int kernel_count(struct engine *engine, uint32_t number, struct steer_count *count)
{
	struct kernel *kernel = kernel_of(engine);
	cleanup_free struct steer_count *values = calloc((size_t)kernel->cpus, sizeof(*values));

	if (!values)
		return -ENOMEM;
	if (bpf_map_lookup_elem(kernel->counters_fd, &number, values))
		return -errno;
	*count = (struct steer_count){0};
	for (int cpu = 0; cpu < kernel->cpus; cpu++) {
		count->lookups += values[cpu].lookups;
		count->no_socket += values[cpu].no_socket;
	}
	return 0;
}
