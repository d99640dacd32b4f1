// SPDX-License-Identifier: BSD-2-Clause
// Specs of socketbox open: what each part of the notation means, and what is refused, where.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "cli/open/spec.h"
#include "common/addr.h"

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

static struct socket_spec parse_spec(const char *text)
{
	struct socket_spec spec;
	struct err err;

	if (spec_parse(text, &spec, &err))
		fail_msg("%s", err.text);
	return spec;
}

static void internet_addresses(void **state)
{
	static const struct {
		const char *text, *address, *name;
		int domain, type, protocol;
	} cases[] = {
		{"tcp://192.0.2.1:80", "192.0.2.1:80", "tcp-80", AF_INET, SOCK_STREAM, IPPROTO_TCP},
		{"tcp://[::]:443", "[::]:443", "tcp-443", AF_INET6, SOCK_STREAM, IPPROTO_TCP},
		{"tcp://[::ffff:192.0.2.1]:1", "192.0.2.1:1", "tcp-1", AF_INET6, SOCK_STREAM,
			IPPROTO_TCP},
		{"udp://0.0.0.0:0", "0.0.0.0:0", "udp-0", AF_INET, SOCK_DGRAM, IPPROTO_UDP},
		{"udp://[2001:db8::1]:65535", "[2001:db8::1]:65535", "udp-65535", AF_INET6,
			SOCK_DGRAM, IPPROTO_UDP},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct socket_spec spec = parse_spec(cases[i].text);
		struct addr_endpoint endpoint;
		char text[ADDR_TEXT_SIZE];

		assert_int_equal(
			addr_from_sockaddr(&spec.address, spec.address_size, &endpoint), 0);
		assert_string_equal(addr_endpoint_format(&endpoint, text), cases[i].address);
		assert_string_equal(spec.name, cases[i].name);
		assert_int_equal(spec.address.ss_family, cases[i].domain);
		assert_int_equal(spec.domain, cases[i].domain);
		assert_int_equal(spec.type, cases[i].type);
		assert_int_equal(spec.protocol, cases[i].protocol);
		assert_int_equal(spec.listen, cases[i].type == SOCK_STREAM);
		assert_int_equal(spec.reuseaddr, cases[i].type == SOCK_STREAM);
	}
	assert_string_equal(parse_spec("tcp://[fe80::1%eth0]:80").scope, "eth0");
}

static void unix_addresses(void **state)
{
	static const struct {
		const char *text, *path, *name;
		int type;
		bool listen;
	} cases[] = {
		{"unix-stream:/run/a", "/run/a", "unix-stream", SOCK_STREAM, true},
		{"unix-dgram:a", "a", "unix-dgram", SOCK_DGRAM, false},
		{"unix-seqpacket:/a b", "/a b", "unix-seqpacket", SOCK_SEQPACKET, true},
		{"sockpair:/a", "/a", "sockpair", SOCK_DGRAM, false},
		{"unix-stream:/a\\,b\\\\c,name=web", "/a,b\\c", "web", SOCK_STREAM, true},
	};
	struct socket_spec spec;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct sockaddr_un *address;

		spec = parse_spec(cases[i].text);
		address = (const struct sockaddr_un *)&spec.address;
		assert_string_equal(address->sun_path, cases[i].path);
		assert_int_equal(spec.address_size,
			offsetof(struct sockaddr_un, sun_path) + strlen(cases[i].path) + 1);
		assert_string_equal(spec.name, cases[i].name);
		assert_int_equal(spec.domain, AF_UNIX);
		assert_int_equal(spec.type, cases[i].type);
		assert_int_equal(spec.listen, cases[i].listen);
	}
	spec = parse_spec("unix-stream:@web");
	assert_int_equal(spec.address_size, offsetof(struct sockaddr_un, sun_path) + 4);
	assert_memory_equal(((struct sockaddr_un *)&spec.address)->sun_path, "\0web", 4);
	/* Whoever may send to it can make connections up. */
	assert_int_equal(parse_spec("sockpair:/a").mode, 0600);
	assert_int_equal(parse_spec("sockpair:/a,mode=0660").mode, 0660);
	assert_int_equal(parse_spec("unix-dgram:/a").mode, -1);
}

static void options_of_internet_sockets(void **state)
{
	struct socket_spec spec = parse_spec("tcp://[::]:80");

	(void)state;
	assert_false(spec.reuseport || spec.freebind || spec.transparent || spec.nodelay);
	assert_int_equal(spec.v6only, -1);
	assert_int_equal(spec.backlog, SOMAXCONN);
	assert_int_equal(spec.defer_accept_s, 0);
	spec = parse_spec(
		"tcp://[::]:80,reuseport,freebind=yes,transparent,nodelay,v6only,defer-accept,"
		"backlog=512,interface=eth0,name=web,netns=/run/netns/x,userns,reuseaddr=no");
	assert_true(spec.reuseport && spec.freebind && spec.transparent && spec.nodelay);
	assert_true(spec.place.userns && spec.listen);
	assert_false(spec.reuseaddr);
	assert_int_equal(spec.v6only, 1);
	assert_int_equal(spec.backlog, 512);
	assert_int_equal(spec.defer_accept_s, 1);
	assert_string_equal(spec.interface, "eth0");
	assert_string_equal(spec.name, "web");
	assert_string_equal(spec.place.netns, "/run/netns/x");
	spec = parse_spec(
		"tcp://[::]:80,listen=no,backlog=0,v6only=no,defer-accept=30,reuseport=no");
	assert_false(spec.listen || spec.reuseport);
	assert_int_equal(spec.backlog, 0);
	assert_int_equal(spec.v6only, 0);
	assert_int_equal(spec.defer_accept_s, 30);
}

static void options_of_unix_sockets(void **state)
{
	struct socket_spec spec =
		parse_spec("unix-seqpacket:/a,mode=0777,owner=www-data:1000,backlog=1");

	(void)state;
	assert_int_equal(spec.mode, 0777);
	assert_string_equal(spec.owner, "www-data:1000");
	assert_int_equal(spec.backlog, 1);
	assert_string_equal(parse_spec("unix-dgram:/a,owner=:adm").owner, ":adm");
}

static void what_is_wrong_is_refused_with_its_place(void **state)
{
	static const struct {
		const char *text, *reason;
		int column;
	} cases[] = {
		{"", "a socket begins with tcp://", 0},
		{"tcp:80", "a socket begins with tcp://", 0},
		{"TCP://[::]:80", "a socket begins with tcp://", 0},
		{"unix:/a", "a socket begins with tcp://", 0},
		{"tcp://", "'' is not ADDRESS:PORT", 6},
		{"tcp://80", "'80' is not ADDRESS:PORT", 6},
		{"tcp://:80", "write [::]:80 for all, or 0.0.0.0:80 for IPv4", 6},
		{"tcp://::1:80", "an IPv6 address stands in brackets", 6},
		{"tcp://[::1]", "'[::1]' is not complete", 6},
		{"tcp://[::1:80", "'[::1:80' is not complete", 6},
		{"tcp://[192.0.2.1]:80", "'192.0.2.1' is not an IPv6 address", 6},
		{"tcp://[::g]:80", "'::g' is not an IPv6 address", 6},
		{"tcp://localhost:80", "names are not looked up", 6},
		{"tcp://192.0.2.1:", "'' is not a port", 6},
		{"tcp://192.0.2.1:65536", "'65536' is not a port", 6},
		{"tcp://192.0.2.1:+1", "'+1' is not a port", 6},
		{"tcp://192.0.2.1:http", "'http' is not a port", 6},
		{"tcp://[fe80::1%]:80", "after '%' comes the name of an interface", 6},
		{"tcp://[fe80::1%0123456789abcdef]:80", "after '%' comes", 6},
		{"udp://[::]:53,backlog=1", "udp has no option backlog", 14},
		{"udp://[::]:53,nodelay", "udp has no option nodelay", 14},
		{"unix-dgram:/a,listen=no", "unix-dgram has no option listen", 14},
		{"unix-stream:/a,reuseport", "unix-stream has no option reuseport", 15},
		{"tcp://[::]:80,mode=0600", "tcp has no option mode", 14},
		{"tcp://[::]:80,backlog", "backlog needs a value: a number", 14},
		{"tcp://[::]:80,backlog=", "backlog is a number, not ''", 14},
		{"tcp://[::]:80,backlog=-1", "backlog is a number, not '-1'", 14},
		{"tcp://[::]:80,backlog=2147483648", "backlog is a number", 14},
		{"tcp://[::]:80,nodelay,reuseport=1", "reuseport is yes or no, not '1'", 22},
		{"tcp://[::]:80,v6only=maybe", "v6only is yes or no", 14},
		{"tcp://192.0.2.1:80,v6only", "v6only is for an IPv6 address", 0},
		{"tcp://[::]:80,defer-accept=3601", "seconds, from 0 to 3600", 14},
		{"tcp://[::]:80,interface=0123456789abcdef", "interface is the name", 14},
		{"tcp://[::]:80,interface=", "interface is the name", 14},
		{"tcp://[::]:80,name=a:b", "none of which is ':'", 14},
		{"tcp://[::]:80,name=", "name is up to 255", 14},
		{"tcp://[::]:80,netns=", "netns is a path", 14},
		{"tcp://[::]:80,", "there is no option ''", 14},
		{"tcp://[::]:80,,nodelay", "there is no option ''", 14},
		{"tcp://[::]:80, nodelay", "there is no option ' nodelay'", 14},
		{"tcp://[::]:80,nodelay,nodelay", "nodelay is given twice", 22},
		{"tcp://[::]:80,nodelay\\", "a backslash needs", 21},
		{"unix-stream:", "a path is missing", 12},
		{"unix-stream:@", "a path is missing", 12},
		{"sockpair:", "at which senders find this end", 9},
		{"unix-stream:/a,mode=0888", "mode is an octal number", 15},
		{"unix-stream:/a,mode=1777", "mode is an octal number", 15},
		{"unix-stream:@a,mode=0600", "an abstract name has neither", 0},
		{"unix-stream:@a,owner=root", "an abstract name has neither", 0},
		{"unix-stream:/a,owner=a:b:c", "owner is USER", 15},
		{"unix-stream:/a,owner=a:", "owner is USER", 15},
		{"unix-stream:/a,owner=", "owner is USER", 15},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct socket_spec spec;
		struct err err;
		const char *caret;

		if (spec_parse(cases[i].text, &spec, &err) != -EINVAL)
			fail_msg("'%s' is understood", cases[i].text);
		if (!strstr(err.text, cases[i].reason))
			fail_msg("of '%s': %s", cases[i].text, err.text);
		assert_non_null(strstr(err.text, cases[i].text));
		caret = strrchr(err.text, '\n');
		assert_int_equal(strlen(caret), 1 + 2 + cases[i].column + 1);
	}
}

static void long_specs_are_shown_around_the_place(void **state)
{
	char text[4096] = "tcp://[::]:80,name=", *end = text + strlen(text);
	struct socket_spec spec;
	struct err err;

	(void)state;
	memset(end, 'x', 200);
	strcpy(end + 200, ",\033[2Jbad,nodelay");
	assert_int_equal(spec_parse(text, &spec, &err), -EINVAL);
	assert_non_null(strstr(err.text, "there is no option '?[2Jbad'"));
	assert_null(strchr(err.text, '\033'));
	assert_non_null(strstr(err.text, "x,?[2Jbad,nodelay\n"));
	memset(end, 'x', 2000);
	end[2000] = '\0';
	assert_int_equal(spec_parse(text, &spec, &err), -EINVAL);
	assert_non_null(strstr(err.text, "longer than 1023 characters"));
	/* One more than sun_path takes. */
	memset(text, 'x', 12 + 108);
	memcpy(text, "unix-stream:", 12);
	text[12 + 108] = '\0';
	assert_int_equal(spec_parse(text, &spec, &err), -EINVAL);
	assert_non_null(strstr(err.text, "up to 107 characters"));
	text[12 + 107] = '\0';
	assert_int_equal(spec_parse(text, &spec, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(internet_addresses),
		cmocka_unit_test(unix_addresses),
		cmocka_unit_test(options_of_internet_sockets),
		cmocka_unit_test(options_of_unix_sockets),
		cmocka_unit_test(what_is_wrong_is_refused_with_its_place),
		cmocka_unit_test(long_specs_are_shown_around_the_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
