// SPDX-License-Identifier: BSD-2-Clause
// Makes, keeps and closes pipes.
#include "relay/pipes.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Room for more than a socket's usual burst. Past an unprivileged user's share of pipe memory the
 * kernel leaves a pipe at its default size (pipe(7)), which also works. */
#define PIPE_SIZE (256 * 1024)

static void close_pair(struct pipes *pipes, struct pipe_pair *pair)
{
	close(pair->read);
	close(pair->write);
	free(pair);
	pipes->count--;
}

struct pipe_pair *pipes_take(struct pipes *pipes)
{
	struct pipe_pair *pair = pipes->unused;
	int fds[2];

	if (pair) {
		pipes->unused = pair->next;
		return pair;
	}
	if (pipes->count >= pipes->most || pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return NULL;
	pair = malloc(sizeof(*pair));
	if (!pair) {
		close(fds[0]);
		close(fds[1]);
		return NULL;
	}
	fcntl(fds[1], F_SETPIPE_SZ, PIPE_SIZE);
	*pair = (struct pipe_pair){.read = fds[0], .write = fds[1]};
	pipes->count++;
	return pair;
}

void pipes_give(struct pipes *pipes, struct pipe_pair *pair, bool empty)
{
	if (!empty) {
		close_pair(pipes, pair);
		return;
	}
	pair->next = pipes->unused;
	pipes->unused = pair;
}

int pipes_take_out(struct pipes *pipes, struct pipe_pair *pair)
{
	int content = pair->read;

	close(pair->write);
	free(pair);
	pipes->count--;
	return content;
}

bool pipes_trim(struct pipes *pipes)
{
	bool any = pipes->unused != NULL;

	while (pipes->unused) {
		struct pipe_pair *pair = pipes->unused;

		pipes->unused = pair->next;
		close_pair(pipes, pair);
	}
	return any;
}
