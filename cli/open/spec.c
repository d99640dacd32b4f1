// SPDX-License-Identifier: BSD-2-Clause
// Reads specs: a kind, an address in the kind's notation, and options from a table.
#include "cli/open/spec.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "common/addr.h"

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

#define WORD_SIZE  1024 /* of an address, or an option with its value */
#define SHOWN_SIZE 72	/* of a spec in an error */

struct reader {
	const char *text;
	size_t start, at; /* of the word that is read; of what comes after it */
	char word[WORD_SIZE];
	struct err *err;
};

enum {
	TCP = 1 << 0,
	UDP = 1 << 1,
	STREAM = 1 << 2,
	DATAGRAM = 1 << 3,
	SEQPACKET = 1 << 4,
	SOCKPAIR = 1 << 5,
	INTERNET = TCP | UDP,
	LISTENING = TCP | STREAM | SEQPACKET,
	UNIX = STREAM | DATAGRAM | SEQPACKET | SOCKPAIR,
	ALL = INTERNET | UNIX,
};

static const struct kind {
	const char *prefix;
	unsigned bit;
	int type, protocol;
} kinds[] = {
	{"tcp://", TCP, SOCK_STREAM, IPPROTO_TCP},
	{"udp://", UDP, SOCK_DGRAM, IPPROTO_UDP},
	{"unix-stream:", STREAM, SOCK_STREAM, 0},
	{"unix-dgram:", DATAGRAM, SOCK_DGRAM, 0},
	{"unix-seqpacket:", SEQPACKET, SOCK_SEQPACKET, 0},
	{"sockpair:", SOCKPAIR, SOCK_DGRAM, 0},
};

/* Copies the spec without what would disturb a terminal. */
static void show_spec(const char *text, size_t from, char *shown)
{
	size_t used = 0;

	for (; used < SHOWN_SIZE && text[from + used]; used++) {
		unsigned char c = (unsigned char)text[from + used];

		shown[used] = (char)(c < ' ' || c >= 0x7f ? '?' : c);
	}
	shown[used] = '\0';
}

/* Fills the error: what is wrong, the spec, and a caret below its byte `at`. */
__attribute__((format(printf, 3, 4))) static int fail(
	const struct reader *reader, size_t at, const char *format, ...)
{
	size_t from = at > SHOWN_SIZE / 2 ? at - SHOWN_SIZE / 2 : 0;
	char what[256], shown[SHOWN_SIZE + 1];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	for (char *c = what; *c; c++) {
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
			*c = '?';
	}
	show_spec(reader->text, from, shown);
	return err_set(reader->err, -EINVAL, "%s\n  %s\n  %*s^", what, shown, (int)(at - from), "");
}

/* Reads up to the next comma; a backslash takes the next character as it is. */
static int next_spec_word(struct reader *reader)
{
	size_t used = 0;

	reader->start = reader->at;
	for (; reader->text[reader->at] && reader->text[reader->at] != ','; reader->at++) {
		if (reader->text[reader->at] == '\\') {
			reader->at++;
			if (!reader->text[reader->at])
				return fail(reader, reader->at - 1,
					"a backslash needs the character that it shall protect, such as \\,");
		}
		if (used == sizeof(reader->word) - 1)
			return fail(reader, reader->start, "this is longer than %d characters",
				WORD_SIZE - 1);
		reader->word[used++] = reader->text[reader->at];
	}
	reader->word[used] = '\0';
	return 0;
}

/* A number without sign, in octal where base is 8; false if it is none, or above most. */
static bool spec_number(const char *text, unsigned base, unsigned long most, int *out)
{
	unsigned long value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text >= (char)('0' + base))
			return false;
		value = value * base + (unsigned long)(*text - '0');
		if (value > most)
			return false;
	}
	*out = (int)value;
	return true;
}

static int read_scope(struct reader *reader, char *host, struct socket_spec *spec)
{
	char *scope = strchr(host, '%');

	if (!scope)
		return 0;
	*scope++ = '\0';
	if (!*scope || strlen(scope) >= sizeof(spec->scope))
		return fail(reader, reader->start,
			"after '%%' comes the name of an interface, of up to %zu characters, not '%.64s'",
			sizeof(spec->scope) - 1, scope);
	strcpy(spec->scope, scope);
	return 0;
}

/* ADDRESS:PORT, the address in brackets if it is IPv6. */
static int read_spec_endpoint(
	struct reader *reader, const struct kind *kind, struct socket_spec *spec)
{
	bool v6 = reader->word[0] == '[';
	char *host = reader->word + v6, *host_end = v6 ? strchr(host, ']') : strrchr(host, ':');
	const char *colon = host_end && v6 ? host_end + 1 : host_end;
	struct addr_endpoint endpoint;
	int port;

	if (!host_end || *colon != ':')
		return fail(reader, reader->start,
			v6 ? "'%.64s' is not complete: write [ADDRESS]:PORT, such as [::]:80"
			   : "'%.64s' is not ADDRESS:PORT, such as 192.0.2.1:80 or [::]:80",
			reader->word);
	if (!spec_number(colon + 1, 10, 65535, &port))
		return fail(reader, reader->start,
			"'%.64s' is not a port: write a number from 0 to 65535", colon + 1);
	*host_end = '\0';
	if (!v6 && !*host)
		return fail(reader, reader->start,
			"the address is missing: write [::]:%d for all, or 0.0.0.0:%d for IPv4",
			port, port);
	if (!v6 && strchr(host, ':'))
		return fail(reader, reader->start,
			"an IPv6 address stands in brackets: [ADDRESS]:PORT");
	if (v6 && read_scope(reader, host, spec))
		return -EINVAL;
	if (addr_parse(host, &endpoint.addr, NULL) || (v6 && !strchr(host, ':')))
		return fail(reader, reader->start,
			v6 ? "'%.64s' is not an IPv6 address"
			   : "'%.64s' is not an IP address (names are not looked up)",
			host);
	endpoint.port = (uint16_t)port;
	spec->domain = v6 ? AF_INET6 : AF_INET;
	spec->address_size = addr_to_sockaddr(&endpoint, spec->domain, &spec->address);
	spec->reuseaddr = kind->bit == TCP;
	snprintf(spec->name, sizeof(spec->name), "%.3s-%d", kind->prefix, port);
	return 0;
}

static int read_spec_path(struct reader *reader, const struct kind *kind, struct socket_spec *spec)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(reader->word);
	bool abstract = reader->word[0] == '@';

	if (!length || (abstract && length == 1))
		return fail(reader, reader->start,
			kind->bit == SOCKPAIR
				? "the path is missing at which senders find this end, such as sockpair:/run/web.sock"
				: "a path is missing, such as /run/web.sock, or a name, such as @web");
	if (length >= sizeof(address.sun_path))
		return fail(reader, reader->start, "a Unix socket's path has up to %zu characters",
			sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, reader->word, length);
	if (abstract)
		address.sun_path[0] = '\0';
	memcpy(&spec->address, &address, sizeof(address));
	spec->address_size =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (abstract ? 0 : 1));
	spec->domain = AF_UNIX;
	/* Whoever may send to a handoff destination can make connections up. */
	if (kind->bit == SOCKPAIR && !abstract)
		spec->mode = 0600;
	snprintf(spec->name, sizeof(spec->name), "%.*s", (int)strlen(kind->prefix) - 1,
		kind->prefix);
	return 0;
}

static int take_backlog(struct socket_spec *spec, const char *value)
{
	return spec_number(value, 10, INT_MAX, &spec->backlog) ? 0 : -EINVAL;
}

static int take_defer_accept(struct socket_spec *spec, const char *value)
{
	return spec_number(value, 10, 3600, &spec->defer_accept_s) ? 0 : -EINVAL;
}

static int take_mode(struct socket_spec *spec, const char *value)
{
	return spec_number(value, 8, 0777, &spec->mode) ? 0 : -EINVAL;
}

static int take_text(char *out, size_t size, const char *value)
{
	if (!*value || strlen(value) >= size)
		return -EINVAL;
	strcpy(out, value);
	return 0;
}

static int take_interface(struct socket_spec *spec, const char *value)
{
	return strchr(value, '/') ? -EINVAL
				  : take_text(spec->interface, sizeof(spec->interface), value);
}

static int take_owner(struct socket_spec *spec, const char *value)
{
	const char *colon = strchr(value, ':');

	if (colon && (!colon[1] || strchr(colon + 1, ':')))
		return -EINVAL;
	return take_text(spec->owner, sizeof(spec->owner), value);
}

static int take_name(struct socket_spec *spec, const char *value)
{
	for (const char *c = value; *c; c++) {
		if (*c < ' ' || *c == 0x7f || *c == ':')
			return -EINVAL;
	}
	return take_text(spec->name, sizeof(spec->name), value);
}

static int take_netns(struct socket_spec *spec, const char *value)
{
	return take_text(spec->place.netns, sizeof(spec->place.netns), value);
}

static int take_v6only(struct socket_spec *spec, const char *value)
{
	if (!strcmp(value, "yes"))
		spec->v6only = 1;
	else if (!strcmp(value, "no"))
		spec->v6only = 0;
	else
		return -EINVAL;
	return 0;
}

#define YES_OR_NO     "yes or no"
#define SWITCH(field) offsetof(struct socket_spec, field), NULL, "yes", YES_OR_NO

static const struct option {
	const char *name;
	unsigned kinds;	      /* that have it */
	size_t switch_offset; /* of a bool, where there is no take */
	int (*take)(struct socket_spec *spec, const char *value);
	const char *alone; /* what it means without a value; NULL: it needs one */
	const char *values;
} options[] = {
	{"backlog", LISTENING, 0, take_backlog, NULL, "a number"},
	{"listen", LISTENING, SWITCH(listen)},
	{"reuseaddr", INTERNET, SWITCH(reuseaddr)},
	{"reuseport", INTERNET, SWITCH(reuseport)},
	{"freebind", INTERNET, SWITCH(freebind)},
	{"transparent", INTERNET, SWITCH(transparent)},
	{"v6only", INTERNET, 0, take_v6only, "yes", YES_OR_NO},
	{"defer-accept", TCP, 0, take_defer_accept, "1", "seconds, from 0 to 3600"},
	{"nodelay", TCP, SWITCH(nodelay)},
	{"interface", INTERNET, 0, take_interface, NULL, "the name of an interface"},
	{"mode", UNIX, 0, take_mode, NULL, "an octal number, such as 0660"},
	{"owner", UNIX, 0, take_owner, NULL, "USER, USER:GROUP or :GROUP, names or numbers"},
	{"name", ALL, 0, take_name, NULL, "up to 255 characters, none of which is ':'"},
	{"netns", ALL, 0, take_netns, NULL, "a path, a process's number, or a name in /run/netns"},
	{"userns", ALL, SWITCH(place.userns)},
};

static int take_switch(const struct option *option, struct socket_spec *spec, const char *value)
{
	bool *field = (bool *)((char *)spec + option->switch_offset);

	*field = !strcmp(value, "yes");
	return *field || !strcmp(value, "no") ? 0 : -EINVAL;
}

static int read_spec_option(
	struct reader *reader, const struct kind *kind, unsigned *seen, struct socket_spec *spec)
{
	char *equals = strchr(reader->word, '=');
	const char *value = equals ? equals + 1 : NULL;
	const struct option *option = options;

	if (equals)
		*equals = '\0';
	while (option < options + COUNT(options) && strcmp(option->name, reader->word) != 0)
		option++;
	if (option == options + COUNT(options))
		return fail(reader, reader->start, "there is no option '%.64s'", reader->word);
	if (!(option->kinds & kind->bit))
		return fail(reader, reader->start, "%.*s has no option %s",
			(int)strcspn(kind->prefix, ":"), kind->prefix, option->name);
	if (*seen & 1u << (option - options))
		return fail(reader, reader->start, "%s is given twice", option->name);
	*seen |= 1u << (option - options);
	if (!value)
		value = option->alone;
	if (!value)
		return fail(reader, reader->start, "%s needs a value: %s", option->name,
			option->values);
	if (option->take ? option->take(spec, value) : take_switch(option, spec, value))
		return fail(reader, reader->start, "%s is %s, not '%.64s'", option->name,
			option->values, value);
	return 0;
}

/* Options that the address rules out. */
static int check_spec(const struct reader *reader, const struct socket_spec *spec)
{
	const struct sockaddr_un *path = (const struct sockaddr_un *)&spec->address;

	if (spec->domain == AF_INET && spec->v6only >= 0)
		return fail(reader, 0, "v6only is for an IPv6 address, such as [::]:80");
	if (spec->domain == AF_UNIX && !path->sun_path[0] && (spec->mode >= 0 || spec->owner[0]))
		return fail(
			reader, 0, "mode and owner are for a path; an abstract name has neither");
	return 0;
}

int spec_parse(const char *text, struct socket_spec *spec, struct err *err)
{
	struct reader reader = {.text = text, .err = err};
	struct socket_spec made = SOCKET_SPEC_INIT;
	const struct kind *kind = kinds;
	unsigned seen = 0;
	int result;

	while (kind < kinds + COUNT(kinds) &&
		strncmp(text, kind->prefix, strlen(kind->prefix)) != 0)
		kind++;
	if (kind == kinds + COUNT(kinds))
		return fail(&reader, 0,
			"a socket begins with tcp://, udp://, unix-stream:, unix-dgram:, unix-seqpacket: or sockpair:");
	made.type = kind->type;
	made.protocol = kind->protocol;
	made.listen = kind->bit & LISTENING;
	made.backlog = SOMAXCONN;
	reader.at = strlen(kind->prefix);
	result = next_spec_word(&reader);
	if (!result)
		result = kind->bit & UNIX ? read_spec_path(&reader, kind, &made)
					  : read_spec_endpoint(&reader, kind, &made);
	while (!result && reader.text[reader.at] == ',') {
		reader.at++;
		result = next_spec_word(&reader);
		if (!result)
			result = read_spec_option(&reader, kind, &seen, &made);
	}
	if (!result)
		result = check_spec(&reader, &made);
	if (!result)
		*spec = made;
	return result;
}
