// SPDX-License-Identifier: BSD-2-Clause
// Moves bytes one way. A direction copies, which is quickest for small messages, until a read fills
// its buffer; then it splices, until little comes.
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

bool direction_holds(const struct direction *direction)
{
	return direction->rest_length || direction->piped;
}

void direction_fini(struct direction *direction)
{
	free(direction->rest);
	if (direction->pipe)
		pipes_give(&direction->shared->pipes, direction->pipe, !direction->piped);
}

/* Keeps what a socket did not take. */
static int keep_direction(struct direction *direction, const uint8_t *data, size_t length)
{
	direction->rest = malloc(length);
	if (!direction->rest)
		return -ENOMEM;
	memcpy(direction->rest, data, length);
	direction->rest_at = 0;
	direction->rest_length = length;
	return 0;
}

int direction_put(struct direction *direction, const uint8_t *data, size_t length)
{
	ssize_t sent = send(direction->to, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		sent = 0;
	}
	direction->bytes += (uint64_t)sent;
	if ((size_t)sent == length)
		return 0;
	return keep_direction(direction, data + sent, length - (size_t)sent);
}

static int push_rest(struct direction *direction)
{
	ssize_t sent = send(direction->to, direction->rest + direction->rest_at,
		direction->rest_length, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	direction->bytes += (uint64_t)sent;
	direction->rest_at += (size_t)sent;
	direction->rest_length -= (size_t)sent;
	if (!direction->rest_length) {
		free(direction->rest);
		direction->rest = NULL;
	}
	return 0;
}

/* Every kind of socket takes what is spliced into it: the kernel copies where it has to. */
static int push_pipe(struct direction *direction)
{
	while (direction->piped) {
		ssize_t sent = splice(direction->pipe->read, NULL, direction->to, NULL,
			direction->piped, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? 0 : -errno;
		direction->bytes += (uint64_t)sent;
		direction->piped -= (size_t)sent;
	}
	return 0;
}

static int push_direction(struct direction *direction)
{
	int result = direction->rest_length ? push_rest(direction) : push_pipe(direction);

	if (direction->pipe && !direction->piped) {
		pipes_give(&direction->shared->pipes, direction->pipe, true);
		direction->pipe = NULL;
	}
	return result;
}

/* These two return 1 if there may be more to read, 0 if not, or -errno. */
static int pull_copy(struct direction *direction)
{
	uint8_t *buffer = direction->shared->buffer;
	ssize_t got = recv(direction->from, buffer, DIRECTION_BUFFER_SIZE, MSG_DONTWAIT);
	int result;

	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (!got) {
		direction->ended = true;
		return 0;
	}
	result = direction_put(direction, buffer, (size_t)got);
	if (result || (size_t)got < DIRECTION_BUFFER_SIZE)
		return result;
	direction->bulk = !direction->no_splice;
	return 1;
}

static int pull_splice(struct direction *direction)
{
	ssize_t got;

	direction->pipe = pipes_take(&direction->shared->pipes);
	if (!direction->pipe) {
		direction->bulk = false;
		return 1;
	}
	got = splice(direction->from, NULL, direction->pipe->write, NULL, SPLICE_MOST,
		SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (got < 0 && errno == EINVAL) {
		direction->no_splice = true;
		direction->bulk = false;
		return 1;
	}
	if (got < 0 && errno != EAGAIN && errno != EINTR)
		return -errno;
	if (!got)
		direction->ended = true;
	if (got < SPLICE_LITTLE)
		direction->bulk = false;
	if (got > 0)
		direction->piped = (size_t)got;
	return got > 0 && direction->bulk;
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

int direction_save(struct direction *direction, int *content)
{
	*content = -1;
	if (direction->rest_length)
		return write_out(
			direction->rest + direction->rest_at, direction->rest_length, content);
	if (direction->piped)
		*content = pipes_take_out(&direction->shared->pipes, take_ptr(&direction->pipe));
	direction->piped = 0;
	return 0;
}

int direction_resume(struct direction *direction, int content)
{
	cleanup_close int fd = content;
	ssize_t got = 1;

	while (got > 0) {
		size_t length = direction->rest_length;
		uint8_t *rest = realloc(direction->rest, length + DIRECTION_BUFFER_SIZE);

		if (!rest)
			return -ENOMEM;
		direction->rest = rest;
		got = read(fd, rest + length, DIRECTION_BUFFER_SIZE);
		if (got < 0)
			return -errno;
		direction->rest_length += (size_t)got;
	}
	if (!direction->rest_length)
		free(take_ptr(&direction->rest));
	return 0;
}

int direction_run(struct direction *direction)
{
	int result = push_direction(direction), more = 1;

	for (int round = 0; !result && more && round < ROUNDS; round++) {
		if (direction_holds(direction) || direction->ended)
			break;
		more = direction->bulk ? pull_splice(direction) : pull_copy(direction);
		result = more < 0 ? more : push_direction(direction);
	}
	if (result || !direction->ended || direction->shut || direction_holds(direction))
		return result;
	direction->shut = true;
	/* Where both directions have ended, closing says so by itself. */
	if (!direction->opposite->shut && shutdown(direction->to, SHUT_WR))
		return -errno;
	return 0;
}
