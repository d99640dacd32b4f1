// SPDX-License-Identifier: BSD-2-Clause
// Moves bytes one way. A flow copies, which is quickest for small messages, until a read fills its
// buffer; then it splices, until little comes.
#include "relay/direction.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"

#define SPLICE_MOST   (1024 * 1024)
#define SPLICE_LITTLE (16 * 1024)
#define ROUNDS	      4 /* of reading before other connections get their turn */

bool flow_holds(const struct flow *flow)
{
	return flow->rest_length || flow->piped;
}

void flow_fini(struct flow *flow)
{
	free(flow->rest);
	if (flow->pipe)
		pipes_give(&flow->shared->pipes, flow->pipe, !flow->piped);
}

/* Keeps what a socket did not take. */
static int keep(struct flow *flow, const uint8_t *data, size_t length)
{
	flow->rest = malloc(length);
	if (!flow->rest)
		return -ENOMEM;
	memcpy(flow->rest, data, length);
	flow->rest_at = 0;
	flow->rest_length = length;
	return 0;
}

int flow_put(struct flow *flow, const uint8_t *data, size_t length)
{
	ssize_t sent = send(flow->to, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		sent = 0;
	}
	flow->octets += (uint64_t)sent;
	if ((size_t)sent == length)
		return 0;
	return keep(flow, data + sent, length - (size_t)sent);
}

static int push_rest(struct flow *flow)
{
	ssize_t sent = send(flow->to, flow->rest + flow->rest_at, flow->rest_length,
		MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	flow->octets += (uint64_t)sent;
	flow->rest_at += (size_t)sent;
	flow->rest_length -= (size_t)sent;
	if (!flow->rest_length) {
		free(flow->rest);
		flow->rest = NULL;
	}
	return 0;
}

/* Every kind of socket takes what is spliced into it: the kernel copies where it has to. */
static int push_pipe(struct flow *flow)
{
	while (flow->piped) {
		ssize_t sent = splice(flow->pipe->read, NULL, flow->to, NULL, flow->piped,
			SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? 0 : -errno;
		flow->octets += (uint64_t)sent;
		flow->piped -= (size_t)sent;
	}
	return 0;
}

static int push(struct flow *flow)
{
	int result = flow->rest_length ? push_rest(flow) : push_pipe(flow);

	if (flow->pipe && !flow->piped) {
		pipes_give(&flow->shared->pipes, flow->pipe, true);
		flow->pipe = NULL;
	}
	return result;
}

/* These two return 1 if there may be more to read, 0 if not, or -errno. */
static int pull_copy(struct flow *flow)
{
	uint8_t *buffer = flow->shared->buffer;
	ssize_t got = recv(flow->from, buffer, FLOW_BUFFER_SIZE, MSG_DONTWAIT);
	int result;

	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (!got) {
		flow->ended = true;
		return 0;
	}
	result = flow_put(flow, buffer, (size_t)got);
	if (result || (size_t)got < FLOW_BUFFER_SIZE)
		return result;
	flow->bulk = !flow->no_splice;
	return 1;
}

static int pull_splice(struct flow *flow)
{
	ssize_t got;

	flow->pipe = pipes_take(&flow->shared->pipes);
	if (!flow->pipe) {
		flow->bulk = false;
		return 1;
	}
	got = splice(flow->from, NULL, flow->pipe->write, NULL, SPLICE_MOST,
		SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (got < 0 && errno == EINVAL) {
		flow->no_splice = true;
		flow->bulk = false;
		return 1;
	}
	if (got < 0 && errno != EAGAIN && errno != EINTR)
		return -errno;
	if (!got)
		flow->ended = true;
	if (got < SPLICE_LITTLE)
		flow->bulk = false;
	if (got > 0)
		flow->piped = (size_t)got;
	return got > 0 && flow->bulk;
}

/* A file, since a pipe may be smaller than this. */
static int write_out(const uint8_t *data, size_t length, int *content)
{
	cleanup_close int fd = memfd_create("socketbox-relay", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (write(fd, data, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET))
		return -ENOSPC;
	*content = take_fd(&fd);
	return 0;
}

int flow_keep(struct flow *flow, int *content)
{
	*content = -1;
	if (flow->rest_length)
		return write_out(flow->rest + flow->rest_at, flow->rest_length, content);
	if (flow->piped)
		*content = pipes_take_out(&flow->shared->pipes, take_ptr(&flow->pipe));
	flow->piped = 0;
	return 0;
}

int flow_resume(struct flow *flow, int content)
{
	cleanup_close int fd = content;
	ssize_t got = 1;

	while (got > 0) {
		size_t length = flow->rest_length;
		uint8_t *rest = realloc(flow->rest, length + FLOW_BUFFER_SIZE);

		if (!rest)
			return -ENOMEM;
		flow->rest = rest;
		got = read(fd, rest + length, FLOW_BUFFER_SIZE);
		if (got < 0)
			return -errno;
		flow->rest_length += (size_t)got;
	}
	if (!flow->rest_length)
		free(take_ptr(&flow->rest));
	return 0;
}

int flow_run(struct flow *flow)
{
	int result = push(flow), more = 1;

	for (int round = 0; !result && more && round < ROUNDS; round++) {
		if (flow_holds(flow) || flow->ended)
			break;
		more = flow->bulk ? pull_splice(flow) : pull_copy(flow);
		result = more < 0 ? more : push(flow);
	}
	if (result || !flow->ended || flow->shut || flow_holds(flow))
		return result;
	flow->shut = true;
	/* Where both directions have ended, closing says so by itself. */
	if (!flow->opposite->shut && shutdown(flow->to, SHUT_WR))
		return -errno;
	return 0;
}
