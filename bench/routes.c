// SPDX-License-Identifier: BSD-2-Clause
// Times route lookups in tables of different sizes, by the C matcher and by the kernel's program,
// and what it takes to put such a table in force. Prints JSON, medians of several rounds. Runs in
// namespaces of its own, as root.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/engine.h"
#include "daemon/log.h"

#define ROUNDS	    7
#define SHAPES	    5u
#define FEW	    32u
#define MANY	    65536u  /* packets that reach all over a large table */
#define LOOKUPS	    400000u /* per measurement of the C matcher */
#define REPEAT	    20000u  /* kernel runs of the same packet */
#define SINGLE_RUNS 1001u   /* packets that the kernel runs once each */

static const unsigned sizes[] = {10, 1000, 100000};
#define SIZES (sizeof(sizes) / sizeof(*sizes))

enum measure {
	C_FEW_NS,
	C_MANY_NS,
	KERNEL_FEW_NS,
	KERNEL_MANY_NS,
	LOAD_MS,
	BUILD_MS,
	INSTALL_MS,
	TABLE_KIB,
	MEASURES
};
static const char *const names[MEASURES] = {
	"c_few_ns",
	"c_many_ns",
	"kernel_few_ns",
	"kernel_many_ns",
	"load_ms",
	"build_ms",
	"install_ms",
	"table_kib",
};

static double values[SIZES][MEASURES][ROUNDS];

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare_double(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return left < right ? -1 : left > right;
}

static double median(double *list, size_t count)
{
	qsort(list, count, sizeof(*list), compare_double);
	return list[count / 2];
}

/* An address of route n; the routes take turns in what they test. */
static void format_local(unsigned n, unsigned host, char text[ADDR_TEXT_SIZE])
{
	unsigned shape = n % SHAPES;

	if (shape == 2 || shape == 4)
		snprintf(text, ADDR_TEXT_SIZE, "10.%u.%u.%u", n >> 16, n >> 8 & 0xff, n & 0xff);
	else
		snprintf(text, ADDR_TEXT_SIZE, "2001:db8:%x:%x::%x", shape << 8 | n >> 16,
			n & 0xffff, host);
}

static void write_route(FILE *file, unsigned n)
{
	static const char *const rest[SHAPES] = {
		"\", port: 443",
		"/64\", port: 80",
		"\", from: \"192.0.2.0/24\"",
		"\"",
		"\", port: 25, from: \"192.0.2.0/24\"",
	};
	char local[ADDR_TEXT_SIZE];

	format_local(n, n % SHAPES == 1 ? 0 : 1, local);
	fprintf(file, "  - {to: \"%s%s, protocol: tcp, refuse: true}\n", local, rest[n % SHAPES]);
}

static int write_config(const char *path, unsigned routes)
{
	FILE *file = fopen(path, "we");

	if (!file)
		return -errno;
	fprintf(file, "routes:\n");
	for (unsigned n = 0; n < routes; n++)
		write_route(file, n);
	return fclose(file) ? -errno : 0;
}

/* A packet that route n decides. */
static struct table_packet packet_of(unsigned n)
{
	static const uint16_t ports[SHAPES] = {443, 80, 993, 993, 25};
	struct table_packet packet = {.protocol = IPPROTO_TCP};
	char local[ADDR_TEXT_SIZE];
	struct err err;

	format_local(n, 1, local);
	addr_parse(local, &packet.local.addr, &err);
	addr_parse(addr_is_v4(&packet.local.addr) ? "192.0.2.9" : "2001:db8:f::9",
		&packet.remote.addr, &err);
	packet.local.port = ports[n % SHAPES];
	packet.remote.port = 50000;
	return packet;
}

/* Random hits. The first route of each shape is left out: the search ends early on it, and in a
 * small table such hits would be frequent. Every lookup here probes every shape. */
static int make_packets(const struct table *table, unsigned routes, struct table_packet *packets)
{
	unsigned seed = routes;

	for (unsigned i = 0; i < MANY; i++) {
		unsigned n = SHAPES + (unsigned)rand_r(&seed) % (routes - SHAPES);

		packets[i] = packet_of(n);
		if (table_find(table, &packets[i]) != n)
			return -EINVAL;
	}
	return 0;
}

static double time_matcher(
	const struct table *table, const struct table_packet *packets, unsigned count)
{
	volatile uint32_t sink = 0;
	double start = now_ns();

	for (unsigned i = 0; i < LOOKUPS; i++)
		sink ^= table_find(table, &packets[i % count]);
	(void)sink;
	return (now_ns() - start) / LOOKUPS;
}

/* The same few packets over and over: the program's own cost, everything it reads being cached. */
static int time_kernel_few(struct engine *engine, const struct table_packet *packets,
	double *nanoseconds, struct err *err)
{
	double sum = 0;

	for (unsigned i = 0; i < FEW; i++) {
		uint32_t each;
		int result = engine_time(engine, &packets[i], REPEAT, &each, err);

		if (result)
			return result;
		sum += each;
	}
	*nanoseconds = sum / FEW;
	return 0;
}

/* Each packet once: with the clock's own cost, and with what is not cached fetched from memory. */
static int time_kernel_many(struct engine *engine, const struct table_packet *packets,
	double *nanoseconds, struct err *err)
{
	static double single[SINGLE_RUNS];

	for (unsigned i = 0; i < SINGLE_RUNS; i++) {
		uint32_t each;
		int result = engine_time(engine, &packets[i], 1, &each, err);

		if (result)
			return result;
		single[i] = each;
	}
	*nanoseconds = median(single, SINGLE_RUNS);
	return 0;
}

static int time_lookups(struct engine *engine, const struct table *table, size_t size,
	unsigned round, struct err *err)
{
	cleanup_free struct table_packet *packets = calloc(MANY, sizeof(*packets));
	int result;

	if (!packets)
		return err_errno(err, -ENOMEM, "making packets");
	result = make_packets(table, sizes[size], packets);
	if (result)
		return err_set(err, result, "a packet missed its route of %u", sizes[size]);
	values[size][C_FEW_NS][round] = time_matcher(table, packets, FEW);
	values[size][C_MANY_NS][round] = time_matcher(table, packets, MANY);
	result = time_kernel_few(engine, packets, &values[size][KERNEL_FEW_NS][round], err);
	if (result)
		return result;
	return time_kernel_many(engine, packets, &values[size][KERNEL_MANY_NS][round], err);
}

static int measure(
	struct engine *engine, const char *path, size_t size, unsigned round, struct err *err)
{
	struct diagnostics diagnostics = {0};
	struct config *config = NULL;
	struct table table = {0};
	double start = now_ns(), loaded, built;
	int result = config_load(path, &config, &diagnostics);

	if (result)
		err_set(err, result, "%s", diagnostics.count ? diagnostics.lines[0] : path);
	diagnostics_fini(&diagnostics);
	if (result)
		return result;
	loaded = now_ns();
	result = table_build(config, TABLE_OF_PACKETS, &table, err);
	built = now_ns();
	if (!result)
		result = engine_install(engine, &table, err);
	values[size][LOAD_MS][round] = (loaded - start) / 1e6;
	values[size][BUILD_MS][round] = (built - loaded) / 1e6;
	values[size][INSTALL_MS][round] = (now_ns() - built) / 1e6;
	values[size][TABLE_KIB][round] = (double)table.count * sizeof(union match_cell) / 1024;
	if (!result)
		result = time_lookups(engine, &table, size, round, err);
	table_fini(&table);
	config_free(config);
	return result;
}

static void print(void)
{
	printf("{");
	for (size_t size = 0; size < SIZES; size++) {
		printf("%s\"%u\": {", size ? ",\n " : "", sizes[size]);
		for (size_t m = 0; m < MEASURES; m++)
			printf("%s\"%s\": %.2f", m ? ", " : "", names[m],
				median(values[size][m], ROUNDS));
		printf("}");
	}
	printf("}\n");
}

/* Sizes take turns, so that a busy spell of the machine hits all of them. */
static int run(struct engine *engine, const char *directory, struct err *err)
{
	char path[64];
	int result = 0;

	for (unsigned round = 0; !result && round < ROUNDS; round++) {
		for (size_t size = 0; !result && size < SIZES; size++) {
			snprintf(path, sizeof(path), "%s/routes.yaml", directory);
			result = write_config(path, sizes[size]);
			if (result)
				return err_errno(err, result, "%s", path);
			result = measure(engine, path, size, round, err);
			unlink(path);
		}
	}
	return result;
}

int main(void)
{
	char directory[] = "/tmp/socketbox-bench-XXXXXX", path[64];
	struct engine *engine = NULL;
	struct err err;
	int result;

	log_open(false);
	/* EINVAL: the root directory of a chroot is no mount point. */
	if (!mkdtemp(directory) || unshare(CLONE_NEWNET | CLONE_NEWNS) ||
		(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) && errno != EINVAL)) {
		perror("bench/routes: making namespaces");
		return 1;
	}
	result = engine_open(directory, CONFIG_ENGINE_KERNEL, &engine, &err);
	if (!result)
		result = run(engine, directory, &err);
	if (result)
		fprintf(stderr, "bench/routes: %s\n", err.text);
	else
		print();
	engine_close(engine);
	engine_remove(directory, &err);
	snprintf(path, sizeof(path), "%s/bpf", directory);
	rmdir(path);
	rmdir(directory);
	return result ? 1 : 0;
}
