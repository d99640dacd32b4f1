// SPDX-License-Identifier: BSD-2-Clause
// A service's exec: in the configuration: what it becomes, and what people are told.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config/config.h"
#include "exec/exec_settings.h"

/* The configuration of one service s with this value of exec:, which is in line 2. */
static struct config *parse(const char *value, struct diagnostics *diagnostics)
{
	struct config *config = NULL;
	char text[2048];

	snprintf(text, sizeof(text),
		"services:\n  s: {exec: %s}\nroutes: [{port: 1, service: s}]\n", value);
	config_parse("t.yaml", text, strlen(text), &config, diagnostics);
	return config;
}

static void expect_error(const char *value, const char *error)
{
	struct diagnostics diagnostics = {0};
	struct config *config = parse(value, &diagnostics);

	if (config || !diagnostics.count || !strstr(diagnostics.lines[0], error))
		fail_msg("%s\nexpected: %s\ngot:      %s", value, error,
			diagnostics.count ? diagnostics.lines[0] : "nothing");
	config_free(config);
	diagnostics_fini(&diagnostics);
}

static struct config *expect_good(const char *value)
{
	struct diagnostics diagnostics = {0};
	struct config *config = parse(value, &diagnostics);

	if (!config)
		fail_msg("%s: %s", value, diagnostics.lines[0]);
	assert_int_equal(diagnostics.count, 0);
	diagnostics_fini(&diagnostics);
	return config;
}

static void all_keys_are_read(void **state)
{
	struct config *config = expect_good(
		"{command: [/bin/a, -b, '', 'c d'], user: root, group: 7, groups: [8, 9], nice: -3, umask: 027, "
		"rlimit: {nofile: 64, core: 0:unlimited}, env: {A: b, C: ''}, pass-env: [PATH, TERM], chdir: /tmp, "
		"netns: blue, cgroup: none, instances: 5, when-full: refuse, per-source: 2/64, rate: 50/s burst 99, "
		"allow-from: ['192.0.2.0/24', '::/0'], deny-from: 192.0.2.9, banner: no, banner-start: hi, "
		"stderr: socket, log: failures, max-time: 1h, on-stop: end, kill-signal: INT, stop-timeout: 3s}");
	const struct exec_settings *exec = config->services[0].exec;

	(void)state;
	assert_int_equal(exec->command.count, 4);
	assert_string_equal(exec->command.list[2], "");
	assert_string_equal(exec->command.list[3], "c d");
	assert_null(exec->command.list[4]);
	assert_string_equal(exec->user, "root");
	assert_int_equal(exec->uid, 0);
	assert_int_equal(exec->gid, 7);
	assert_int_equal(exec->group_count, 2);
	assert_int_equal(exec->groups[1], 9);
	assert_int_equal(exec->nice, -3);
	assert_int_equal(exec->umask, 027);
	assert_int_equal(exec->rlimit_count, 2);
	assert_int_equal(exec->rlimits[0].limit.rlim_max, 64);
	assert_true(exec->rlimits[1].limit.rlim_max == RLIM_INFINITY);
	assert_string_equal(exec->env.list[1], "C=");
	assert_int_equal(exec->pass_env.count, 2);
	assert_string_equal(exec->chdir, "/tmp");
	assert_string_equal(exec->netns, "blue");
	assert_true(exec->no_cgroup);
	assert_int_equal(exec->bounds.instances, 5);
	assert_true(exec->bounds.refuse);
	assert_int_equal(exec->bounds.source_length, 64);
	assert_int_equal(exec->bounds.rate.burst, 99);
	assert_int_equal(exec->bounds.allow.count, 2);
	assert_int_equal(exec->bounds.deny.count, 1);
	assert_string_equal(exec->banner, "no");
	assert_string_equal(exec->banner_start, "hi");
	assert_int_equal(exec->stderr_to, EXEC_STDERR_SOCKET);
	assert_true(exec->log_failures_only && exec->end_with_us && !exec->wait);
	assert_int_equal(exec->max_time_ms, 3600000);
	assert_int_equal(exec->kill_signal, SIGINT);
	assert_int_equal(exec->stop_timeout_ms, 3000);
	config_free(config);
}

static void defaults_are_those_of_the_man_page(void **state)
{
	struct config *config = expect_good("{command: /bin/a}");
	const struct exec_settings *exec = config->services[0].exec;

	(void)state;
	assert_string_equal(exec->chdir, "/");
	assert_int_equal(exec->pass_env.count, 3);
	assert_false(exec->pass_all || exec->wait || exec->ids || exec->no_cgroup);
	assert_int_equal(exec->bounds.instances, 1000);
	assert_int_equal(exec->stderr_to, EXEC_STDERR_LOG);
	config_free(config);
	config = expect_good("{command: [/bin/a], stderr: null}");
	assert_int_equal(config->services[0].exec->stderr_to, EXEC_STDERR_NULL);
	config_free(config);
	config = expect_good("{command: [/bin/a], wait: true, pass-env: all}");
	assert_true(config->services[0].exec->wait);
	assert_true(config->services[0].exec->pass_all);
	config_free(config);
}

static void services_without_exec_have_none(void **state)
{
	struct diagnostics diagnostics = {0};
	struct config *config = NULL;
	const char *text = "services: {s: {}}\nroutes: [{port: 1, service: s}]\n";

	(void)state;
	assert_int_equal(config_parse("t.yaml", text, strlen(text), &config, &diagnostics), 0);
	assert_null(config->services[0].exec);
	config_free(config);
}

static void faults_are_told_with_their_remedy(void **state)
{
	static const struct {
		const char *value, *error;
	} cases[] = {
		{"{}", "t.yaml:2:13: error: 'exec': no command is named; write command: [/usr/sbin/sshd, -i]"},
		{"[/bin/a]", "'exec' must be a mapping, such as {command: ...}"},
		{"{command: [/bin/a], instance: 3}",
			"unknown key 'instance' in 'exec'; did you mean 'instances'?"},
		{"{command: [/bin/a], x-y-z: 3}",
			"unknown key 'x-y-z' in 'exec'; it may have: command, user,"},
		{"{command: [/bin/a], nice: 3, nice: 4}", "'nice' stands here for the second time"},
		{"{command: []}", "command is an empty list"},
		{"{command: /bin/a, chdir: null}", "this has no value"},
		{"{command: ['']}", "'command': the program's name is empty; write its path"},
		{"{command: {a: b}}", "this must be a single value"},
		{"{command: /bin/a, env: [A]}", "'env' must be a mapping, such as {LANG: C}"},
		{"{command: /bin/a, env: {A: [b]}}",
			"this variable or limit must be a single value"},
		{"{command: /bin/a, env: {A: }}", "this variable or limit has no value"},
		{"{command: /bin/a, rlimit: {nofiles: 3}}", "'rlimit': 'nofiles=3' is not a limit"},
		{"{command: /bin/a, user: no-such-user}",
			"'user': there is no user 'no-such-user' on this machine"},
		{"{command: /bin/a, user: 54321}", "so its group is not known; name a group too"},
		{"{command: /bin/a, netns: ''}", "'netns': '' is not a network namespace"},
		{"{command: /bin/a, banner: '@/nonexistent'}",
			"cannot read the banner's file /nonexistent"},
		{"{command: /bin/a, wait: true, deny-from: '::/0'}",
			"with wait the program accepts connections itself"},
	};

	(void)state;
	for (size_t c = 0; c < sizeof(cases) / sizeof(*cases); c++)
		expect_error(cases[c].value, cases[c].error);
}

static bool is_told(const struct diagnostics *diagnostics, const char *text)
{
	for (size_t i = 0; i < diagnostics->count; i++) {
		if (strstr(diagnostics->lines[i], text))
			return diagnostics->errors;
	}
	return false;
}

static void routes_fit_the_program(void **state)
{
	static const struct {
		const char *exec, *route, *error;
	} cases[] = {
		{"{command: /bin/a}", "{port: 1, protocol: udp, service: s}",
			"t.yaml:3:10: error: 'exec' of service 's' starts a program per connection, and UDP has none; add 'wait: true'"},
		{"{command: /bin/a}", "{port: 1, protocol: [tcp, udp], service: s}",
			"starts a program per connection, and UDP has none"},
		{"{command: /bin/a, wait: true}", "{port: 443, sni: a.example, service: s}",
			"has 'wait', so its program accepts connections before any name is seen"},
		{"{command: /bin/a, wait: true}", "{port: 1, protocol: [tcp, udp], service: s}",
			NULL},
	};

	(void)state;
	for (size_t c = 0; c < sizeof(cases) / sizeof(*cases); c++) {
		struct diagnostics diagnostics = {0};
		struct config *config = NULL;
		char text[512];

		snprintf(text, sizeof(text), "services:\n  s: {exec: %s}\nroutes: [%s]\n",
			cases[c].exec, cases[c].route);
		config_parse("t.yaml", text, strlen(text), &config, &diagnostics);
		if (!cases[c].error && !config)
			fail_msg("%s: %s", text, diagnostics.lines[0]);
		if (cases[c].error && !is_told(&diagnostics, cases[c].error))
			fail_msg("%s: not told: %s", text, cases[c].error);
		config_free(config);
		diagnostics_fini(&diagnostics);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_keys_are_read),
		cmocka_unit_test(defaults_are_those_of_the_man_page),
		cmocka_unit_test(services_without_exec_have_none),
		cmocka_unit_test(routes_fit_the_program),
		cmocka_unit_test(faults_are_told_with_their_remedy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
