// SPDX-License-Identifier: BSD-2-Clause
// wait: a program gets the listening or UDP socket itself, one at a time.
#include <errno.h>
#include <stdlib.h>

#include "exec/exec_private.h"

#define SHORT_RUN_NS   (1000 * EXEC_NS_PER_MS) /* a program that ends sooner served nobody */
#define FIRST_DELAY_MS 100u
#define MOST_DELAY_MS  10000u

/* Leaves the socket alone for a while, each time longer: it is readable still, and a program that
 * fails at once would be started without end. */
static void delay_exec_socket(struct exec_socket *socket)
{
	struct timeval time;

	socket->delay_ms = socket->delay_ms ? socket->delay_ms * 2 : FIRST_DELAY_MS;
	if (socket->delay_ms > MOST_DELAY_MS)
		socket->delay_ms = MOST_DELAY_MS;
	time = exec_timeval(socket->delay_ms * EXEC_NS_PER_MS);
	socket->busy = true;
	evtimer_add(&socket->retry, &time);
}

static void on_exec_socket_retry(evutil_socket_t fd, short what, void *context)
{
	struct exec_socket *socket = context;

	(void)fd, (void)what;
	socket->busy = false;
	exec_advance(socket->exec);
}

static void on_exec_socket_readable(evutil_socket_t fd, short what, void *context)
{
	struct exec_socket *socket = context;
	struct exec *exec = socket->exec;
	uint64_t wait_ns;
	int result;

	(void)what;
	if (!exec_blocked(exec, exec_now_ns(), &wait_ns)) {
		result = exec_start(exec, fd, NULL, socket);
		if (!result)
			socket->busy = true;
		else if (result != -EAGAIN)
			delay_exec_socket(socket);
	}
	exec_advance(exec);
}

void exec_sockets_update(struct exec *exec)
{
	uint64_t wait_ns;
	bool blocked = exec_blocked(exec, exec_now_ns(), &wait_ns) != EXEC_ALLOWED;
	struct exec_socket *socket;

	LIST_FOREACH(socket, &exec->sockets, entry)
	{
		if (socket->busy || blocked)
			event_del(&socket->readable);
		else if (event_add(&socket->readable, NULL))
			delay_exec_socket(socket); /* no memory: later */
	}
}

void exec_socket_done(struct exec_socket *socket, uint64_t ran_ns)
{
	socket->busy = false;
	if (ran_ns < SHORT_RUN_NS)
		delay_exec_socket(socket);
	else
		socket->delay_ms = 0;
}

int exec_serve(struct exec *exec, int fd, struct err *err)
{
	struct exec_socket *socket = calloc(1, sizeof(*socket));

	if (!socket)
		return err_errno(err, -ENOMEM, "watching a socket");
	socket->exec = exec;
	socket->fd = fd;
	event_assign(&socket->readable, exec->options.base, fd, EV_READ | EV_PERSIST,
		on_exec_socket_readable, socket);
	evtimer_assign(&socket->retry, exec->options.base, on_exec_socket_retry, socket);
	LIST_INSERT_HEAD(&exec->sockets, socket, entry);
	exec_advance(exec);
	return 0;
}

static void forget_exec_socket(struct exec_socket *socket)
{
	struct exec_child *child;

	LIST_FOREACH(child, &socket->exec->children, entry)
	{
		if (child->socket == socket)
			child->socket = NULL;
	}
	event_del(&socket->readable);
	evtimer_del(&socket->retry);
	LIST_REMOVE(socket, entry);
	free(socket);
}

void exec_unserve(struct exec *exec, int fd)
{
	struct exec_socket *socket, *next;

	for (socket = LIST_FIRST(&exec->sockets); socket; socket = next) {
		next = LIST_NEXT(socket, entry);
		if (socket->fd == fd)
			forget_exec_socket(socket);
	}
}

void exec_sockets_free(struct exec *exec)
{
	while (!LIST_EMPTY(&exec->sockets))
		forget_exec_socket(LIST_FIRST(&exec->sockets));
}
