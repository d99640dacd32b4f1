// SPDX-License-Identifier: BSD-2-Clause
// What the configuration's files may say, and what people are told when they say something else.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/config/config.h"

#define MAIN_FILE "socketbox.yaml"

static char directory[] = "/tmp/socketbox-config-XXXXXX";

static void path_of(const char *name, char *path)
{
	snprintf(path, PATH_MAX, "%s/%s", directory, name);
}

static void write_file(const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *file;

	path_of(name, path);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fputs(text, file) < 0, 0);
	assert_int_equal(fclose(file), 0);
}

static void remove_file(const char *name)
{
	char path[PATH_MAX];

	path_of(name, path);
	assert_int_equal(remove(path), 0);
}

static void make_directory(const char *name)
{
	char path[PATH_MAX];

	path_of(name, path);
	assert_int_equal(mkdir(path, 0755), 0);
}

static int load(struct config **config, struct diagnostics *diagnostics)
{
	char path[PATH_MAX];

	path_of(MAIN_FILE, path);
	*config = NULL;
	return config_load(path, config, diagnostics);
}

/* Diagnostics name files by the path that was given: here, all in the test's directory. */
static const char *without_directory(const char *line)
{
	if (strncmp(line, directory, strlen(directory)) != 0)
		fail_msg("'%s' does not begin with a file of %s", line, directory);
	return line + strlen(directory) + 1;
}

/* Every expected text is the beginning of a diagnostic, in order, and there are no others. */
static void expect_diagnostics(
	const char *yaml, const struct diagnostics *diagnostics, const char *const *expected)
{
	size_t count = 0;

	for (; expected[count]; count++) {
		const char *line = count < diagnostics->count
					   ? without_directory(diagnostics->lines[count])
					   : "nothing";

		if (strncmp(line, expected[count], strlen(expected[count])) != 0)
			fail_msg("of\n%s\nexpected: %s\ngot:      %s", yaml, expected[count], line);
	}
	if (count < diagnostics->count)
		fail_msg("of\n%s\nunexpected: %s", yaml, diagnostics->lines[count]);
}

/* Loads a main file that must be right, but for these warnings. */
static struct config *load_good(const char *yaml, const char *const *warnings)
{
	static const char *const none[] = {NULL};
	struct diagnostics diagnostics = {0};
	struct config *config;

	write_file(MAIN_FILE, yaml);
	load(&config, &diagnostics);
	expect_diagnostics(yaml, &diagnostics, warnings ? warnings : none);
	assert_int_equal(diagnostics.errors, 0);
	assert_non_null(config);
	diagnostics_fini(&diagnostics);
	return config;
}

#define MAX_EXPECTED 12

struct diagnostic_case {
	const char *yaml;
	const char *expected[MAX_EXPECTED]; /* without "socketbox.yaml:" */
};

static void expect_refusal(const struct diagnostic_case *item)
{
	char lines[MAX_EXPECTED][2048];
	const char *expected[MAX_EXPECTED] = {0};
	struct diagnostics diagnostics = {0};
	struct config *config;

	for (size_t i = 0; item->expected[i]; i++) {
		snprintf(lines[i], sizeof(lines[i]), MAIN_FILE ":%s", item->expected[i]);
		expected[i] = lines[i];
	}
	write_file(MAIN_FILE, item->yaml);
	if (load(&config, &diagnostics) != -EINVAL)
		fail_msg("not refused:\n%s", item->yaml);
	assert_null(config);
	expect_diagnostics(item->yaml, &diagnostics, expected);
	diagnostics_fini(&diagnostics);
}

static void expect_refusals(const struct diagnostic_case *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		expect_refusal(&list[i]);
}

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

/* The service's value is in line 1 from column 18. */
#define SERVICE(value) "services: {blog: " value "}\nroutes: [{port: 80, service: blog}]\n"

/* The route is in line 3 from column 5. */
#define ROUTE(route) "services: {blog: {}, shop: {}}\nroutes:\n  - " route "\n" OTHER_ROUTES
#define OTHER_ROUTES                                \
	"  - {to: \"192.0.2.99\", service: blog}\n" \
	"  - {to: \"192.0.2.99\", port: 99, service: shop}\n"

static void route_faults_are_told_with_place_and_remedy(void **state)
{
	static const char port[] =
		" is not a port; write a number from 1 to 65535, or a range such as 8000-8099";
	static const char address[] =
		" is not an IP address or prefix (write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/64)";
	static const struct {
		const char *yaml, *place, *value, *rest;
	} ports_and_addresses[] = {
		{ROUTE("{port: 0, pass: true}"), "3:12", "'0'", port},
		{ROUTE("{port: 65536, pass: true}"), "3:12", "'65536'", port},
		{ROUTE("{port: 90-80, pass: true}"), "3:12", "'90-80'", port},
		{ROUTE("{port: 0-80, pass: true}"), "3:12", "'0-80'", port},
		{ROUTE("{port: 80-65536, pass: true}"), "3:12", "'80-65536'", port},
		{ROUTE("{port: 80-, pass: true}"), "3:12", "'80-'", port},
		{ROUTE("{port: -80, pass: true}"), "3:12", "'-80'", port},
		{ROUTE("{port: 1-2-3, pass: true}"), "3:12", "'1-2-3'", port},
		{ROUTE("{port: 80 - 90, pass: true}"), "3:12", "'80 - 90'", port},
		{ROUTE("{port: 80 90, pass: true}"), "3:12", "'80 90'", port},
		{ROUTE("{port: 00000000080-90, pass: true}"), "3:12", "'00000000080-90'", port},
		{ROUTE("{port: 18446744073709551697, pass: true}"), "3:12",
			"'18446744073709551697'", port},
		{ROUTE("{port: http, pass: true}"), "3:12", "'http'", port},
		{ROUTE("{port: 0x50, pass: true}"), "3:12", "'0x50'", port},
		{ROUTE("{port: 8e1, pass: true}"), "3:12", "'8e1'", port},
		{ROUTE("{port: \"\", pass: true}"), "3:12", "''", port},
		{ROUTE("{port: [80, 0], pass: true}"), "3:17", "'0'", port},
		{ROUTE("{to: example.org, pass: true}"), "3:10", "'example.org'", address},
		{ROUTE("{to: \"192.0.2.300\", pass: true}"), "3:10", "'192.0.2.300'", address},
		{ROUTE("{to: \"192.0.2\", pass: true}"), "3:10", "'192.0.2'", address},
		{ROUTE("{to: \"[2001:db8::1]\", pass: true}"), "3:10", "'[2001:db8::1]'", address},
		{ROUTE("{to: \"fe80::1%eth0\", pass: true}"), "3:10", "'fe80::1%eth0'", address},
		{ROUTE("{to: \"192.0.2.1:80\", pass: true}"), "3:10", "'192.0.2.1:80'", address},
		{ROUTE("{to: \"\", pass: true}"), "3:10", "''", address},
		{ROUTE("{to: \"*\", pass: true}"), "3:10", "'*'", address},
		{ROUTE("{port: 80, from: any, pass: true}"), "3:22", "'any'", address},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(ports_and_addresses); i++) {
		char line[512];

		snprintf(line, sizeof(line), "%s: error: %s%s", ports_and_addresses[i].place,
			ports_and_addresses[i].value, ports_and_addresses[i].rest);
		expect_refusal(&(struct diagnostic_case){ports_and_addresses[i].yaml, {line}});
	}
}

static void prefixes_and_combinations_that_cannot_be_meant(void **state)
{
	static const struct diagnostic_case cases[] = {
		{ROUTE("{to: \"192.0.2.1/24\", pass: true}"),
			{"3:10: error: '192.0.2.1/24' has bits set past its prefix length; did you mean 192.0.2.0/24?"}},
		{ROUTE("{to: \"2001:db8::1/64\", pass: true}"),
			{"3:10: error: '2001:db8::1/64' has bits set past its prefix length; did you mean 2001:db8::/64?"}},
		{ROUTE("{to: \"192.0.2.0/33\", pass: true}"),
			{"3:10: error: '192.0.2.0/33': the prefix length after '/' must be a number from 0 to 32"}},
		{ROUTE("{to: \"2001:db8::/129\", pass: true}"),
			{"3:10: error: '2001:db8::/129': the prefix length after '/' must be a number from 0 to 128"}},
		{ROUTE("{to: \"2001:db8::/\", pass: true}"),
			{"3:10: error: '2001:db8::/': the prefix length after '/' must be a number from 0 to 128"}},
		{ROUTE("{to: \"::ffff:192.0.2.0/24\", pass: true}"),
			{"3:10: error: '::ffff:192.0.2.0/24' mixes an IPv6 form with IPv4; write an IPv4 prefix, such as 192.0.2.0/24"}},
		{ROUTE("{to: \"192.0.2.1\", from: \"2001:db8::/32\", pass: true}"),
			{"3:29: error: 'from' and 'to' have no address family in common, so nothing can match"}},
		{ROUTE("{to: [\"2001:db8::1\", \"::1\"], from: \"192.0.2.1\", pass: true}"),
			{"3:40: error: 'from' and 'to' have no address family in common, so nothing can match"}},
		{ROUTE("{pass: true}"),
			{"3:5: error: this route would take every packet of the machine; give 'to' or 'port', or write to: [\"0.0.0.0/0\", \"::/0\"] if that is meant"}},
		{ROUTE("{from: \"192.0.2.1\", refuse: true}"),
			{"3:5: error: this route would take every packet of the machine"}},
		{ROUTE("{port: 80, from: \"10.0.0.0/8\"}"),
			{"3:5: error: a route needs one of 'service: NAME', 'refuse: true' and 'pass: true'"}},
		{ROUTE("{port: 80, service: blog, refuse: true}"),
			{"3:5: error: a route has one of 'service', 'refuse' and 'pass', not several"}},
		{ROUTE("{port: 80, pass: true, target-port: 3000}"),
			{"3:41: error: 'target-port' goes with 'service' only"}},
		{ROUTE("{port: 80, protocol: udp, service: blog, target-port: 3000}"),
			{"3:59: error: 'target-port' is for tcp: a UDP reply carries the program's own port, so the program has to bind the route's"}},
		{ROUTE("{port: 80, service: blog, target-port: 0}"),
			{"3:44: error: '0' is not a port; write a number from 1 to 65535"}},
		{ROUTE("{port: 80, service: blog, target-port: 80-90}"),
			{"3:44: error: '80-90' is not a port; write a number from 1 to 65535"}},
	};

	(void)state;
	expect_refusals(cases, COUNT(cases));
}

static void route_keys_and_types(void **state)
{
	static const struct diagnostic_case cases[] = {
		{ROUTE("{prot: 80, pass: true}"),
			{"3:6: error: unknown key 'prot' in a route; did you mean 'port'?",
				"3:5: error: this route would take every packet"}},
		{ROUTE("{port: 80, sno: example.org, service: blog}"),
			{"3:16: error: unknown key 'sno' in a route; did you mean 'sni'?"}},
		{ROUTE("{port: 80, PORT: 81, pass: true}"),
			{"3:16: error: unknown key 'PORT' in a route; it may have: "}},
		{ROUTE("{port: 80, pass: true, port: 80}"),
			{"3:28: error: 'port' stands here for the second time; the first is in line 3"}},
		{ROUTE("{port: 80, protocol: sctp, pass: true}"),
			{"3:26: error: 'sctp' is not a protocol; write tcp, udp or [tcp, udp]"}},
		{ROUTE("{port: 80, protocol: [tcp, TCP], pass: true}"),
			{"3:32: error: 'TCP' is not a protocol; write tcp, udp or [tcp, udp]"}},
		{ROUTE("{port: 80, refuse: false}"),
			{"3:24: error: 'refuse: false' says nothing; write true or reset (answer at once), or silent (drop)"}},
		{ROUTE("{port: 80, pass: yes}"),
			{"3:22: error: 'pass: yes' says nothing; write true"}},
		{ROUTE("{port: [], pass: true}"),
			{"3:12: error: 'port' is an empty list; leave the key out"}},
		{ROUTE("{port: [[80]], pass: true}"),
			{"3:13: error: 'port' must be a single value"}},
		{ROUTE("{port: {first: 1}, pass: true}"),
			{"3:12: error: 'port' must be a single value"}},
		{ROUTE("{port: 80, service: [blog]}"),
			{"3:25: error: 'service' must be a single value"}},
		{ROUTE("{port: 80, service: }"), {"3:16: error: 'service' has no value"}},
		{ROUTE("{port: 80, service: null}"), {"3:25: error: 'service' has no value"}},
		{ROUTE("{to: , port: 80, pass: true}"), {"3:6: error: 'to' has no value"}},
		{ROUTE("blog"),
			{"3:5: error: a route is a mapping, such as {to: \"2001:db8::1\", port: 80, service: blog}"}},
		{ROUTE("{}"), {"3:5: error: a route is a mapping"}},
		{ROUTE("[80, blog]"), {"3:5: error: a route is a mapping"}},
		{ROUTE("# nothing"), {"3:3: error: a route is a mapping"}},
		{ROUTE("{port: 80, service: blgo}"),
			{"3:5: error: there is no service 'blgo'; did you mean 'blog'?"}},
		{ROUTE("{port: 80, service: elsewhere}"),
			{"3:5: error: there is no service 'elsewhere'; define it under 'services:'"}},
	};

	(void)state;
	expect_refusals(cases, COUNT(cases));
}

#define NAME_63 "a23456789.123456789.123456789.123456789.123456789.123456789.123"
#define BAD_NAME                                                                                   \
	" cannot be a service's name: use 1 to 63 letters, digits, '.', '_' and '-', a letter or " \
	"digit first, and not null"
#define DURATION                                                                             \
	" is not a duration; write a number with its unit, such as 500ms, 10s or 2m, up to " \
	"1h"

static void service_faults(void **state)
{
	static const struct diagnostic_case cases[] = {
		{"services: [blog]",
			{"1:11: error: 'services' must be a mapping of names, such as 'blog: {}'"}},
		{"services: blog", {"1:11: error: 'services' must be a mapping"}},
		{"services: {\"a b\": {}}", {"1:12: error: 'a b'" BAD_NAME}},
		{"services: {\"\": {}}", {"1:12: error: ''" BAD_NAME}},
		{"services: {.a: {}}", {"1:12: error: '.a'" BAD_NAME}},
		{"services: {a/b: {}}", {"1:12: error: 'a/b'" BAD_NAME}},
		{"services: {blög: {}}", {"1:12: error: 'blög'" BAD_NAME}},
		{"services: {null: {}}", {"1:12: error: 'null'" BAD_NAME}},
		{"services: {<<: {}}", {"1:12: error: '<<'" BAD_NAME}},
		{"services: {" NAME_63 "4: {}}", {"1:12: error: '" NAME_63 "4'" BAD_NAME}},
		{"services:\n  blog: {}\n  blog: {}\nroutes: [{port: 80, service: blog}]",
			{"3:3: error: service 'blog' is defined already in "}},
		{SERVICE("3"), {"1:18: error: a service must be a mapping, such as {allow: ...}"}},
		{SERVICE("[]"), {"1:18: error: a service must be a mapping"}},
		{SERVICE("{alow: {}}"),
			{"1:19: error: unknown key 'alow' in a service; did you mean 'allow'?"}},
		{SERVICE("{listen: {}}"),
			{"1:19: error: unknown key 'listen' in a service; it may have: allow, hold, "}},
		{SERVICE("{hold: 1s, hold: 2s}"),
			{"1:29: error: 'hold' stands here for the second time; the first is in line 1"}},
		{SERVICE("{allow: root}"),
			{"1:26: error: 'allow' must be a mapping, such as {user: ...}"}},
		{SERVICE("{allow: {usr: 0}}"),
			{"1:27: error: unknown key 'usr' in 'allow'; did you mean 'user'?"}},
		{SERVICE("{allow: {user: no-such-user}}"),
			{"1:33: error: there is no user 'no-such-user' on this machine; create it, or write its number"}},
		{SERVICE("{allow: {group: [0, no-such-group]}}"),
			{"1:38: error: there is no group 'no-such-group' on this machine; create it, or write its number"}},
		{SERVICE("{allow: {user: -1}}"), {"1:33: error: there is no user '-1'"}},
		{SERVICE("{allow: {user: 4294967295}}"),
			{"1:33: error: there is no user '4294967295'"}},
		{SERVICE("{allow: {user: []}}"),
			{"1:33: error: user is an empty list; leave the key out"}},
		{SERVICE("{allow: {user: }}"), {"1:27: error: user has no value"}},
		{SERVICE("{hold: 10}"), {"1:25: error: '10'" DURATION}},
		{SERVICE("{hold: 61m}"), {"1:25: error: '61m'" DURATION}},
		{SERVICE("{hold: 2h}"), {"1:25: error: '2h'" DURATION}},
		{SERVICE("{hold: 10 s}"), {"1:25: error: '10 s'" DURATION}},
		{SERVICE("{hold: -1s}"), {"1:25: error: '-1s'" DURATION}},
		{SERVICE("{hold: 1.5s}"), {"1:25: error: '1.5s'" DURATION}},
		{SERVICE("{hold: s}"), {"1:25: error: 's'" DURATION}},
		{SERVICE("{hold: 00000000000000001s}"), {"1:25: error: '00000000000000001s'"}},
		{SERVICE("{hold: [1s]}"), {"1:25: error: a duration must be a single value"}},
		{SERVICE("{hold: }"), {"1:19: error: a duration has no value"}},
	};

	(void)state;
	expect_refusals(cases, COUNT(cases));
}

static void file_faults(void **state)
{
	static const struct diagnostic_case cases[] = {
		{"servces: {}",
			{"1:1: error: unknown key 'servces' in the configuration; did you mean 'services'?"}},
		{"listen: 80",
			{"1:1: error: unknown key 'listen' in the configuration; it may have: services, routes, engine, confinement, tproxy-port"}},
		{"services: {}\nservices: {}",
			{"2:1: error: 'services' stands here for the second time; the first is in line 1"}},
		{"- services",
			{"1:1: error: the configuration must be a mapping, such as {services: ...}"}},
		{"hello", {"1:1: error: the configuration must be a mapping"}},
		{"engine: users",
			{"1:9: error: 'users' is not an engine; write auto, kernel or user"}},
		{"confinement: on",
			{"1:14: error: 'on' is not a value of 'confinement'; write auto, required or off"}},
		{"engine: [kernel]", {"1:9: error: 'engine' must be a single value"}},
		{"routes: {to: 1}",
			{"1:9: error: 'routes' must be a list, each route in a line with '- ' before it"}},
		{"routes: all", {"1:9: error: 'routes' must be a list"}},
		{"services: &all {}",
			{"1:16: error: anchors, aliases and tags are not supported; write the value out"}},
		{"services: {a: *b}",
			{"1:16: error: anchors, aliases and tags are not supported; write the value out"}},
		{"services: !!map {}", {"1:17: error: anchors, aliases and tags"}},
		{"services: {<<: *b}", {"1:17: error: anchors, aliases and tags"}},
		{"services: {? [a] : {}}",
			{"1:14: error: a key must be a word, not a list or mapping"}},
		{"services: {}\n---\nroutes: []",
			{"2:1: error: a second document starts here; one file holds one"}},
		{"a: [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]",
			{"1:19: error: lists and mappings are nested too deeply"}},
		{"engine: \"ker\\0nel\"", {"1:9: error: a NUL character cannot stand in a value"}},
		{"engine: \xff",
			{"1:9: error: this is not UTF-8 (byte 0xff); save the file as UTF-8"}},
		{"\xff\xfe"
		 "e",
			{"1:1: error: this is not UTF-8 (byte 0xff)"}},
		{"# ü\n# \xc3(", {"2:3: error: this is not UTF-8 (byte 0xc3)"}},
		{"# \xc0\x80", {"1:3: error: this is not UTF-8 (byte 0xc0)"}},
		{"# \xed\xa0\x80", {"1:3: error: this is not UTF-8 (byte 0xed)"}},
		{"# \xf4\x90\x80\x80", {"1:3: error: this is not UTF-8 (byte 0xf4)"}},
		{"# \xe2\x82", {"1:3: error: this is not UTF-8 (byte 0xe2)"}},
		{"routes:\n% - {prot\xff: 1}\n", {"2:10: error: this is not UTF-8 (byte 0xff)"}},
		{"# \x1b[31m",
			{"1:3: error: a control character (0x1b) cannot stand in a configuration"}},
		{"# \x7f",
			{"1:3: error: a control character (0x7f) cannot stand in a configuration"}},
		{"services:\n\tblog: {}", {"2:1: error: YAML: "}},
		{"services: {blog: {}\n", {"2:1: error: YAML: "}},
		{"services: \"blog", {"1:12: error: YAML: "}},
		{"routes:\n  - {port: 80, pass: true}\n   - {port: 81, pass: true}\n",
			{"3:4: error: YAML: "}},
		{"engine: a: b", {"1:10: error: YAML: "}},
		{"@", {"1:1: error: YAML: "}},
	};

	(void)state;
	expect_refusals(cases, COUNT(cases));
}

/* A value must not forge further lines of the log, nor reach a terminal. */
static void diagnostics_are_one_printable_line(void **state)
{
	static const struct diagnostic_case escapes = {
		"\"a\\nb\\e[31mc\\x7f\": 1", {"1:1: error: unknown key 'a?b?[31mc?' in the"}};
	char yaml[8192] = "engine: ";
	struct diagnostics diagnostics = {0};
	struct config *config;

	(void)state;
	expect_refusal(&escapes);
	memset(yaml + strlen(yaml), 'k', 5000);
	write_file(MAIN_FILE, yaml);
	assert_int_equal(load(&config, &diagnostics), -EINVAL);
	assert_int_equal(diagnostics.count, 1);
	assert_true(strlen(diagnostics.lines[0]) < 1200);
	assert_non_null(strstr(diagnostics.lines[0], "error: 'kkk"));
	diagnostics_fini(&diagnostics);
}

static void all_faults_of_a_file_are_told_at_once(void **state)
{
	static const struct diagnostic_case several = {
		"services:\n"
		"  blog: {hold: soon}\n"
		"  shop: {alow: {}}\n"
		"routes:\n"
		"  - {to: \"192.0.2.1\", port: 0, service: blog}\n"
		"  - {to: \"192.0.2.2\", port: 80, service: shop}\n"
		"  - {to: 192.0.2, port: 70000, service: blog}\n"
		"  - {to: \"192.0.2.2\", port: 80, service: stop}\n"
		"engin: auto\n",
		{
			"2:16: error: 'soon' is not a duration",
			"3:10: error: unknown key 'alow' in a service; did you mean 'allow'?",
			"5:29: error: '0' is not a port",
			"7:10: error: '192.0.2' is not an IP address",
			"7:25: error: '70000' is not a port",
			"8:5: error: this route can never match: ",
			"9:1: error: unknown key 'engin' in the configuration; did you mean 'engine'?",
			"8:5: error: there is no service 'stop'; did you mean 'shop'?",
			"2:3: warning: no route leads to service 'blog'",
		}};
	struct diagnostics diagnostics = {0};
	struct config *config;
	char *yaml = NULL;
	size_t size;
	FILE *text = open_memstream(&yaml, &size);

	(void)state;
	expect_refusal(&several);

	/* Of very many, the first hundred. */
	fputs("routes:\n", text);
	for (int i = 0; i < 300; i++)
		fputs("  - {port: 0, pass: true}\n", text);
	fclose(text);
	write_file(MAIN_FILE, yaml);
	free(yaml);
	assert_int_equal(load(&config, &diagnostics), -EINVAL);
	assert_int_equal(diagnostics.errors, 300);
	assert_int_equal(diagnostics.count, 101);
	assert_string_equal(diagnostics.lines[100], "... and more; mend these first");
	diagnostics_fini(&diagnostics);
}

static void repeated_routes(void **state)
{
	static const struct diagnostic_case cases[] = {
		{"routes:\n  - {port: 80, pass: true}\n  - {port: 80, refuse: true}\n",
			{"3:5: error: this route can never match: the one in "}},
		{"routes:\n  - {port: 1-65535, pass: true}\n  - {port: 1-65535, pass: true}\n",
			{"3:5: error: this route can never match: the one in "}},
		{"routes:\n  - {port: [80, 81], pass: true}\n  - {port: 81, pass: true}\n",
			{"3:5: error: this route can never match: the one in "}},
		{"routes:\n"
		 "  - {to: \"192.0.2.1\", protocol: [tcp, udp], pass: true}\n"
		 "  - {to: \"192.0.2.1\", protocol: udp, pass: true}\n",
			{"3:5: error: this route can never match: the one in "}},
	};
	static const char *const part[] = {
		MAIN_FILE ":3:5: warning: a part of this route can never match: the one in ", NULL};

	(void)state;
	expect_refusals(cases, COUNT(cases));
	/* First match wins: the second route still has port 81, and the last other sources. */
	config_free(load_good("routes:\n"
			      "  - {port: 80, pass: true}\n"
			      "  - {port: [80, 81], refuse: true}\n"
			      "  - {port: 80, from: \"192.0.2.0/24\", refuse: true}\n",
		part));
}

static void warnings_do_not_stop_a_configuration(void **state)
{
	static const struct {
		const char *yaml, *expected;
	} cases[] = {
		{"services: {blog: {}}", ":1:12: warning: no route leads to service 'blog'"},
		{"routes: [{port: [80, 80], pass: true}]",
			":1:22: warning: '80' is in this list already, in whole or in part"},
		{"routes: [{port: [80, 81, 70-90], pass: true}]",
			":1:26: warning: '70-90' is in this list already, in whole or in part"},
		{"routes: [{to: [\"::1\", \"0::1\"], pass: true}]",
			":1:23: warning: '0::1' stands in this list twice"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct diagnostics diagnostics = {0};
		struct config *config;

		write_file(MAIN_FILE, cases[i].yaml);
		assert_int_equal(load(&config, &diagnostics), 0);
		assert_int_equal(diagnostics.errors, 0);
		assert_int_equal(diagnostics.count, 1);
		assert_non_null(strstr(diagnostics.lines[0], cases[i].expected));
		diagnostics_fini(&diagnostics);
		config_free(config);
	}
}

/* The canonical text says what a route was understood as. */
static void every_form_of_a_route(void **state)
{
	static const struct {
		const char *route, *text;
	} cases[] = {
		{"{to: 192.0.2.1, service: blog}", "{to: \"192.0.2.1\", service: blog}"},
		{"{to: \"2001:DB8:0::1\", service: blog}", "{to: \"2001:db8::1\", service: blog}"},
		{"{to: \"::ffff:192.0.2.1\", service: blog}", "{to: \"192.0.2.1\", service: blog}"},
		{"{to: \"192.0.2.1/32\", service: blog}", "{to: \"192.0.2.1\", service: blog}"},
		{"{to: 192.0.2.0/24, service: blog}", "{to: \"192.0.2.0/24\", service: blog}"},
		{"{to: [192.0.2.0/25, \"2001:db8::/64\"], service: blog}",
			"{to: [\"192.0.2.0/25\", \"2001:db8::/64\"], service: blog}"},
		{"{to: [\"0.0.0.0/0\", \"::/0\"], service: blog}",
			"{to: [\"0.0.0.0/0\", \"::/0\"], service: blog}"},
		{"{port: 80, service: blog}", "{port: 80, service: blog}"},
		{"{port: 080, service: blog}", "{port: 80, service: blog}"},
		{"{port: \"80\", service: blog}", "{port: 80, service: blog}"},
		{"{port: [80, 443, 8000-8099], service: blog}",
			"{port: [80, 443, 8000-8099], service: blog}"},
		{"{port: 80-80, service: blog}", "{port: 80, service: blog}"},
		{"{port: 1-65535, service: blog}", "{port: 1-65535, service: blog}"},
		{"{to: \"::\", port: 1-65535, service: blog}", "{to: \"::\", service: blog}"},
		{"{port: 80, from: \"2001:db8:f::/48\", service: blog}",
			"{port: 80, from: \"2001:db8:f::/48\", service: blog}"},
		{"{port: 80, from: [10.0.0.0/8, \"::1\"], service: blog}",
			"{port: 80, from: [\"10.0.0.0/8\", \"::1\"], service: blog}"},
		{"{port: 53, protocol: udp, service: blog}",
			"{port: 53, protocol: udp, service: blog}"},
		{"{port: 53, protocol: tcp, service: blog}", "{port: 53, service: blog}"},
		{"{port: 53, protocol: [udp, tcp], service: blog}",
			"{port: 53, protocol: [tcp, udp], service: blog}"},
		{"{port: 80, service: blog, target-port: 3000}",
			"{port: 80, service: blog, target-port: 3000}"},
		{"{port: 80, refuse: true}", "{port: 80, refuse: reset}"},
		{"{port: 80, refuse: reset}", "{port: 80, refuse: reset}"},
		{"{port: 80, refuse: silent}", "{port: 80, refuse: silent}"},
		{"{port: 80, pass: true}", "{port: 80, pass: true}"},
		{"\n    port: 80\n    to:\n      - \"::1\"\n    service: 'blog'",
			"{to: \"::1\", port: 80, service: blog}"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		/* The text is itself a route, and the same one. */
		const char *forms[] = {cases[i].route, cases[i].text};

		for (size_t f = 0; f < COUNT(forms); f++) {
			char yaml[1024];
			struct config *config;

			snprintf(yaml, sizeof(yaml),
				"routes:\n  - %s\n  - {to: \"::9\", service: blog}\n"
				"services: {blog: {}}\n",
				forms[f]);
			config = load_good(yaml, NULL);
			assert_string_equal(config->routes[0].text, cases[i].text);
			config_free(config);
		}
	}
}

static void a_route_is_stored_as_written(void **state)
{
	struct config *config = load_good("services: {blog: {}}\n"
					  "engine: kernel\n"
					  "confinement: required\n"
					  "routes:\n"
					  "  - to: [192.0.2.0/24, \"2001:db8::1\"]\n"
					  "    port: [80, 8000-8099]\n"
					  "    from: 10.0.0.0/8\n"
					  "    protocol: [tcp, udp]\n"
					  "    service: blog\n"
					  "  - {port: 1-65535, refuse: silent}\n"
					  "  - {to: \"::/0\", pass: true}\n"
					  "  - {port: 80, service: blog, target-port: 3000}\n",
		NULL);
	const struct config_route *route = config->routes;
	char text[ADDR_TEXT_SIZE];

	(void)state;
	assert_int_equal(config->engine, CONFIG_ENGINE_KERNEL);
	assert_int_equal(config->confinement, CONFIG_CONFINEMENT_REQUIRED);
	assert_int_equal(config->route_count, 4);
	assert_int_equal(route->to_count, 2);
	assert_string_equal(addr_prefix_format(&route->to[0], text), "192.0.2.0/24");
	assert_int_equal(route->to[0].length, 120);
	assert_int_equal(route->to[1].length, 128);
	assert_int_equal(route->port_count, 2);
	assert_int_equal(route->ports[0].first, 80);
	assert_int_equal(route->ports[0].last, 80);
	assert_int_equal(route->ports[1].first, 8000);
	assert_int_equal(route->ports[1].last, 8099);
	assert_int_equal(route->from_count, 1);
	assert_string_equal(addr_prefix_format(&route->from[0], text), "10.0.0.0/8");
	assert_true(route->tcp && route->udp);
	assert_int_equal(route->action, MATCH_SERVICE);
	assert_ptr_equal(route->service, config_service_find(config, "blog"));
	assert_int_equal(route->place.line, 5);
	assert_int_equal(route->place.column, 5);

	route++; /* a range of all ports is any port, and lists left out hold everything */
	assert_int_equal(route->ports[0].first, 0);
	assert_int_equal(route->ports[0].last, 65535);
	assert_int_equal(route->to[0].family, 0);
	assert_int_equal(route->from[0].family, 0);
	assert_true(route->tcp && !route->udp);
	assert_int_equal(route->action, MATCH_SILENT);
	assert_null(route->service);

	route++;
	assert_int_equal(route->to[0].family, AF_INET6);
	assert_int_equal(route->to[0].length, 0);
	assert_int_equal(route->action, MATCH_PASS);

	route++;
	assert_int_equal(route->target_port, 3000);
	config_free(config);
}

static void every_form_of_a_service(void **state)
{
	struct config *config = load_good("services:\n"
					  "  plain:\n"
					  "  empty: {}\n"
					  "  " NAME_63 ": {allow: , hold: 0}\n"
					  "  full:\n"
					  "    allow: {user: [root, 1234], group: root}\n"
					  "    hold: 500ms\n"
					  "  one: {allow: {user: 0, group: [0, 7]}, hold: 1h}\n"
					  "  2nd_a-b.c: {hold: 2m}\n"
					  "routes:\n"
					  "  - {port: 1, service: plain}\n"
					  "  - {port: 2, service: empty}\n"
					  "  - {port: 3, service: " NAME_63 "}\n"
					  "  - {port: 4, service: full}\n"
					  "  - {port: 5, service: one}\n"
					  "  - {port: 6, service: 2nd_a-b.c}\n",
		NULL);
	const struct config_service *service = config_service_find(config, "plain");

	(void)state;
	assert_int_equal(config->service_count, 6);
	assert_int_equal(config->engine, CONFIG_ENGINE_AUTO);
	assert_int_equal(service->hold_ms, 10000);
	assert_int_equal(service->user_count + service->group_count, 0);
	assert_int_equal(service->place.line, 2);
	assert_int_equal(config_service_find(config, NAME_63)->hold_ms, 0);
	service = config_service_find(config, "full");
	assert_int_equal(service->hold_ms, 500);
	assert_int_equal(service->user_count, 2);
	assert_int_equal(service->users[0], 0);
	assert_int_equal(service->users[1], 1234);
	assert_int_equal(service->group_count, 1);
	assert_int_equal(service->groups[0], 0);
	service = config_service_find(config, "one");
	assert_int_equal(service->hold_ms, 3600000);
	assert_int_equal(service->user_count, 1);
	assert_int_equal(service->group_count, 2);
	assert_int_equal(service->groups[1], 7);
	assert_int_equal(config_service_find(config, "2nd_a-b.c")->hold_ms, 120000);
	assert_ptr_equal(config_service_by_id(config, service_id("one")), service);
	assert_null(config_service_find(config, "two"));
	config_free(config);
}

static void empty_files_are_empty_configurations(void **state)
{
	static const char *const texts[] = {"", "\n", "# nothing yet: ü€𝄞\t\r\n", "---\n",
		"---\n...\n", "services:\nroutes:\n", "{}"};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct config *config = load_good(texts[i], NULL);

		assert_int_equal(config->service_count, 0);
		assert_int_equal(config->route_count, 0);
		config_free(config);
	}
}

static void services_d_adds_files_by_name(void **state)
{
	struct config *config;

	(void)state;
	make_directory("services.d");
	write_file("services.d/20-shop.yaml",
		"services: {shop: {}}\nroutes: [{to: \"192.0.2.2\", service: shop}]\n");
	write_file("services.d/10-blog.yaml", "services: {blog: {}}\n");
	write_file("services.d/README", "not: read\n");
	write_file("services.d/.hidden.yaml", "not: read\n");
	write_file("services.d/30-old.yaml~", "not: read\n");
	config = load_good("routes: [{to: \"192.0.2.1\", service: blog}]\n", NULL);
	assert_int_equal(config->file_count, 3);
	assert_string_equal(without_directory(config->files[0]), MAIN_FILE);
	assert_string_equal(without_directory(config->files[1]), "services.d/10-blog.yaml");
	assert_string_equal(without_directory(config->files[2]), "services.d/20-shop.yaml");
	assert_int_equal(config->route_count, 2);
	assert_string_equal(config->routes[0].service->name, "blog");
	assert_string_equal(config->routes[1].service->name, "shop");
	assert_string_equal(
		without_directory(config->routes[1].place.file), "services.d/20-shop.yaml");
	assert_int_equal(config->routes[1].place.line, 2);
	config_free(config);
	remove_file("services.d/10-blog.yaml");
	remove_file("services.d/20-shop.yaml");
	remove_file("services.d/README");
	remove_file("services.d/.hidden.yaml");
	remove_file("services.d/30-old.yaml~");
	remove_file("services.d");
}

static void diagnostics_name_the_file_of_services_d(void **state)
{
	static const char *const expected[] = {
		"services.d/a.yaml:1:17: error: '0' is not a port",
		"services.d/b.yaml:1:12: error: service 'blog' is defined already in ",
		"services.d/b.yaml:2:10: error: this route can never match: the one in ",
		"services.d/c.yaml:1:1: error: YAML: ",
		"services.d/d.yaml: error: this is a directory; name a file in it",
		"services.d/e.yaml: error: there is no such file; create it, or name another",
		NULL,
	};
	struct diagnostics diagnostics = {0};
	struct config *config;
	char path[PATH_MAX];

	(void)state;
	make_directory("services.d");
	write_file(MAIN_FILE,
		"services: {blog: {}}\nroutes: [{port: 80, service: blog}]\nengine: auto\n");
	write_file("services.d/a.yaml", "routes: [{port: 0, pass: true}]\n");
	write_file("services.d/b.yaml", "services: {blog: {}}\nroutes: [{port: 80, pass: true}]\n");
	write_file("services.d/c.yaml", "@\n");
	make_directory("services.d/d.yaml");
	path_of("services.d/e.yaml", path);
	assert_int_equal(symlink("nowhere", path), 0);
	assert_int_equal(load(&config, &diagnostics), -EISDIR);
	assert_null(config);
	expect_diagnostics("services.d", &diagnostics, expected);
	diagnostics_fini(&diagnostics);
	for (const char *name = "abcde"; *name; name++) {
		snprintf(path, sizeof(path), "services.d/%c.yaml", *name);
		remove_file(path);
	}
	remove_file("services.d");
}

static void files_that_cannot_be_read(void **state)
{
	static const struct {
		const char *name, *text;
		int code;
	} cases[] = {
		{"missing.yaml", ": error: there is no such file; create it, or name another",
			-ENOENT},
		{".", ": error: this is a directory; name a file in it", -EISDIR},
		{"fifo", ": error: this is not a regular file; write the configuration into one",
			-EINVAL},
		{"large", ": error: File too large", -EFBIG},
		{"forbidden", ": error: this user may not read it; change its permissions",
			-EACCES},
	};
	char path[PATH_MAX];

	(void)state;
	path_of("fifo", path);
	assert_int_equal(mkfifo(path, 0600), 0);
	write_file("large", "");
	path_of("large", path);
	assert_int_equal(truncate(path, 64 * 1024 * 1024 + 1), 0);
	write_file("forbidden", "engine: auto\n");
	path_of("forbidden", path);
	assert_int_equal(chmod(path, 0), 0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct diagnostics diagnostics = {0};
		struct config *config = NULL;

		/* Root may read everything. */
		if (cases[i].code == -EACCES && !geteuid())
			continue;
		path_of(cases[i].name, path);
		assert_int_equal(config_load(path, &config, &diagnostics), cases[i].code);
		assert_null(config);
		assert_int_equal(diagnostics.count, 1);
		assert_int_equal(strncmp(diagnostics.lines[0], path, strlen(path)), 0);
		assert_string_equal(diagnostics.lines[0] + strlen(path), cases[i].text);
		diagnostics_fini(&diagnostics);
	}
	remove_file("fifo");
	remove_file("large");
	remove_file("forbidden");
}

/* Three lists of a thousand are a thousand million combinations. */
static void lists_that_multiply_are_refused_quickly(void **state)
{
	struct diagnostics diagnostics = {0};
	struct config *config;
	char *yaml = NULL;
	size_t size;
	FILE *text = open_memstream(&yaml, &size);

	(void)state;
	fputs("routes:\n  - to: [", text);
	for (int i = 0; i < 1000; i++)
		fprintf(text, "\"2001:db8::%x\", ", i);
	fputs("]\n    from: [", text);
	for (int i = 0; i < 1000; i++)
		fprintf(text, "\"2001:db8::%x\", ", i);
	fputs("]\n    port: [", text);
	for (int i = 1; i <= 1000; i++)
		fprintf(text, "%d, ", i);
	fputs("]\n    pass: true\n", text);
	fclose(text);
	write_file(MAIN_FILE, yaml);
	free(yaml);
	assert_int_equal(load(&config, &diagnostics), -EINVAL);
	assert_int_equal(diagnostics.count, 1);
	assert_non_null(strstr(diagnostics.lines[0],
		":2:5: error: with this route there are more than 1048576 combinations of 'to', 'from', 'port' and 'protocol'; use prefixes and port ranges in place of long lists"));
	diagnostics_fini(&diagnostics);
}

static int make_test_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_test_directory(void **state)
{
	char path[PATH_MAX];

	(void)state;
	path_of(MAIN_FILE, path);
	unlink(path);
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_of_a_route),
		cmocka_unit_test(a_route_is_stored_as_written),
		cmocka_unit_test(every_form_of_a_service),
		cmocka_unit_test(empty_files_are_empty_configurations),
		cmocka_unit_test(services_d_adds_files_by_name),
		cmocka_unit_test(warnings_do_not_stop_a_configuration),
		cmocka_unit_test(route_faults_are_told_with_place_and_remedy),
		cmocka_unit_test(prefixes_and_combinations_that_cannot_be_meant),
		cmocka_unit_test(route_keys_and_types),
		cmocka_unit_test(service_faults),
		cmocka_unit_test(file_faults),
		cmocka_unit_test(diagnostics_are_one_printable_line),
		cmocka_unit_test(all_faults_of_a_file_are_told_at_once),
		cmocka_unit_test(repeated_routes),
		cmocka_unit_test(diagnostics_name_the_file_of_services_d),
		cmocka_unit_test(files_that_cannot_be_read),
		cmocka_unit_test(lists_that_multiply_are_refused_quickly),
	};

	return cmocka_run_group_tests(tests, make_test_directory, remove_test_directory);
}
