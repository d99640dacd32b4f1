// SPDX-License-Identifier: BSD-2-Clause
// Nodes are numbered from 1, level by level; the bits of a number below its highest one are the way
// from the first node to it: 0 is left, 1 is right.
#include "daemon/limits/heap.h"

/* Where the pointer to the node of this number is. *parent is the node that holds it. */
static struct heap_node **find_heap_slot(
	struct heap *heap, size_t number, struct heap_node **parent)
{
	struct heap_node **slot = &heap->first;
	size_t bit = 1;

	while (bit <= number / 2)
		bit *= 2;
	*parent = NULL;
	for (bit /= 2; bit; bit /= 2) {
		*parent = *slot;
		slot = number & bit ? &(*parent)->right : &(*parent)->left;
	}
	return slot;
}

/* What pointed to old points to node. */
static void replace_in_parent(struct heap *heap, struct heap_node *parent,
	const struct heap_node *old, struct heap_node *node)
{
	if (!parent)
		heap->first = node;
	else if (parent->left == old)
		parent->left = node;
	else
		parent->right = node;
}

static void adopt_children(struct heap_node *node)
{
	if (node->left)
		node->left->parent = node;
	if (node->right)
		node->right->parent = node;
}

/* Swaps a node with its parent. */
static void raise_heap_node(struct heap *heap, struct heap_node *node)
{
	struct heap_node *parent = node->parent, was = *node;

	replace_in_parent(heap, parent->parent, parent, node);
	node->parent = parent->parent;
	if (parent->left == node) {
		node->left = parent;
		node->right = parent->right;
	} else {
		node->left = parent->left;
		node->right = parent;
	}
	parent->left = was.left;
	parent->right = was.right;
	adopt_children(node);
	adopt_children(parent);
}

void heap_update(struct heap *heap, struct heap_node *node)
{
	while (node->parent && heap->before(node, node->parent))
		raise_heap_node(heap, node);
	while (node->left) {
		struct heap_node *child = node->left;

		if (node->right && heap->before(node->right, child))
			child = node->right;
		if (!heap->before(child, node))
			return;
		raise_heap_node(heap, child);
	}
}

void heap_insert(struct heap *heap, struct heap_node *node)
{
	struct heap_node *parent;
	struct heap_node **slot = find_heap_slot(heap, ++heap->count, &parent);

	*node = (struct heap_node){.parent = parent};
	*slot = node;
	heap_update(heap, node);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
	struct heap_node *parent;
	struct heap_node **slot = find_heap_slot(heap, heap->count--, &parent);
	struct heap_node *last = *slot;

	*slot = NULL;
	if (last == node)
		return;
	/* The last one takes the place, which may be too high or too low for it. */
	*last = *node;
	replace_in_parent(heap, node->parent, node, last);
	adopt_children(last);
	heap_update(heap, last);
}

size_t heap_list_first(const struct heap *heap, const struct heap_node **list, size_t room)
{
	size_t known = heap->first && room ? 1 : 0; /* list: those in order, then candidates */
	size_t done = 0;

	if (known)
		list[0] = heap->first;
	while (done < known) {
		size_t best = done;
		const struct heap_node *node, *children[2];

		for (size_t i = done + 1; i < known; i++) {
			if (heap->before(list[i], list[best]))
				best = i;
		}
		node = list[best];
		list[best] = list[done];
		list[done++] = node;
		children[0] = node->left;
		children[1] = node->right;
		for (size_t c = 0; c < 2; c++) {
			size_t worst = done;

			if (!children[c])
				continue;
			if (known < room) {
				list[known++] = children[c];
				continue;
			}
			/* No room: it replaces the last candidate, if it comes before that. */
			for (size_t i = done + 1; i < known; i++) {
				if (heap->before(list[worst], list[i]))
					worst = i;
			}
			if (done < known && heap->before(children[c], list[worst]))
				list[worst] = children[c];
		}
	}
	return done;
}
