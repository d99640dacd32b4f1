// SPDX-License-Identifier: BSD-2-Clause
// Counts in a chained hash table of sources; the rate by one number, the time at which the next
// start would be due (the generic cell rate algorithm).
#include "exec/quota.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 64

struct quota_count {
	struct quota_count *next;
	uint64_t hash;
	struct addr key;
	unsigned running;
};

void quota_init(struct quota *quota, const struct exec_bounds *bounds, uint64_t seed)
{
	*quota = (struct quota){.bounds = bounds, .seed = seed};
}

void quota_set(struct quota *quota, const struct exec_bounds *bounds)
{
	quota->bounds = bounds;
}

void quota_fini(struct quota *quota)
{
	for (size_t i = 0; i < quota->table_size; i++) {
		while (quota->table[i]) {
			struct quota_count *count = quota->table[i];

			quota->table[i] = count->next;
			free(count);
		}
	}
	free(quota->table);
}

/* The length of the longest prefix that holds addr, or -1. */
static int best_match(const struct exec_prefixes *prefixes, const struct addr *addr)
{
	int best = -1;

	for (size_t i = 0; i < prefixes->count; i++) {
		if (prefixes->list[i].length > best &&
			addr_prefix_contains(&prefixes->list[i], addr))
			best = prefixes->list[i].length;
	}
	return best;
}

static bool address_is_allowed(const struct exec_bounds *bounds, const struct quota_source *source)
{
	int allowed = source->is_ip ? best_match(&bounds->allow, &source->addr) : -1;
	int denied = source->is_ip ? best_match(&bounds->deny, &source->addr) : -1;

	if (allowed < 0 && bounds->allow.count)
		return false;
	return denied < 0 || allowed > denied;
}

static struct addr key_of(const struct quota *quota, const struct quota_source *source)
{
	unsigned length = quota->bounds->source_length;
	struct addr key = source->addr;

	if (!source->is_ip) {
		/* No client has a multicast address. */
		memset(key.bytes, 0xff, sizeof(key.bytes));
		memcpy(key.bytes + 12, &source->uid, sizeof(source->uid));
		return key;
	}
	if (addr_is_v4(&key))
		return key;
	for (unsigned bit = length; bit < 128; bit++)
		key.bytes[bit / 8] &= (uint8_t) ~(0x80 >> (bit % 8));
	return key;
}

static uint64_t hash_of(const struct quota *quota, const struct addr *key)
{
	uint64_t hash = quota->seed, word;

	for (size_t i = 0; i < sizeof(key->bytes); i += sizeof(word)) {
		memcpy(&word, key->bytes + i, sizeof(word));
		hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
		hash ^= hash >> 29;
	}
	return hash * 0xbf58476d1ce4e5b9u >> 16;
}

static struct quota_count *find_quota(
	const struct quota *quota, const struct addr *key, uint64_t hash)
{
	struct quota_count *count =
		quota->table_size ? quota->table[hash & (quota->table_size - 1)] : NULL;

	while (count && !addr_equal(&count->key, key))
		count = count->next;
	return count;
}

enum exec_reason quota_check(const struct quota *quota, const struct quota_source *source)
{
	const struct exec_bounds *bounds = quota->bounds;
	struct quota_count *count;
	struct addr key;

	if (!address_is_allowed(bounds, source))
		return EXEC_BY_ADDRESS;
	if (!bounds->per_source)
		return EXEC_ALLOWED;
	key = key_of(quota, source);
	count = find_quota(quota, &key, hash_of(quota, &key));
	return count && count->running >= bounds->per_source ? EXEC_BY_SOURCE : EXEC_ALLOWED;
}

enum exec_reason quota_full(const struct quota *quota, uint64_t now_ns, uint64_t *wait_ns)
{
	const struct exec_bounds *bounds = quota->bounds;
	uint64_t ahead;

	*wait_ns = QUOTA_FOREVER;
	if (bounds->instances && quota->running >= bounds->instances)
		return EXEC_BY_INSTANCES;
	if (!bounds->rate.count || quota->next_ns <= now_ns)
		return EXEC_ALLOWED;
	ahead = (bounds->rate.burst - 1) * (bounds->rate.interval_ns / bounds->rate.count);
	if (quota->next_ns - now_ns <= ahead)
		return EXEC_ALLOWED;
	*wait_ns = quota->next_ns - now_ns - ahead;
	return EXEC_BY_RATE;
}

/* Doubles the table where it is full; a table that stays too small still works. */
static void grow_quota(struct quota *quota)
{
	size_t size = quota->table_size ? quota->table_size * 2 : FIRST_SIZE;
	struct quota_count **table;

	if (quota->sources < quota->table_size)
		return;
	table = calloc(size, sizeof(struct quota_count *));
	if (!table)
		return;
	for (size_t i = 0; i < quota->table_size; i++) {
		while (quota->table[i]) {
			struct quota_count *count = quota->table[i];

			quota->table[i] = count->next;
			count->next = table[count->hash & (size - 1)];
			table[count->hash & (size - 1)] = count;
		}
	}
	free(quota->table);
	quota->table = table;
	quota->table_size = size;
}

static struct quota_count *find_or_add(struct quota *quota, const struct quota_source *source)
{
	struct addr key = key_of(quota, source);
	uint64_t hash = hash_of(quota, &key);
	struct quota_count *count = find_quota(quota, &key, hash), **slot;

	if (count)
		return count;
	grow_quota(quota);
	count = quota->table_size ? calloc(1, sizeof(*count)) : NULL;
	if (!count)
		return NULL;
	slot = &quota->table[hash & (quota->table_size - 1)];
	*count = (struct quota_count){.next = *slot, .hash = hash, .key = key};
	*slot = count;
	quota->sources++;
	return count;
}

int quota_enter(struct quota *quota, const struct quota_source *source, uint64_t now_ns,
	struct quota_count **kept)
{
	const struct exec_rate *rate = &quota->bounds->rate;
	struct quota_count *count = NULL;

	if (source) {
		count = find_or_add(quota, source);
		if (!count)
			return -ENOMEM;
		count->running++;
	}
	quota->running++;
	if (rate->count) {
		if (quota->next_ns < now_ns)
			quota->next_ns = now_ns;
		quota->next_ns += rate->interval_ns / rate->count;
	}
	*kept = count;
	return 0;
}

void quota_leave(struct quota *quota, struct quota_count *kept)
{
	struct quota_count **slot;

	quota->running--;
	if (!kept || --kept->running)
		return;
	slot = &quota->table[kept->hash & (quota->table_size - 1)];
	while (*slot != kept)
		slot = &(*slot)->next;
	*slot = kept->next;
	free(kept);
	quota->sources--;
}
