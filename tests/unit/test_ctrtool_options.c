// SPDX-License-Identifier: BSD-2-Clause
// The command line of `ctrtool ns_open_file`: recipes mean what they meant there.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "cli/open/ctrtool_options.h"

#define COUNT(list) (sizeof(list) / sizeof(*(list)))
#define MOST_WORDS  40

/* Parses words that are separated by spaces. */
static int parse(const char *line, struct ctrtool_options *options, struct err *err)
{
	static char words[1024];
	static char *argv[MOST_WORDS + 2];
	char *rest = NULL;
	int argc = 0;

	assert_true(strlen(line) < sizeof(words));
	strcpy(words, line);
	argv[argc++] = (char[]){"ns_open_file"};
	for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		argv[argc++] = word;
	argv[argc] = NULL;
	return ctrtool_options_parse(argc, argv, options, err);
}

static struct ctrtool_options parsed(const char *line)
{
	struct ctrtool_options options;
	struct err err;

	if (parse(line, &options, &err))
		fail_msg("%s: %s", line, err.text);
	return options;
}

static void a_recipe_with_three_sockets(void **state)
{
	struct ctrtool_options options = parsed(
		"-o10 -n -d inet -4 127.0.0.10,81,a -l4096 -n -6 ::1,82,at -l4096 -nN /run/netns/x "
		"-U -6 2001:db8::1,82,a env A=b -n node");
	const struct socket_spec *spec = options.specs;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&spec[0].address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&spec[1].address;

	(void)state;
	assert_int_equal(options.offset, 10);
	assert_int_equal(options.count, 3);
	assert_string_equal(options.command[0], "env");
	assert_string_equal(options.command[2], "-n");
	assert_int_equal(spec[0].domain, AF_INET);
	assert_int_equal(spec[0].type, SOCK_STREAM);
	assert_int_equal(spec[0].protocol, 0);
	assert_int_equal(spec[0].address_size, sizeof(*v4));
	assert_int_equal(ntohs(v4->sin_port), 81);
	assert_int_equal(ntohl(v4->sin_addr.s_addr), 0x7f00000a);
	assert_true(spec[0].reuseaddr && spec[0].listen && !spec[0].transparent);
	assert_int_equal(spec[0].backlog, 4096);
	assert_int_equal(spec[1].domain, AF_INET6);
	assert_int_equal(ntohs(v6->sin6_port), 82);
	assert_true(spec[1].reuseaddr && spec[1].transparent);
	assert_false(spec[1].place.userns);
	assert_true(spec[2].place.userns && !spec[2].listen);
	assert_string_equal(spec[2].place.netns, "/run/netns/x");
	ctrtool_options_fini(&options);
}

static void all_flags(void **state)
{
	struct ctrtool_options options = parsed("-n -6 ::,1,apftdoe -n -6 ::,1,O -n -6 ::,1,: "
						"-n -6 fe80::1,1,:,eth0 -n -6 fe80::1,1,I,0x7 x");
	const struct socket_spec *spec = options.specs;

	(void)state;
	assert_true(spec[0].reuseaddr && spec[0].reuseport && spec[0].freebind);
	assert_true(spec[0].transparent && spec[0].nodelay);
	assert_int_equal(spec[0].defer_accept_s, 1);
	assert_int_equal(spec[0].v6only, 1);
	assert_int_equal(spec[1].v6only, 0);
	assert_int_equal(spec[2].v6only, -1);
	assert_false(spec[2].reuseaddr || spec[2].reuseport);
	assert_string_equal(spec[3].scope, "eth0");
	assert_string_equal(spec[4].scope, "");
	assert_int_equal(((const struct sockaddr_in6 *)&spec[4].address)->sin6_scope_id, 7);
	ctrtool_options_fini(&options);
}

static void names_and_numbers(void **state)
{
	static const struct {
		const char *line;
		int domain, type, protocol;
	} cases[] = {
		{"-n x", AF_INET6, SOCK_STREAM, 0},
		{"-n -d unix -t dgram x", AF_UNIX, SOCK_DGRAM, 0},
		{"-n -d UNIX -t SeqPacket_nb x", AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0},
		{"-n -d inet -t udp -p udp x", AF_INET, SOCK_DGRAM, IPPROTO_UDP},
		{"-n -d inet -t raw -p icmp x", AF_INET, SOCK_RAW, IPPROTO_ICMP},
		{"-n -d packet -t raw_nb x", AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0},
		{"-n -d netlink -t raw x", AF_NETLINK, SOCK_RAW, 0},
		{"-n -d vsock -t tcp_nb x", AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK, 0},
		{"-n -d 10 -t 0x1 -p 0x106 x", AF_INET6, SOCK_STREAM, 0x106},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct ctrtool_options options = parsed(cases[i].line);

		assert_int_equal(options.specs[0].domain, cases[i].domain);
		assert_int_equal(options.specs[0].type, cases[i].type);
		assert_int_equal(options.specs[0].protocol, cases[i].protocol);
		assert_int_equal(options.specs[0].address_size, 0);
		ctrtool_options_fini(&options);
	}
}

static void paths_and_places(void **state)
{
	struct ctrtool_options options = parsed(
		"-n -d unix -P /run/a.sock -l0 -n -d unix -P @web -n -A -n -AN ns -n -AUN ns -n -U x");
	const struct socket_spec *spec = options.specs;

	(void)state;
	assert_string_equal(
		((const struct sockaddr_un *)&spec[0].address)->sun_path, "/run/a.sock");
	assert_int_equal(spec[0].address_size, offsetof(struct sockaddr_un, sun_path) + 11);
	assert_false(spec[0].listen || spec[0].place.anonymous);
	assert_memory_equal(((const struct sockaddr_un *)&spec[1].address)->sun_path, "\0web", 4);
	assert_int_equal(spec[1].address_size, offsetof(struct sockaddr_un, sun_path) + 4);
	assert_true(spec[2].place.anonymous && !spec[2].place.netns[0]);
	assert_string_equal(spec[3].place.netns, "./ns");
	assert_true(spec[3].place.anonymous && !spec[3].place.netns_is_userns);
	assert_true(spec[4].place.anonymous && spec[4].place.netns_is_userns);
	assert_false(spec[5].place.userns);
	ctrtool_options_fini(&options);
}

static void what_is_wrong_is_refused(void **state)
{
	static const struct {
		const char *line, *reason;
	} cases[] = {
		{"-n", "no program is named"},
		{"", "no program is named"},
		{"-d inet x", "-d is about a socket: it stands after -n"},
		{"-n -x y", "there is no option '-x'"},
		{"-n -d", "a value for -d is missing"},
		{"-n -d inet7 x", "-d takes a number or a known name, not 'inet7'"},
		{"-n -t 1x x", "-t takes a number from 0"},
		{"-n -l many x", "-l takes a number"},
		{"-n -l -1 x", "-l takes a number"},
		{"-o x -n y", "-o takes a number"},
		{"-n -6 :: x", "-6 takes ADDRESS,PORT[,FLAGS[,SCOPE]]"},
		{"-n -6 ::,http x", "-6 takes ADDRESS,PORT"},
		{"-n -6 ::,65536 x", "-6 takes ADDRESS,PORT"},
		{"-n -6 127.0.0.1,80 x", "-6 takes ADDRESS,PORT"},
		{"-n -d inet -4 ::1,80 x",
			"-4 takes ADDRESS,PORT[,FLAGS], such as -4 0.0.0.0,80,a"},
		{"-n -6 ::,80,az x", "-6 has no flag 'z'"},
		{"-n -6 fe80::1,80,I x", "-6 takes ADDRESS,PORT"},
		{"-n -6 fe80::1,80,I,eth0 x", "-6 takes ADDRESS,PORT"},
		{"-n -6 fe80::1,80,:,0123456789abcdef x", "-6 takes ADDRESS,PORT"},
		{"-n -6 ::,80 -6 ::,81 x", "this socket already has an address"},
		{"-n -4 127.0.0.1,80 x", "-4 needs -d inet"},
		{"-n -P /a x", "-P needs -d unix"},
		{"-n -d unix -6 ::,80 x", "-6 needs -d inet6"},
		{"-m -P /etc/passwd x", "-m is not about sockets"},
		{"-fN /etc/passwd x", "-f is not about sockets"},
		{"-T x", "-T is not about sockets"},
		{"-n -s 0,i x", "-s is not about sockets"},
		{"-L 0,:X -n x", "-L is not about sockets"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct ctrtool_options options;
		struct err err = {0};

		if (parse(cases[i].line, &options, &err) != -EINVAL)
			fail_msg("'%s' is understood", cases[i].line);
		if (!strstr(err.text, cases[i].reason))
			fail_msg("of '%s': %s", cases[i].line, err.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_recipe_with_three_sockets),
		cmocka_unit_test(all_flags),
		cmocka_unit_test(names_and_numbers),
		cmocka_unit_test(paths_and_places),
		cmocka_unit_test(what_is_wrong_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
