// SPDX-License-Identifier: BSD-2-Clause
// A list with two ends.
#include "daemon/deliver/accepted_queue.h"

#include <errno.h>
#include <stdlib.h>

int arrivals_append(struct arrivals *arrivals, struct arrival *arrival)
{
	struct waiting *waiting = malloc(sizeof(*waiting));

	if (!waiting)
		return -ENOMEM;
	*waiting = (struct waiting){.arrival = *arrival};
	arrival->fd = -1;
	if (arrivals->last)
		arrivals->last->next = waiting;
	else
		arrivals->first = waiting;
	arrivals->last = waiting;
	arrivals->count++;
	return 0;
}

void arrivals_put_before(struct arrivals *arrivals, struct arrivals *front)
{
	if (!front->count)
		return;
	front->last->next = arrivals->first;
	arrivals->first = front->first;
	if (!arrivals->last)
		arrivals->last = front->last;
	arrivals->count += front->count;
	*front = (struct arrivals){0};
}

void arrivals_drop_first(struct arrivals *arrivals)
{
	struct waiting *waiting = arrivals->first;

	arrivals->first = waiting->next;
	if (!arrivals->first)
		arrivals->last = NULL;
	arrivals->count--;
	free(waiting);
}
