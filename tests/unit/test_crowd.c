// SPDX-License-Identifier: BSD-2-Clause
// The item that has to go is the one that counting everything finds, and floods cost the flooder.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon/limits/crowd.h"
#include "daemon/limits/limits_hash.h"
#include "tests/unit/test_seed.h"

struct client {
	struct crowd_item item;
	struct crowd_path path;
	uint64_t since;
	bool in;
};

static struct client *client_of(struct crowd_item *item)
{
	return item ? heap_object(item, struct client, item) : NULL;
}

static struct crowd_path path_of(const char *text)
{
	struct crowd_path path;
	struct addr addr;

	assert_int_equal(addr_parse(text, &addr, NULL), 0);
	crowd_path_of_source(&addr, &path);
	return path;
}

/* Adds the client; who has to go for it goes, and is returned. */
static struct client *enter(struct crowd *crowd, struct client *client, const char *address)
{
	struct crowd_item *excess;

	client->path = path_of(address);
	assert_int_equal(crowd_add(crowd, &client->item, &client->path, &excess), 0);
	client->in = true;
	if (excess) {
		crowd_remove(crowd, excess);
		client_of(excess)->in = false;
	}
	return client_of(excess);
}

static bool same_group(const struct client *a, const struct client *b, unsigned level)
{
	return !memcmp(&a->path.keys[level], &b->path.keys[level], sizeof(a->path.keys[level]));
}

static unsigned naive_count(
	const struct client *clients, size_t count, const struct client *of, unsigned level)
{
	unsigned members = 0;

	for (size_t i = 0; i < count; i++)
		members += clients[i].in && clients[i].path.depth > level &&
			   same_group(&clients[i], of, level);
	return members;
}

/* By its definition: level by level, the group with the most, and of equals the one that the oldest
 * (newest) of all is in. */
static const struct client *naive_greediest(
	const struct client *clients, size_t count, enum crowd_order order)
{
	const struct client *chosen = NULL, *first = NULL;

	for (unsigned level = 0; level < CROWD_LEVELS; level++) {
		unsigned most = 0;

		chosen = first;
		if (chosen && chosen->path.depth <= level)
			break;
		first = NULL;
		for (size_t i = 0; i < count; i++) {
			const struct client *client = &clients[i];
			unsigned members;

			if (!client->in || (chosen && !same_group(client, chosen, level - 1)))
				continue;
			members = naive_count(clients, count, client, level);
			if (first && members < most)
				continue;
			if (!first || members > most ||
				(order == CROWD_OLDEST ? client->since < first->since
						       : client->since > first->since))
				first = client;
			most = members;
		}
	}
	return first ? first : chosen;
}

static const char *random_address(uint64_t *seed, char *text)
{
	if (test_random(seed, 2))
		sprintf(text, "192.0.%u.%u", test_random(seed, 3), test_random(seed, 3));
	else
		sprintf(text, "2001:db8:%x:%x%02x::%x", test_random(seed, 2), test_random(seed, 2),
			test_random(seed, 2), test_random(seed, 9));
	return text;
}

static void agrees_with_counting(void **state)
{
	enum { CLIENTS = 40 };
	uint64_t seed = test_seed();
	char text[64];

	(void)state;
	for (unsigned run = 0; run < 60; run++) {
		static struct client clients[CLIENTS];
		enum crowd_order order = run % 2 ? CROWD_OLDEST : CROWD_NEWEST;
		unsigned key_limit = 1 + test_random(&seed, 12);
		struct crowd crowd;

		memset(clients, 0, sizeof(clients));
		crowd_init(&crowd, order, 1 + test_random(&seed, CLIENTS - 2), key_limit);
		for (unsigned step = 0; step < 500; step++) {
			struct client *client = &clients[test_random(&seed, CLIENTS)];
			struct crowd_item *excess = NULL;
			const struct client *expected = NULL;

			if (client->in) {
				crowd_remove(&crowd, &client->item);
				client->in = false;
				continue;
			}
			client->path = path_of(random_address(&seed, text));
			client->since = (uint64_t)run * 1000 + step;
			assert_int_equal(
				crowd_add(&crowd, &client->item, &client->path, &excess), 0);
			client->in = true;
			if (naive_count(clients, CLIENTS, client, client->path.depth - 1) >
				key_limit)
				assert_true(excess && same_group(client_of(excess), client,
							      client->path.depth - 1));
			else if (crowd.count > crowd.limit)
				expected = naive_greediest(clients, CLIENTS, order);
			if (expected && client_of(excess) != expected)
				fail_msg("run %u, step %u: another goes than by counting", run,
					step);
			assert_ptr_equal(client_of(crowd_find_greediest(&crowd)),
				naive_greediest(clients, CLIENTS, order));
			if (excess) {
				crowd_remove(&crowd, excess);
				client_of(excess)->in = false;
			}
			assert_true(crowd.count <= crowd.limit);
		}
		for (size_t i = 0; i < CLIENTS; i++)
			crowd_remove(&crowd, &clients[i].item);
		assert_int_equal(crowd.count, 0);
		assert_null(crowd.by_key);
		assert_int_equal(crowd.groups.count, 0);
	}
}

/* Writes the nth address of a pattern: '@' and '#' are the high and the low byte of n in
 * hexadecimal digits, '&' and '$' in decimal. */
static void make_address(char text[64], const char *pattern, unsigned n)
{
	size_t used = 0;

	for (; *pattern; pattern++) {
		unsigned byte = *pattern == '@' || *pattern == '&' ? n / 256 : n % 256;

		if (*pattern == '@' || *pattern == '#')
			used += (size_t)snprintf(text + used, 64 - used, "%02x", byte);
		else if (*pattern == '&' || *pattern == '$')
			used += (size_t)snprintf(text + used, 64 - used, "%u", byte);
		else
			text[used++] = *pattern;
	}
	text[used] = '\0';
}

/* Enters `flood` clients of addresses that the pattern makes of a number, then a victim, then as
 * many again; whether the victim is still there. */
static bool victim_stays(unsigned key_limit, const char *pattern, const char *victim_address)
{
	enum { LIMIT = 8192, FLOOD = 8400 };
	struct client *clients = calloc(2 * FLOOD + 1, sizeof(*clients)), *victim = clients;
	struct crowd crowd;
	bool stays;
	char text[64];

	assert_non_null(clients);
	crowd_init(&crowd, CROWD_OLDEST, LIMIT, key_limit);
	for (unsigned i = 1; i <= 2 * FLOOD; i++) {
		if (i == FLOOD)
			enter(&crowd, victim, victim_address);
		make_address(text, pattern, i);
		enter(&crowd, &clients[i], text);
	}
	stays = victim->in;
	crowd_fini(&crowd);
	free(clients);
	return stays;
}

static void flood_of_one_source_costs_that_source(void **state)
{
	(void)state;
	assert_true(victim_stays(256, "192.0.2.1", "198.51.100.1"));
	assert_true(victim_stays(8192, "192.0.2.1", "198.51.100.1"));
	/* All addresses of one /64, of one /56 by its /64s, of one /48 by its /64s, a /24. */
	assert_true(victim_stays(256, "2001:db8::@:#", "2001:db8:1::1"));
	assert_true(victim_stays(8192, "2001:db8:0:#::1", "2001:db8:1::1"));
	assert_true(victim_stays(8192, "2001:db8:0:@#::1", "2001:db8:1::1"));
	assert_true(victim_stays(8192, "192.0.2.$", "198.51.100.1"));
	/* A neighbour in the /48 whose own /56 has few. */
	assert_true(victim_stays(8192, "2001:db8:0:#::1", "2001:db8:0:ff00::1"));
	/* A translator's clients are told apart. */
	assert_true(victim_stays(256, "64:ff9b::192.0.2.1", "64:ff9b::198.51.100.1"));
	/* With as many networks as places, everybody stays for as long as all places take to change
	 * hands. */
	assert_false(victim_stays(8192, "10.&.$.1", "198.51.100.1"));
}

static void newcomer_among_equals_is_served(void **state)
{
	static struct client clients[5];
	char text[64];
	struct crowd crowd;

	(void)state;
	crowd_init(&crowd, CROWD_OLDEST, 4, 4);
	for (unsigned i = 0; i < 4; i++) {
		sprintf(text, "10.0.%u.1", i);
		assert_null(enter(&crowd, &clients[i], text));
	}
	assert_ptr_equal(enter(&crowd, &clients[4], "198.51.100.1"), &clients[0]);
	assert_int_equal(crowd.displaced, 1);
	crowd_fini(&crowd);
}

static void nobody_ends_for_a_newcomer_that_has_as_many(void **state)
{
	static struct client clients[6];
	char text[64];
	struct crowd crowd;

	(void)state;
	crowd_init(&crowd, CROWD_NEWEST, 4, 4);
	for (unsigned i = 0; i < 4; i++) {
		sprintf(text, "10.0.%u.1", i / 2);
		assert_null(enter(&crowd, &clients[i], text));
	}
	/* The source that has one goes before nobody; a third of the first goes itself. */
	assert_ptr_equal(enter(&crowd, &clients[4], "10.0.0.1"), &clients[4]);
	assert_ptr_equal(enter(&crowd, &clients[5], "198.51.100.1"), &clients[3]);
	crowd_fini(&crowd);
}

static void key_limit_takes_the_oldest_of_that_key(void **state)
{
	static struct client clients[4];
	struct crowd crowd;

	(void)state;
	crowd_init(&crowd, CROWD_OLDEST, 100, 2);
	assert_null(enter(&crowd, &clients[0], "192.0.2.1"));
	assert_null(enter(&crowd, &clients[1], "192.0.2.1"));
	assert_null(enter(&crowd, &clients[2], "192.0.2.2"));
	assert_ptr_equal(enter(&crowd, &clients[3], "192.0.2.1"), &clients[0]);
	assert_int_equal(crowd.key_displaced, 1);
	assert_int_equal(crowd.displaced, 0);
	assert_int_equal(crowd_count_of(&clients[3].item), 2);
	crowd_fini(&crowd);
}

static void lower_limit_names_those_that_go(void **state)
{
	static struct client clients[4];
	char text[64];
	struct crowd crowd;
	unsigned gone = 0;

	(void)state;
	crowd_init(&crowd, CROWD_OLDEST, 4, 4);
	for (unsigned i = 0; i < 4; i++) {
		sprintf(text, "10.0.%u.1", i);
		enter(&crowd, &clients[i], text);
	}
	crowd_set_limits(&crowd, 1, 1);
	for (struct crowd_item *excess; (excess = crowd_find_excess(&crowd)); gone++)
		crowd_remove(&crowd, excess);
	assert_int_equal(gone, 3);
	crowd_remove(&crowd, &clients[0].item); /* is in it no more */
	assert_int_equal(crowd_count_of(&clients[3].item), 1);
	crowd_fini(&crowd);
}

static void subordinate_uids_weigh_as_their_owner(void **state)
{
	struct crowd_item owned[3] = {0}, other = {0}, *excess;
	struct crowd_path path;
	struct crowd crowd;

	(void)state;
	crowd_init(&crowd, CROWD_OLDEST, 3, 3);
	crowd_path_of_user(2000, 2000, &path);
	assert_int_equal(crowd_add(&crowd, &other, &path, &excess), 0);
	for (unsigned i = 0; i < 3; i++) {
		crowd_path_of_user(1000, 100000 + i, &path);
		assert_int_equal(crowd_add(&crowd, &owned[i], &path, &excess), 0);
	}
	assert_ptr_equal(excess, &owned[0]);
	crowd_fini(&crowd);
}

/* SipHash-2-4 itself is tested where it is; a crowd needs that keys spread. */
static void cost_grows_no_faster_than_the_logarithm(void **state)
{
	static const unsigned sizes[] = {1000, 100000};
	double ns[2];

	(void)state;
	for (unsigned s = 0; s < 2; s++) {
		unsigned size = sizes[s], rounds = 200000;
		struct client *clients = calloc(size + 1, sizeof(*clients));
		struct timespec begin, end;
		uint64_t seed = 7;
		struct crowd crowd;
		char text[64];

		crowd_init(&crowd, CROWD_OLDEST, size, size);
		for (unsigned i = 0; i < size; i++) {
			snprintf(text, sizeof(text), "10.%u.%u.%u", i >> 8 & 255, i & 255, i >> 16);
			enter(&crowd, &clients[i], text);
		}
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
		for (unsigned i = 0; i < rounds; i++) {
			struct client *client = &clients[test_random(&seed, size)];
			struct crowd_path path = client->path;
			struct crowd_item *excess;

			crowd_remove(&crowd, &client->item);
			assert_int_equal(crowd_add(&crowd, &client->item, &path, &excess), 0);
		}
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
		ns[s] = ((double)(end.tv_sec - begin.tv_sec) * 1e9 +
				(double)(end.tv_nsec - begin.tv_nsec)) /
			rounds;
		printf("%u items: %.0f ns to remove and add one\n", size, ns[s]);
		crowd_fini(&crowd);
		free(clients);
	}
	/* Caches explain a factor; a walk would make it a hundred. */
	assert_true(ns[1] < ns[0] * 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_counting),
		cmocka_unit_test(flood_of_one_source_costs_that_source),
		cmocka_unit_test(newcomer_among_equals_is_served),
		cmocka_unit_test(nobody_ends_for_a_newcomer_that_has_as_many),
		cmocka_unit_test(key_limit_takes_the_oldest_of_that_key),
		cmocka_unit_test(lower_limit_names_those_that_go),
		cmocka_unit_test(subordinate_uids_weigh_as_their_owner),
		cmocka_unit_test(cost_grows_no_faster_than_the_logarithm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
