// SPDX-License-Identifier: BSD-2-Clause
// A machine that is always the same, in place of libc's functions: its users, groups and services,
// and chance. What an input does must depend on nothing else; and reading /etc anew for each name
// would take most of the time.
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <string.h>
#include <sys/random.h>

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

static char root[] = "root", nobody[] = "nobody", nogroup[] = "nogroup", directory[] = "/root",
	    none[] = "/nonexistent", shell[] = "/bin/sh", ssh[] = "ssh", tftp[] = "tftp",
	    domain[] = "domain", tcp[] = "tcp", udp[] = "udp";

static struct passwd users[] = {
	{.pw_name = root, .pw_dir = directory, .pw_shell = shell},
	{.pw_name = nobody, .pw_uid = 65534, .pw_gid = 65534, .pw_dir = none, .pw_shell = shell},
};

static struct group groups[] = {
	{.gr_name = root},
	{.gr_name = nogroup, .gr_gid = 65534},
};

static struct servent services[] = {
	{.s_name = ssh, .s_proto = tcp},
	{.s_name = domain, .s_proto = tcp},
	{.s_name = domain, .s_proto = udp},
	{.s_name = tftp, .s_proto = udp},
};

static const uint16_t ports[COUNT(services)] = {22, 53, 53, 69};

struct passwd *getpwnam(const char *name)
{
	for (size_t i = 0; i < COUNT(users); i++) {
		if (!strcmp(users[i].pw_name, name))
			return &users[i];
	}
	return NULL;
}

struct passwd *getpwuid(uid_t uid)
{
	for (size_t i = 0; i < COUNT(users); i++) {
		if (users[i].pw_uid == uid)
			return &users[i];
	}
	return NULL;
}

struct group *getgrnam(const char *name)
{
	for (size_t i = 0; i < COUNT(groups); i++) {
		if (!strcmp(groups[i].gr_name, name))
			return &groups[i];
	}
	return NULL;
}

/* Nobody is in a further group. */
int getgrouplist(const char *user, gid_t group, gid_t *list, int *count)
{
	int room = *count;

	(void)user;
	*count = 1;
	if (room < 1)
		return -1;
	list[0] = group;
	return 1;
}

struct servent *getservbyname(const char *name, const char *protocol)
{
	for (size_t i = 0; i < COUNT(services); i++) {
		if (strcmp(services[i].s_name, name) != 0 ||
			(protocol && strcmp(services[i].s_proto, protocol) != 0))
			continue;
		services[i].s_port = htons(ports[i]);
		return &services[i];
	}
	return NULL;
}

/* "Random" ports are those that come first. */
ssize_t getrandom(void *out, size_t size, unsigned flags)
{
	(void)flags;
	memset(out, 0, size);
	return (ssize_t)size;
}
