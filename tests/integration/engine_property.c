// SPDX-License-Identifier: BSD-2-Clause
// Holds the kernel engine to the C matcher and to a scan of all routes, on random tables and
// packets; and checks what each action makes of a packet. Runs in namespaces of its own, as root.
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/engine.h"
#include "daemon/log.h"
#include "daemon/sockets.h"
#include "tests/unit/random_config.h"

#define TABLES	60u
#define PACKETS 400u

static unsigned failures, comparisons, matched;

static void fail(unsigned seed, const struct table_packet *packet, const char *what)
{
	char local[ADDR_TEXT_SIZE], remote[ADDR_TEXT_SIZE];

	failures++;
	printf("not ok: seed %u, protocol %u, local %s, remote %s: %s\n", seed, packet->protocol,
		addr_endpoint_format(&packet->local, local),
		addr_endpoint_format(&packet->remote, remote), what);
}

/* Nothing is claimed, so a service's packets are refused, and what is dropped in silence goes to a
 * socket of the engine's own. */
static void check_action(unsigned seed, const struct table_packet *packet,
	const struct steer_verdict *verdict, uint64_t cookie, bool passed)
{
	switch (verdict->action) {
	case MATCH_PASS:
		if (!passed || cookie)
			fail(seed, packet, "a pass route must leave the packet to the host");
		break;
	case MATCH_SILENT:
		if (!passed || !cookie)
			fail(seed, packet, "a silent route must swallow the packet");
		break;
	default:
		if (passed)
			fail(seed, packet, "the packet must be refused");
	}
}

static void compare(struct engine *engine, const struct config *config, const struct table *table,
	const struct table_packet *packet, unsigned seed)
{
	uint32_t expected = naive_find(config, packet);
	struct steer_verdict verdict;
	uint64_t cookie;
	struct err err;
	bool passed;

	comparisons++;
	matched += expected != MATCH_NONE;
	if (engine_explain(engine, packet, &verdict, &cookie, &passed, &err)) {
		fail(seed, packet, err.text);
		return;
	}
	if (verdict.route != expected)
		fail(seed, packet, "the kernel engine and the scan disagree");
	if (table_find(table, packet) != expected)
		fail(seed, packet, "the C matcher and the scan disagree");
	if (expected != MATCH_NONE && verdict.action != config->routes[expected].action)
		fail(seed, packet, "the action is not the route's");
	check_action(seed, packet, &verdict, cookie, passed);
}

static int run(struct engine *engine)
{
	for (unsigned seed = 1; seed <= TABLES; seed++) {
		struct config *config = random_config(seed * 7919, seed % 16 + 1);
		unsigned packet_seed = seed;
		struct table table;
		struct err err;

		if (table_build(config, TABLE_OF_PACKETS, &table, &err) ||
			engine_install(engine, &table, &err)) {
			printf("not ok: %s\n", err.text);
			return 1;
		}
		for (unsigned i = 0; i < PACKETS; i++) {
			struct table_packet packet = random_packet(&packet_seed);

			compare(engine, config, &table, &packet, seed);
		}
		table_fini(&table);
		random_config_free(config);
	}
	printf("%u packets, %u matched, %u failures\n", comparisons, matched, failures);
	return failures || matched < comparisons / 5 || matched > comparisons * 4 / 5;
}

int main(void)
{
	char run_dir[] = "/tmp/engine-property-XXXXXX", path[64];
	struct engine *engine = NULL;
	struct err err;
	int result;

	log_open(false);
	if (!mkdtemp(run_dir) || unshare(CLONE_NEWNET | CLONE_NEWNS) ||
		(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) && errno != EINVAL)) {
		perror("making namespaces");
		return 1;
	}
	result = engine_open(run_dir, CONFIG_ENGINE_KERNEL, &engine, &err);
	if (result)
		printf("not ok: %s\n", err.text);
	else
		result = run(engine);
	engine_close(engine);
	engine_remove(run_dir, &err);
	snprintf(path, sizeof(path), "%s/bpf", run_dir);
	rmdir(path);
	rmdir(run_dir);
	return result ? 1 : 0;
}
