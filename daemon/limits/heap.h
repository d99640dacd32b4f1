/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A binary heap of nodes that are embedded in what they order, as a complete tree of pointers: it
 * allocates nothing, so nothing here can fail. Every operation takes O(log n) steps at worst.
 * Not thread-safe.
 */
#ifndef SOCKETBOX_DAEMON_HEAP_H
#define SOCKETBOX_DAEMON_HEAP_H

#include <stdbool.h>
#include <stddef.h>

struct heap_node {
	struct heap_node *left, *right, *parent;
};

/* True if a belongs before b: a strict order, which gives equal nodes no order. */
typedef bool heap_before(const struct heap_node *a, const struct heap_node *b);

/* Initialise with .before set and the rest zero. */
struct heap {
	struct heap_node *first; /* the one before all others; NULL: the heap is empty */
	size_t count;
	heap_before *before;
};

/* The object of the given type that has the node as its given member. */
#define heap_object(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* The same of a node that may not be changed, in comparisons. */
#define heap_object_const(node, type, member) \
	((const type *)(const void *)((const char *)(node)-offsetof(type, member)))

/* The node, which is in no heap, must stay where it is in memory until it is removed. */
void heap_insert(struct heap *heap, struct heap_node *node);
void heap_remove(struct heap *heap, struct heap_node *node);

/* Restores the order after what before() compares of this one node has changed. */
void heap_update(struct heap *heap, struct heap_node *node);

/* Writes the first nodes, in order, into list, which has room for `room`, and returns how many
 * those are. O(room * room), however large the heap. */
size_t heap_list_first(const struct heap *heap, const struct heap_node **list, size_t room);

#endif
