// SPDX-License-Identifier: BSD-2-Clause
// What `grants:` may say, its canonical form, and what people are told when it says something else.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config/config.h"

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

/* The grants' value begins at line 1, column 26. */
#define YAML "services: {ftp: {grants: %s}}\nroutes: [{port: 21, service: ftp}]\n"

static struct config *parse(const char *grants, struct diagnostics *diagnostics)
{
	struct config *config = NULL;
	char yaml[1024];

	*diagnostics = (struct diagnostics){0};
	snprintf(yaml, sizeof(yaml), YAML, grants);
	config_parse("grants.yaml", yaml, strlen(yaml), &config, diagnostics);
	return config;
}

static struct config *parse_good(const char *grants)
{
	struct diagnostics diagnostics;
	struct config *config = parse(grants, &diagnostics);

	if (!config || diagnostics.count)
		fail_msg("%s: %s", grants, diagnostics.count ? diagnostics.lines[0] : "refused");
	diagnostics_fini(&diagnostics);
	return config;
}

static void canonical_text(void **state)
{
	static const struct {
		const char *grants, *text;
	} cases[] = {
		{"{passive: 50000-50100}", "{passive: 50000-50100}"},
		{"{connect: 20, passive: [50000-50100, 51000]}",
			"{passive: [50000-50100, 51000], connect: 20}"},
		{"{connect: [20]}", "{connect: 20}"},
		{"{connect: [20, 989]}", "{connect: [20, 989]}"},
		{"{connect: true}", "{connect: true}"},
		{"{passive: 1-65535, connect: true}", "{passive: 1-65535, connect: true}"},
		{"{passive: 80, protocol: tcp}", "{passive: 80}"},
		{"{passive: 80, protocol: udp}", "{passive: 80, protocol: udp}"},
		{"{protocol: [udp, tcp], connect: true}", "{connect: true, protocol: [tcp, udp]}"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct config *config = parse_good(cases[i].grants), *again;

		assert_string_equal(config->services[0].grants.text, cases[i].text);
		again = parse_good(cases[i].text);
		assert_string_equal(again->services[0].grants.text, cases[i].text);
		config_free(again);
		config_free(config);
	}
}

static void stored_as_written(void **state)
{
	struct config *config = parse_good("{passive: [50000-50100, 51000], connect: 20}");
	const struct config_grants *grants = &config->services[0].grants;

	(void)state;
	assert_true(grants->tcp && !grants->udp && grants->connects);
	assert_int_equal(grants->place.line, 1);
	assert_int_equal(grants->passive_count, 2);
	assert_int_equal(grants->passive[0].first, 50000);
	assert_int_equal(grants->passive[0].last, 50100);
	assert_int_equal(grants->passive[1].first, 51000);
	assert_int_equal(grants->passive[1].last, 51000);
	assert_int_equal(grants->connect_count, 1);
	assert_int_equal(grants->connect[0].first, 20);
	config_free(config);
	config = parse_good("{connect: true, protocol: [tcp, udp]}");
	grants = &config->services[0].grants;
	assert_true(grants->tcp && grants->udp && grants->connects);
	assert_int_equal(grants->passive_count + grants->connect_count, 0);
	config_free(config);
}

static void no_grants(void **state)
{
	struct diagnostics diagnostics = {0};
	struct config *config = NULL;
	const char *yaml = "services: {ftp: {}}\nroutes: [{port: 21, service: ftp}]\n";

	(void)state;
	assert_int_equal(config_parse("a.yaml", yaml, strlen(yaml), &config, &diagnostics), 0);
	assert_null(config->services[0].grants.text);
	assert_false(config->services[0].grants.tcp || config->services[0].grants.udp);
	config_free(config);
}

static void faults(void **state)
{
	static const char port[] =
		" is not a port; write a number from 1 to 65535, or a range such as 8000-8099";
	static const struct {
		const char *grants, *place, *text, *rest;
	} cases[] = {
		{"{}", "1:26", "'grants' grants nothing; give it 'passive: PORTS', ", ""},
		{"{protocol: udp}", "1:26", "'grants' grants nothing", ""},
		{"", "1:18", "'grants' grants nothing", ""},
		{"ftp", "1:26", "'grants' must be a mapping, such as {passive: ...}", ""},
		{"[20]", "1:26", "'grants' must be a mapping", ""},
		{"{pasive: 20}", "1:27",
			"unknown key 'pasive' in 'grants'; did you mean 'passive'?", ""},
		{"{ports: 20}", "1:27",
			"unknown key 'ports' in 'grants'; it may have: passive, connect, protocol",
			""},
		{"{passive: 0}", "1:36", "'0'", port},
		{"{passive: 50100-50000}", "1:36", "'50100-50000'", port},
		{"{passive: [50000, 65536]}", "1:44", "'65536'", port},
		{"{passive: true}", "1:36", "'true'", port},
		{"{passive: []}", "1:36", "'passive' is an empty list; leave the key out", ""},
		{"{passive: }", "1:27", "'passive' has no value", ""},
		{"{passive: {first: 1}}", "1:36", "'passive' must be a single value", ""},
		{"{connect: false}", "1:36",
			"'connect: false' says nothing; write true (from any port that the kernel picks), or the ports to connect from",
			""},
		{"{connect: [true]}", "1:37", "'true'", port},
		{"{connect: ftp-data}", "1:36", "'ftp-data'", port},
		{"{connect: 20, connect: 21}", "1:40",
			"'connect' stands here for the second time; the first is in line 1", ""},
		{"{connect: 20, protocol: sctp}", "1:50",
			"'sctp' is not a protocol; write tcp, udp or [tcp, udp]", ""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct diagnostics diagnostics;
		struct config *config = parse(cases[i].grants, &diagnostics);
		char line[512];

		snprintf(line, sizeof(line), "grants.yaml:%s: error: %s%s", cases[i].place,
			cases[i].text, cases[i].rest);
		if (config || diagnostics.count != 1 ||
			strncmp(diagnostics.lines[0], line, strlen(line)) != 0)
			fail_msg("%s\nexpected: %s\ngot %zu:    %s", cases[i].grants, line,
				diagnostics.count, diagnostics.count ? diagnostics.lines[0] : "");
		diagnostics_fini(&diagnostics);
	}
}

static void ports_that_stand_there_twice(void **state)
{
	struct diagnostics diagnostics;
	struct config *config = parse("{passive: [50000-50100, 50100-50200]}", &diagnostics);

	(void)state;
	assert_non_null(config);
	assert_int_equal(diagnostics.count, 1);
	assert_string_equal(diagnostics.lines[0],
		"grants.yaml:1:50: warning: '50100-50200' is in this list already, in whole or in part");
	diagnostics_fini(&diagnostics);
	config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical_text),
		cmocka_unit_test(stored_as_written),
		cmocka_unit_test(no_grants),
		cmocka_unit_test(faults),
		cmocka_unit_test(ports_that_stand_there_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
