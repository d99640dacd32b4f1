// SPDX-License-Identifier: BSD-2-Clause
// A tree of groups: each has all items of the groups in it as a list by age, and those groups in a
// heap by greed.
#include "daemon/limits/crowd.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/limits/limits_hash.h"

TAILQ_HEAD(crowd_items, crowd_item);

struct crowd_group {
	struct crowd_key key;
	struct crowd_group *parent; /* NULL: it is one of the widest */
	unsigned level, count;
	struct crowd_items items; /* the oldest first, linked by links[level] */
	struct heap groups;	  /* those in this one */
	struct heap_node rank;	  /* among those of the same parent */
	UT_hash_handle hh;
};

_Static_assert(sizeof(struct crowd_key) == 24, "keys are compared with all their bytes");

static bool is_greedier_or_older(const struct heap_node *a, const struct heap_node *b)
{
	const struct crowd_group *one = heap_object_const(a, struct crowd_group, rank);
	const struct crowd_group *other = heap_object_const(b, struct crowd_group, rank);

	if (one->count != other->count)
		return one->count > other->count;
	return TAILQ_FIRST(&one->items)->number < TAILQ_FIRST(&other->items)->number;
}

static bool is_greedier_or_newer(const struct heap_node *a, const struct heap_node *b)
{
	const struct crowd_group *one = heap_object_const(a, struct crowd_group, rank);
	const struct crowd_group *other = heap_object_const(b, struct crowd_group, rank);

	if (one->count != other->count)
		return one->count > other->count;
	return TAILQ_LAST(&one->items, crowd_items)->number >
	       TAILQ_LAST(&other->items, crowd_items)->number;
}

static heap_before *order_of_groups(const struct crowd *crowd)
{
	return crowd->order == CROWD_OLDEST ? is_greedier_or_older : is_greedier_or_newer;
}

void crowd_init(struct crowd *crowd, enum crowd_order order, unsigned limit, unsigned key_limit)
{
	*crowd = (struct crowd){.order = order};
	crowd->groups.before = order_of_groups(crowd);
	crowd_set_limits(crowd, limit, key_limit);
}

void crowd_set_limits(struct crowd *crowd, unsigned limit, unsigned key_limit)
{
	crowd->limit = limit ? limit : 1;
	crowd->key_limit = key_limit ? key_limit : 1;
}

void crowd_fini(struct crowd *crowd)
{
	struct crowd_group *group, *next;

	HASH_ITER(hh, crowd->by_key, group, next)
	{
		HASH_DEL(crowd->by_key, group);
		free(group);
	}
	crowd->groups = (struct heap){.before = crowd->groups.before};
	crowd->count = 0;
}

static struct heap *siblings_of_group(struct crowd *crowd, const struct crowd_group *group)
{
	return group->parent ? &group->parent->groups : &crowd->groups;
}

/* A group without items is in no heap: its rank would be that of nothing. */
static struct crowd_group *get_group(
	struct crowd *crowd, const struct crowd_key *key, struct crowd_group *parent)
{
	struct crowd_group *group;

	HASH_FIND(hh, crowd->by_key, key, sizeof(*key), group);
	if (group)
		return group;
	group = calloc(1, sizeof(*group));
	if (!group)
		return NULL;
	group->key = *key;
	group->parent = parent;
	group->level = parent ? parent->level + 1 : 0;
	group->groups.before = order_of_groups(crowd);
	TAILQ_INIT(&group->items);
	HASH_ADD(hh, crowd->by_key, key, sizeof(group->key), group);
	if (group->hh.tbl)
		return group;
	free(group);
	return NULL;
}

static void free_group_if_empty(struct crowd *crowd, struct crowd_group *group)
{
	if (group->count)
		return;
	HASH_DEL(crowd->by_key, group);
	free(group);
}

static void join_group(struct crowd *crowd, struct crowd_item *item, struct crowd_group *group)
{
	struct heap *siblings = siblings_of_group(crowd, group);

	TAILQ_INSERT_TAIL(&group->items, item, links[group->level]);
	if (group->count++)
		heap_update(siblings, &group->rank);
	else
		heap_insert(siblings, &group->rank);
}

static void leave_group(struct crowd *crowd, struct crowd_item *item, struct crowd_group *group)
{
	struct heap *siblings = siblings_of_group(crowd, group);

	TAILQ_REMOVE(&group->items, item, links[group->level]);
	if (--group->count)
		heap_update(siblings, &group->rank);
	else
		heap_remove(siblings, &group->rank);
	free_group_if_empty(crowd, group);
}

static struct crowd_item *first_to_go(const struct crowd *crowd, const struct crowd_group *group)
{
	return crowd->order == CROWD_OLDEST ? TAILQ_FIRST(&group->items)
					    : TAILQ_LAST(&group->items, crowd_items);
}

struct crowd_item *crowd_find_greediest(const struct crowd *crowd)
{
	const struct heap_node *first = crowd->groups.first;
	const struct crowd_group *group = NULL;

	while (first) {
		group = heap_object_const(first, struct crowd_group, rank);
		first = group->groups.first;
	}
	return group ? first_to_go(crowd, group) : NULL;
}

struct crowd_item *crowd_find_excess(struct crowd *crowd)
{
	if (crowd->count <= crowd->limit)
		return NULL;
	crowd->displaced++;
	return crowd_find_greediest(crowd);
}

/* Gets all groups of the path into item->groups, or none. */
static int get_groups(struct crowd *crowd, struct crowd_item *item, const struct crowd_path *path)
{
	struct crowd_group *group = NULL;

	for (unsigned level = 0; level < path->depth; level++) {
		group = get_group(crowd, &path->keys[level], group);
		if (!group) {
			while (level)
				free_group_if_empty(crowd, item->groups[--level]);
			*item = (struct crowd_item){0};
			return -ENOMEM;
		}
		item->groups[level] = group;
	}
	return 0;
}

int crowd_add(struct crowd *crowd, struct crowd_item *item, const struct crowd_path *path,
	struct crowd_item **excess)
{
	const struct crowd_group *narrowest;

	*item = (struct crowd_item){.number = crowd->next_number, .depth = path->depth};
	if (get_groups(crowd, item, path))
		return -ENOMEM;
	for (unsigned level = 0; level < item->depth; level++)
		join_group(crowd, item, item->groups[level]);
	crowd->next_number++;
	crowd->count++;
	narrowest = item->groups[item->depth - 1];
	if (narrowest->count <= crowd->key_limit) {
		*excess = crowd_find_excess(crowd);
		return 0;
	}
	crowd->key_displaced++;
	*excess = first_to_go(crowd, narrowest);
	return 0;
}

void crowd_remove(struct crowd *crowd, struct crowd_item *item)
{
	if (!item->groups[0])
		return;
	/* The narrowest first: a group is freed when it is empty, and names its parent. */
	for (unsigned level = item->depth; level--;)
		leave_group(crowd, item, item->groups[level]);
	*item = (struct crowd_item){0};
	crowd->count--;
}

unsigned crowd_count_of(const struct crowd_item *item)
{
	return item->groups[0] ? item->groups[item->depth - 1]->count : 0;
}
