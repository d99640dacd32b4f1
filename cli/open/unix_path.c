// SPDX-License-Identifier: BSD-2-Clause
// bind(2) to a path that may be left over, and what its file is like from the first moment on.
#include "cli/open/unix_path.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"

/* Binds with exactly the wanted mode: to narrow it afterwards would leave a gap. */
static int bind_once(int fd, const struct socket_spec *plan)
{
	mode_t before = plan->mode >= 0 ? umask(~(mode_t)plan->mode & 0777) : 0;
	int result = bind(fd, (const struct sockaddr *)&plan->address, plan->address_size);

	result = result ? -errno : 0;
	if (plan->mode >= 0)
		umask(before);
	return result;
}

/*
 * Asks the kernel whether a socket is bound to the file, without its owner noticing: a datagram
 * socket can be connected to another one unseen, and one of another type is refused with
 * EPROTOTYPE, but only if it is there.
 */
static int remove_unix_path_stale(const char *path, const struct socket_spec *plan, struct err *err)
{
	cleanup_close int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct stat file;
	int result;

	if (lstat(path, &file))
		return errno == ENOENT ? 0 : err_errno(err, -errno, "%s", path);
	if (!S_ISSOCK(file.st_mode))
		return err_set(err, -EEXIST,
			"%s exists and is no socket; remove it, or choose another path", path);
	if (probe < 0)
		return err_errno(err, -errno, "socket");
	result = connect(probe, (const struct sockaddr *)&plan->address, plan->address_size);
	if (!result || errno == EPROTOTYPE)
		return err_set(err, -EADDRINUSE,
			"%s is in use: a program has a socket open there; stop it, or choose another path",
			path);
	if (errno != ECONNREFUSED)
		return err_errno(err, -errno, "whether %s is in use cannot be told", path);
	if (unlink(path) && errno != ENOENT)
		return err_errno(
			err, -errno, "removing %s, which an earlier program has left", path);
	return 0;
}

static bool is_number(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 10;
}

static int find_owner(const char *text, uid_t *uid, gid_t *gid, struct err *err)
{
	char user[SOCKET_SPEC_OWNER_SIZE], *group;
	const struct passwd *passwd;
	const struct group *found;

	strcpy(user, text);
	group = strchr(user, ':');
	if (group)
		*group++ = '\0';
	passwd = user[0] ? getpwnam(user) : NULL;
	if (passwd)
		*uid = passwd->pw_uid;
	else if (is_number(user))
		*uid = (uid_t)strtoul(user, NULL, 10);
	else if (user[0])
		return err_set(err, -ENOENT, "there is no user '%s' (of owner=%s)", user, text);
	if (!group)
		return 0;
	found = getgrnam(group);
	if (found)
		*gid = found->gr_gid;
	else if (is_number(group))
		*gid = (gid_t)strtoul(group, NULL, 10);
	else
		return err_set(err, -ENOENT, "there is no group '%s' (of owner=%s)", group, text);
	return 0;
}

int path_bind(int fd, const struct socket_spec *plan, struct err *err)
{
	const struct sockaddr_un *address = (const struct sockaddr_un *)&plan->address;
	char path[sizeof(address->sun_path) + 1] = "";
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;
	int result;

	memcpy(path, address->sun_path,
		plan->address_size - offsetof(struct sockaddr_un, sun_path));
	if (plan->owner[0] && (result = find_owner(plan->owner, &uid, &gid, err)))
		return result;
	result = bind_once(fd, plan);
	if (result == -EADDRINUSE && path[0]) {
		result = remove_unix_path_stale(path, plan, err);
		if (result)
			return result;
		result = bind_once(fd, plan);
	}
	if (result && !path[0])
		return err_errno(err, result, "binding the abstract name @%s", path + 1);
	if (result)
		return err_errno(err, result, "binding %s", path);
	if (plan->owner[0] && lchown(path, uid, gid)) {
		result = err_errno(err, -errno, "giving %s to %s", path, plan->owner);
		unlink(path);
	}
	return result;
}
