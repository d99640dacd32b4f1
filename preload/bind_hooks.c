// SPDX-License-Identifier: BSD-2-Clause
// bind(2): a bind of a virtual address, or of one that is taken over, becomes a receiver.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/receiver_path.h"
#include "preload/hooks.h"
#include "preload/listener_state.h"
#include "preload/name.h"
#include "preload/preload_settings.h"
#include "preload/real.h"

/* As the original makes it; the directory says who may come near. */
#define FILE_MODE 0660

/* How a listener and a live one at the same path get along. */
enum conflict { REFUSED, TAKES_OVER, STAYS_ASIDE };

/*
 * A program that binds both families of a port apart (nginx's stock configuration) has two
 * listeners and one path. The AF_INET6 one gets all connections, for it can hold either address;
 * the other is there, and nothing arrives at it. Of several that share a port by SO_REUSEPORT the
 * last one gets them, as a successor must.
 */
static enum conflict bind_conflict(const struct name *own, const struct name *other)
{
	bool same_port = own->endpoint.port == other->endpoint.port;
	bool apart = own->family != other->family &&
		     (own->family == AF_INET6 ? own->v6only : other->v6only);

	if (!same_port)
		return REFUSED;
	if (own->reuseport && other->reuseport && own->family == other->family &&
		addr_equal(&own->endpoint.addr, &other->endpoint.addr))
		return TAKES_OVER;
	if (!apart || own->process != other->process || !addr_is_wildcard(&own->endpoint.addr) ||
		!addr_is_wildcard(&other->endpoint.addr))
		return REFUSED;
	return own->family == AF_INET6 ? TAKES_OVER : STAYS_ASIDE;
}

/*
 * Senders that are connected to a listener already would go on sending to it. So another socket of
 * the same name, which nobody can find, takes its place, and they see that their receiver is gone.
 */
static void set_aside(const struct name *name, const char *path)
{
	int status = fcntl(name->fd, F_GETFL), flags = fcntl(name->fd, F_GETFD);
	cleanup_close int quiet = -1;
	struct sockaddr_un address;
	struct state state;
	struct name found;

	if (status < 0 || flags < 0 || !name_of(name->fd, &found) || found.fd != name->fd ||
		found.process != name->process || found.family != name->family ||
		found.endpoint.port != name->endpoint.port || name_encode(name, path, &address))
		return;
	quiet = socket(
		AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | (status & O_NONBLOCK ? SOCK_NONBLOCK : 0), 0);
	if (quiet < 0 || real_get()->bind(quiet, (struct sockaddr *)&address, sizeof(address)))
		return;
	unlink(address.sun_path);
	if (state_read(name->fd, &state))
		state_write(quiet, &state);
	dup3(quiet, name->fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
}

/* Puts the bound file in place, or does without a place. */
static int publish_bind(const struct name *name, const char *temporary, const char *path)
{
	enum conflict conflict = REFUSED;
	struct sockaddr_un other;
	struct name found;
	int result;

	if (receiver_look(path, &other) == RECEIVER_LIVE &&
		name_decode(&other, sizeof(other), &found))
		conflict = bind_conflict(name, &found);
	if (conflict == STAYS_ASIDE) {
		unlink(temporary);
		return 0;
	}
	result = receiver_publish(temporary, path, conflict == TAKES_OVER);
	if (!result && conflict == TAKES_OVER && found.family != name->family)
		set_aside(&found, path);
	return result;
}

static int bind_path(int fd, const struct name *name, const char *path)
{
	struct sockaddr_un temporary;
	int result = name_encode(name, path, &temporary);

	if (result)
		return result;
	if (real_get()->bind(fd, (struct sockaddr *)&temporary, sizeof(temporary))) {
		/* This process's number is in the name: an earlier process left it behind. */
		if (errno != EADDRINUSE || unlink(temporary.sun_path) ||
			real_get()->bind(fd, (struct sockaddr *)&temporary, sizeof(temporary)))
			return -errno;
	}
	if (chmod(temporary.sun_path, FILE_MODE)) {
		result = -errno;
		unlink(temporary.sun_path);
		return result;
	}
	return publish_bind(name, temporary.sun_path, path);
}

/* Puts a receiver in the place of the program's socket. */
static int replace_bind(int fd, const struct name *name, const struct settings_target *target)
{
	int status = fcntl(fd, F_GETFL), flags = fcntl(fd, F_GETFD);
	struct state state = {0};
	cleanup_close int listener = -1;
	int result = 0;

	if (status < 0 || flags < 0)
		return -errno;
	listener = socket(AF_UNIX,
		target->type | SOCK_CLOEXEC | (status & O_NONBLOCK ? SOCK_NONBLOCK : 0), 0);
	if (listener < 0)
		return -errno;
	state_take_over(&state, fd, listener);
	if (target->address.sun_path[0])
		result = bind_path(listener, name, target->address.sun_path);
	else if (real_get()->bind(
			 listener, (const struct sockaddr *)&target->address, target->length))
		result = -errno;
	if (result)
		return result;
	state_write(listener, &state);
	return dup3(listener, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0 ? -errno : 0;
}

/* An unbound TCP socket; anything else is the kernel's to bind_conflict. */
static bool is_candidate(int fd, struct name *name)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	struct addr_endpoint endpoint;
	int domain = real_number(fd, SO_DOMAIN), v6only = 0;

	if ((domain != AF_INET && domain != AF_INET6) || real_number(fd, SO_TYPE) != SOCK_STREAM ||
		real_get()->getsockname(fd, (struct sockaddr *)&address, &length) ||
		addr_from_sockaddr(&address, length, &endpoint) || endpoint.port)
		return false;
	length = sizeof(v6only);
	if (domain == AF_INET6 &&
		!real_get()->getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &length))
		name->v6only = v6only;
	name->reuseport = real_number(fd, SO_REUSEPORT) > 0;
	name->process = (uint32_t)getpid();
	name->fd = fd & 0xffffff;
	return true;
}

/* 1: the bind is none of ours; 0: done; or negative errno. */
static int try_bind(int fd, const struct sockaddr *address, socklen_t length)
{
	struct sockaddr_storage copy = {0};
	struct settings_target target;
	struct name name = {0};
	int result;

	if (!address || length < sizeof(struct sockaddr_in) || length > sizeof(copy))
		return 1;
	memcpy(&copy, address, length);
	if (addr_from_sockaddr(&copy, length, &name.endpoint) || !name.endpoint.port)
		return 1;
	name.family = copy.ss_family;
	result = settings_match(name.family, &name.endpoint, &target);
	if (!result || !is_candidate(fd, &name))
		return 1;
	return result < 0 ? result : replace_bind(fd, &name, &target);
}

HOOK int bind(int fd, const struct sockaddr *address, socklen_t length)
{
	int saved = errno, result = try_bind(fd, address, length);

	if (result < 0) {
		errno = -result;
		return -1;
	}
	errno = saved;
	return result ? real_get()->bind(fd, address, length) : 0;
}
