// SPDX-License-Identifier: BSD-2-Clause
// accept(2), accept4(2), listen(2): on a Unix datagram socket, a receive.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/handoff_message.h"
#include "preload/hooks.h"
#include "preload/listener_state.h"
#include "preload/name.h"
#include "preload/preload_settings.h"
#include "preload/real.h"

/* Any such socket, whoever bound it: programs may speak the protocol on purpose. */
static bool is_receiver(int fd)
{
	return real_number(fd, SO_TYPE) == SOCK_DGRAM && real_number(fd, SO_DOMAIN) == AF_UNIX;
}

/* After shutdown(2), accept on a TCP listener gives EINVAL. */
static bool is_shut_down(int fd)
{
	struct pollfd poller = {.fd = fd, .events = POLLRDHUP};

	return poll(&poller, 1, 0) == 1 && poller.revents & POLLRDHUP;
}

/* Makes the connection what accept4 promises. Status flags are not inherited. */
static int prepare_accepted(int listener, int connection, int flags)
{
	int domain = real_number(connection, SO_DOMAIN), status = fcntl(connection, F_GETFL);
	int wanted = status & ~O_NONBLOCK;
	struct state state;

	if (real_number(connection, SO_TYPE) != SOCK_STREAM || status < 0 ||
		(domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX))
		return -ECONNABORTED;
	if (flags & SOCK_NONBLOCK)
		wanted |= O_NONBLOCK;
	if (wanted != status && fcntl(connection, F_SETFL, wanted))
		return -errno;
	if (domain == AF_UNIX) {
		/* Remembered as a client, whose addresses are ::1 from now on. */
		if (settings_stealth())
			state_write(connection, &(struct state){0});
	} else if (state_read(listener, &state)) {
		state_apply(&state, connection);
	}
	return 0;
}

/*
 * What is no connection, or is one no more, is reported as ECONNABORTED, which servers expect of
 * accept and go on: skipping it here could wait in a call that must not wait.
 */
static int receive_accepted(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	cleanup_close int connection = -1;
	int result;

	if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
		return -EINVAL;
	if (address && !length)
		return -EFAULT;
	result = handoff_recv(fd, flags & SOCK_CLOEXEC ? MSG_CMSG_CLOEXEC : 0, &connection);
	if (result == -ENODATA)
		return is_shut_down(fd) ? -EINVAL : -ECONNABORTED;
	if (result == -EBADMSG)
		return -ECONNABORTED;
	if (!result)
		result = prepare_accepted(fd, connection, flags);
	if (result)
		return result;
	if (address && hooks_peer(connection, address, length))
		return errno == ENOTCONN ? -ECONNABORTED : -errno;
	return take_fd(&connection);
}

/* The address of a client of a Unix stream listener of ours, with stealth. room is what length was
 * before the call. */
static void disguise_accepted(int fd, struct sockaddr *address, socklen_t *length, socklen_t room)
{
	struct name name;

	if (address && settings_stealth() && real_number(fd, SO_DOMAIN) == AF_UNIX &&
		name_of(fd, &name))
		hooks_give_loopback(address, length, room);
}

static int report_accepted(int result, int saved)
{
	errno = result < 0 ? -result : saved;
	return result < 0 ? -1 : result;
}

HOOK int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	socklen_t room = length ? *length : 0;
	int saved = errno, connection;

	if (is_receiver(fd))
		return report_accepted(receive_accepted(fd, address, length, flags), saved);
	connection = real_get()->accept4(fd, address, length, flags);
	if (connection >= 0)
		disguise_accepted(fd, address, length, room);
	return connection;
}

HOOK int accept(int fd, struct sockaddr *address, socklen_t *length)
{
	socklen_t room = length ? *length : 0;
	int saved = errno, connection;

	if (is_receiver(fd))
		return report_accepted(receive_accepted(fd, address, length, 0), saved);
	connection = real_get()->accept(fd, address, length);
	if (connection >= 0)
		disguise_accepted(fd, address, length, room);
	return connection;
}

HOOK int listen(int fd, int backlog)
{
	int saved = errno;
	struct state state;
	struct name name;

	if (!real_get()->listen(fd, backlog))
		return 0;
	if (errno != EOPNOTSUPP || !is_receiver(fd))
		return -1;
	if (name_of(fd, &name)) {
		state_read(fd, &state);
		state.listening = true;
		state_write(fd, &state);
	}
	errno = saved;
	return 0;
}
