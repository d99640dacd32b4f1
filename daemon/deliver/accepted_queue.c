// SPDX-License-Identifier: BSD-2-Clause
// A list with two ends.
#include "daemon/deliver/accepted_queue.h"

#include <errno.h>
#include <stdlib.h>

int accepted_queue_append(struct accepted_queue *queue, struct accepted *accepted)
{
	struct waiting *waiting = malloc(sizeof(*waiting));

	if (!waiting)
		return -ENOMEM;
	*waiting = (struct waiting){.accepted = *accepted};
	accepted->fd = -1;
	if (queue->last)
		queue->last->next = waiting;
	else
		queue->first = waiting;
	queue->last = waiting;
	queue->count++;
	return 0;
}

void accepted_queue_put_before(struct accepted_queue *queue, struct accepted_queue *front)
{
	if (!front->count)
		return;
	front->last->next = queue->first;
	queue->first = front->first;
	if (!queue->last)
		queue->last = front->last;
	queue->count += front->count;
	*front = (struct accepted_queue){0};
}

void accepted_queue_drop_first(struct accepted_queue *queue)
{
	struct waiting *waiting = queue->first;

	queue->first = waiting->next;
	if (!queue->first)
		queue->last = NULL;
	queue->count--;
	free(waiting);
}
