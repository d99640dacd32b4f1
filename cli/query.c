// SPDX-License-Identifier: BSD-2-Clause
// socketbox query: what the kernel says of an inherited socket, for scripts.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "cli/subcommands.h"
#include "common/addr.h"

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

/* One end of a connection. Texts that do not apply are empty. */
struct end {
	char address[ADDR_TEXT_SIZE + 16], port[8];
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) +
		  1]; /* '@' before an abstract name */
};

struct facts {
	char family[16], type[16], protocol[16];
	bool listening, connected;
	struct end local, remote;
	char peer_pid[16], peer_uid[16], peer_gid[16]; /* of a connected Unix socket */
	char cookie[24];
};

struct number_name {
	int number;
	const char *name;
};

static const struct number_name families[] = {
	{AF_INET, "inet"},
	{AF_INET6, "inet6"},
	{AF_UNIX, "unix"},
	{AF_NETLINK, "netlink"},
	{AF_PACKET, "packet"},
	{AF_VSOCK, "vsock"},
};

static const struct number_name types[] = {
	{SOCK_STREAM, "stream"},
	{SOCK_DGRAM, "dgram"},
	{SOCK_SEQPACKET, "seqpacket"},
	{SOCK_RAW, "raw"},
};

static const struct number_name protocols[] = {
	{IPPROTO_TCP, "tcp"},
	{IPPROTO_UDP, "udp"},
	{IPPROTO_ICMP, "icmp"},
	{IPPROTO_ICMPV6, "icmpv6"},
	{IPPROTO_SCTP, "sctp"},
	{IPPROTO_UDPLITE, "udplite"},
	{IPPROTO_MPTCP, "mptcp"},
};

/* A name, or the number where there is none. */
static void name_number(
	int number, const struct number_name *names, size_t count, char *out, size_t size)
{
	for (size_t i = 0; i < count; i++) {
		if (names[i].number == number) {
			snprintf(out, size, "%s", names[i].name);
			return;
		}
	}
	snprintf(out, size, "%d", number);
}

static int get_query(int fd, int option, int otherwise)
{
	socklen_t size = sizeof(otherwise);

	getsockopt(fd, SOL_SOCKET, option, &otherwise, &size);
	return otherwise;
}

static void read_end(const struct sockaddr_storage *address, socklen_t size, struct end *end)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
	const struct sockaddr_un *unix_address = (const struct sockaddr_un *)address;
	struct addr_endpoint endpoint;
	size_t length;

	if (!addr_from_sockaddr(address, size, &endpoint)) {
		addr_format(&endpoint.addr, end->address);
		/* By number: its name is that of another namespace, maybe. */
		if (address->ss_family == AF_INET6 && v6->sin6_scope_id) {
			length = strlen(end->address);
			snprintf(end->address + length, sizeof(end->address) - length, "%%%u",
				v6->sin6_scope_id);
		}
		snprintf(end->port, sizeof(end->port), "%u", endpoint.port);
		return;
	}
	if (address->ss_family != AF_UNIX || size <= offsetof(struct sockaddr_un, sun_path))
		return;
	length = size - offsetof(struct sockaddr_un, sun_path);
	if (length > sizeof(unix_address->sun_path))
		length = sizeof(unix_address->sun_path);
	memcpy(end->path, unix_address->sun_path, length);
	if (end->path[0]) /* a path, which ends at its NUL */
		return;
	for (size_t i = 0; i < length; i++) {
		if (!end->path[i])
			end->path[i] = '@';
	}
}

static void read_peer(int fd, struct facts *facts)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) || peer.uid == (uid_t)-1)
		return;
	snprintf(facts->peer_pid, sizeof(facts->peer_pid), "%d", (int)peer.pid);
	snprintf(facts->peer_uid, sizeof(facts->peer_uid), "%u", (unsigned)peer.uid);
	snprintf(facts->peer_gid, sizeof(facts->peer_gid), "%u", (unsigned)peer.gid);
}

static int read_facts(int fd, struct facts *facts, struct err *err)
{
	struct sockaddr_storage address = {0};
	socklen_t size = sizeof(address);
	uint64_t cookie;
	int family, protocol;

	if (getsockname(fd, (struct sockaddr *)&address, &size))
		return err_set(err, -errno,
			errno == EBADF	    ? "descriptor %d is not open"
			: errno == ENOTSOCK ? "descriptor %d is not a socket"
					    : "the socket at descriptor %d has no address",
			fd);
	read_end(&address, size, &facts->local);
	size = sizeof(address);
	if (!getpeername(fd, (struct sockaddr *)&address, &size)) {
		facts->connected = true;
		read_end(&address, size, &facts->remote);
	}
	family = get_query(fd, SO_DOMAIN, 0);
	protocol = get_query(fd, SO_PROTOCOL, 0);
	name_number(family, families, COUNT(families), facts->family, sizeof(facts->family));
	name_number(
		get_query(fd, SO_TYPE, 0), types, COUNT(types), facts->type, sizeof(facts->type));
	if (protocol)
		name_number(protocol, protocols, COUNT(protocols), facts->protocol,
			sizeof(facts->protocol));
	facts->listening = get_query(fd, SO_ACCEPTCONN, 0);
	if (family == AF_UNIX && facts->connected)
		read_peer(fd, facts);
	size = sizeof(cookie);
	if (!getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size))
		snprintf(facts->cookie, sizeof(facts->cookie), "%llu", (unsigned long long)cookie);
	return 0;
}

/* A line that a shell may evaluate whatever the value is. */
static void print_line(const char *name, const char *value)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:@%+,";

	printf("SOCKET_%s=", name);
	if (strspn(value, plain) == strlen(value)) {
		puts(value);
		return;
	}
	putchar('\'');
	for (; *value; value++) {
		if (*value == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*value);
	}
	puts("'");
}

static void print_lines(const struct facts *facts)
{
	const char *const lines[][2] = {
		{"FAMILY", facts->family},
		{"TYPE", facts->type},
		{"PROTOCOL", facts->protocol},
		{"LISTENING", facts->listening ? "yes" : "no"},
		{"CONNECTED", facts->connected ? "yes" : "no"},
		{"LOCAL_ADDRESS", facts->local.address},
		{"LOCAL_PORT", facts->local.port},
		{"LOCAL_PATH", facts->local.path},
		{"REMOTE_ADDRESS", facts->remote.address},
		{"REMOTE_PORT", facts->remote.port},
		{"REMOTE_PATH", facts->remote.path},
		{"PEER_PID", facts->peer_pid},
		{"PEER_UID", facts->peer_uid},
		{"PEER_GID", facts->peer_gid},
		{"COOKIE", facts->cookie},
	};

	for (size_t i = 0; i < COUNT(lines); i++)
		print_line(lines[i][0], lines[i][1]);
}

/* A path may be in any encoding; JSON is UTF-8. */
static json_t *json_text(const char *text)
{
	json_t *made = json_string(text);
	char ascii[ADDR_TEXT_SIZE * 2 + 1];
	size_t used = 0;

	if (made)
		return made;
	for (; text[used] && used < sizeof(ascii) - 1; used++)
		ascii[used] = (char)((unsigned char)text[used] < 0x80 ? text[used] : '?');
	ascii[used] = '\0';
	return json_string(ascii);
}

static void set_query_text(json_t *object, const char *key, const char *text)
{
	if (*text)
		json_object_set_new(object, key, json_text(text));
}

static void set_number(json_t *object, const char *key, const char *digits)
{
	if (*digits)
		json_object_set_new(object, key, json_integer(strtoll(digits, NULL, 10)));
}

static void set_end(json_t *object, const char *key, const struct end *end)
{
	json_t *made = json_object();

	set_query_text(made, "address", end->address);
	set_number(made, "port", end->port);
	set_query_text(made, "path", end->path);
	json_object_set_new(object, key, made);
}

static void print_json(const struct facts *facts)
{
	json_t *object = json_object(), *peer = json_object();

	set_query_text(object, "family", facts->family);
	set_query_text(object, "type", facts->type);
	set_query_text(object, "protocol", facts->protocol);
	json_object_set_new(object, "listening", json_boolean(facts->listening));
	json_object_set_new(object, "connected", json_boolean(facts->connected));
	set_end(object, "local", &facts->local);
	if (facts->connected)
		set_end(object, "remote", &facts->remote);
	set_number(peer, "pid", facts->peer_pid);
	set_number(peer, "uid", facts->peer_uid);
	set_number(peer, "gid", facts->peer_gid);
	if (json_object_size(peer))
		json_object_set(object, "peer", peer);
	set_number(object, "cookie", facts->cookie);
	json_dumpf(object, stdout, JSON_INDENT(2));
	puts("");
	json_decref(peer);
	json_decref(object);
}

static int parse_query(int argc, char **argv, int *fd, bool *as_json, struct err *err)
{
	static const struct option names[] = {{"json", no_argument, NULL, 'j'}, {0}};
	const char *word;
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option != 'j')
			return err_set(err, -EINVAL, "unknown option '%s'", argv[optind - 1]);
		*as_json = true;
	}
	if (argc - optind > 1)
		return err_set(err, -EINVAL, "one descriptor at a time");
	if (optind == argc)
		return 0;
	word = argv[optind];
	if (!*word || strspn(word, "0123456789") != strlen(word) || strlen(word) > 9)
		return err_set(err, -EINVAL, "'%s' is not a descriptor; write its number", word);
	*fd = (int)strtol(word, NULL, 10);
	return 0;
}

int query_main(int argc, char **argv, struct err *err)
{
	struct facts facts = {0};
	bool as_json = false;
	int fd = 0;

	if (parse_query(argc, argv, &fd, &as_json, err))
		return EXIT_USAGE;
	if (read_facts(fd, &facts, err))
		return EXIT_FAILED;
	if (as_json)
		print_json(&facts);
	else
		print_lines(&facts);
	return EXIT_DONE;
}
