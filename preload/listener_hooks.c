// SPDX-License-Identifier: BSD-2-Clause
// What a listener says of itself: getsockname(2), getpeername(2), getsockopt(2), setsockopt(2).
//
// The real function is always called first and its result is looked at only where it is one that a
// Unix socket gives, so that TCP sockets pay nothing.
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>

#include "common/cleanup.h"
#include "preload/hooks.h"
#include "preload/listener_state.h"
#include "preload/name.h"
#include "preload/preload_settings.h"
#include "preload/real.h"

/* As the kernel gives names: as much as fits, and their whole length. */
static void give_name(const void *name, socklen_t size, struct sockaddr *address, socklen_t *length,
	socklen_t room)
{
	memcpy(address, name, room < size ? room : size);
	*length = size;
}

void hooks_give_loopback(struct sockaddr *address, socklen_t *length, socklen_t room)
{
	static const struct sockaddr_in6 itself = {
		.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

	give_name(&itself, sizeof(itself), address, length, room);
}

/* What a socket of ours is to the program: a listener, a client of a Unix listener, or, with
 * stealth, a Unix client that accept has marked (accept.c). */
static bool is_ours(int fd, struct name *name)
{
	struct state state;

	if (name_of(fd, name))
		return true;
	if (!settings_stealth() || real_number(fd, SO_DOMAIN) != AF_UNIX || !state_read(fd, &state))
		return false;
	*name = (struct name){.family = AF_INET6, .endpoint.addr.bytes[15] = 1};
	return true;
}

/* True if the real function may have told a Unix name; room is what it was given. */
static bool is_unix(const struct sockaddr *address, socklen_t room)
{
	return room < sizeof(address->sa_family) || address->sa_family == AF_UNIX;
}

HOOK int getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
	socklen_t room = length ? *length : 0;
	struct sockaddr_storage shown;
	struct name name;

	if (real_get()->getsockname(fd, address, length))
		return -1;
	if (length && is_unix(address, room) && is_ours(fd, &name)) {
		socklen_t size = addr_to_sockaddr(&name.endpoint, name.family, &shown);

		give_name(&shown, size, address, length, room);
	}
	return 0;
}

int hooks_peer(int fd, struct sockaddr *address, socklen_t *length)
{
	socklen_t room = length ? *length : 0;

	if (real_get()->getpeername(fd, address, length))
		return -1;
	if (length && settings_stealth() && is_unix(address, room) &&
		real_number(fd, SO_DOMAIN) == AF_UNIX)
		hooks_give_loopback(address, length, room);
	return 0;
}

/* The program's own Unix sockets stay what they are. */
HOOK int getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
	struct name name;

	if (settings_stealth() && is_ours(fd, &name))
		return hooks_peer(fd, address, length);
	return real_get()->getpeername(fd, address, length);
}

/* A TCP socket as new as can be, to ask what one would say. */
static int listener_scratch(const struct name *name)
{
	return socket(name->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static bool listens_listener(int fd)
{
	struct state state;

	return !state_read(fd, &state) || state.listening;
}

/* Answers an option of SOL_SOCKET that tells a Unix socket from a TCP one. */
static bool show_listener(int fd, int option, int *value)
{
	struct name name;

	switch (option) {
	case SO_DOMAIN:
		if (*value != AF_UNIX || !is_ours(fd, &name))
			return false;
		*value = name.family;
		return true;
	case SO_TYPE:
		if (*value != SOCK_DGRAM || !is_ours(fd, &name))
			return false;
		*value = SOCK_STREAM;
		return true;
	case SO_PROTOCOL:
		if (*value || !is_ours(fd, &name))
			return false;
		*value = IPPROTO_TCP;
		return true;
	case SO_ACCEPTCONN:
		if (*value || real_number(fd, SO_TYPE) != SOCK_DGRAM || !is_ours(fd, &name))
			return false;
		*value = listens_listener(fd);
		return true;
	case SO_REUSEPORT:
		if (*value || !is_ours(fd, &name))
			return false;
		*value = name.reuseport;
		return true;
	default:
		return false;
	}
}

/* Asks a new TCP socket that has been told what the listener was told. */
static int ask_scratch(
	int fd, const struct name *name, int level, int option, void *value, socklen_t *length)
{
	cleanup_close int tcp = listener_scratch(name);
	struct state state;

	if (tcp < 0)
		return -1;
	if (level == IPPROTO_IPV6 && option == IPV6_V6ONLY) {
		int v6only = name->v6only;

		real_get()->setsockopt(tcp, level, option, &v6only, sizeof(v6only));
	} else if (state_read(fd, &state)) {
		state_apply_one(&state, tcp, level, option);
	}
	if (real_get()->getsockopt(tcp, level, option, value, length))
		return -1;
	if (level == IPPROTO_TCP && option == TCP_INFO && *length && listens_listener(fd))
		*(uint8_t *)value = TCP_LISTEN;
	return 0;
}

HOOK int getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
	socklen_t room = length ? *length : 0;
	int saved = errno, number = real_get()->getsockopt(fd, level, option, value, length);
	struct name name;

	if (level == SOL_SOCKET && !number && length) {
		int shown = 0;

		if (*length == sizeof(shown))
			memcpy(&shown, value, sizeof(shown));
		else if (option == SO_DOMAIN || option == SO_TYPE)
			shown = real_number(fd, option);
		if (show_listener(fd, option, &shown)) {
			*length = room < sizeof(shown) ? room : sizeof(shown);
			memcpy(value, &shown, *length);
		}
		errno = saved;
		return 0;
	}
	if (!number || level == SOL_SOCKET || errno != EOPNOTSUPP || !length || !is_ours(fd, &name))
		return number;
	if (ask_scratch(fd, &name, level, option, value, length))
		return -1;
	errno = saved;
	return 0;
}

/* Filters are where the state is, and mean nothing on a socket whose packets are not TCP's. */
static bool is_filter(int level, int option)
{
	return level == SOL_SOCKET && (option == SO_ATTACH_FILTER || option == SO_DETACH_FILTER ||
					      option == SO_ATTACH_BPF || option == SO_LOCK_FILTER);
}

static int remember_listener(int fd, int level, int option, const void *value, socklen_t length)
{
	struct state state;

	state_read(fd, &state);
	if (!state_set(&state, level, option, value, length))
		return -ENOBUFS;
	state_write(fd, &state);
	return 0;
}

/* 0 or negative errno: as TCP judges it. */
static int set_on_listener(
	int fd, const struct name *name, int level, int option, const void *value, socklen_t length)
{
	cleanup_close int tcp = listener_scratch(name);

	if (tcp < 0 || real_get()->setsockopt(tcp, level, option, value, length))
		return -errno;
	return remember_listener(fd, level, option, value, length);
}

HOOK int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
	int saved = errno, result;
	struct name name;

	if (is_filter(level, option) && is_ours(fd, &name)) {
		errno = ENOPROTOOPT;
		return -1;
	}
	if (!real_get()->setsockopt(fd, level, option, value, length)) {
		/* What Unix sockets have too is set on both: SO_RCVTIMEO is for accept. */
		if (level == SOL_SOCKET && real_number(fd, SO_DOMAIN) == AF_UNIX &&
			is_ours(fd, &name))
			remember_listener(fd, level, option, value, length);
		errno = saved;
		return 0;
	}
	if (errno != EOPNOTSUPP || !is_ours(fd, &name))
		return -1;
	result = set_on_listener(fd, &name, level, option, value, length);
	errno = result ? -result : saved;
	return result ? -1 : 0;
}
