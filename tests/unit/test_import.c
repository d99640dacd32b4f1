// SPDX-License-Identifier: BSD-2-Clause
// Other programs' configurations: what they become, that it can be loaded, and what is left out.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/import/import.h"
#include "daemon/config/config.h"

struct result {
	char *yaml, *warnings;
	size_t yaml_size, warnings_size;
	struct err err;
	int code;
};

static void import(
	struct result *result, const char *xinetd, const char *socket, const char *service)
{
	FILE *out, *warnings;

	*result = (struct result){0};
	out = open_memstream(&result->yaml, &result->yaml_size);
	warnings = open_memstream(&result->warnings, &result->warnings_size);
	result->code = xinetd ? import_xinetd("x.conf", xinetd, out, warnings, &result->err)
			      : import_systemd("/a/u.socket", socket, service, out, warnings,
					&result->err);
	fclose(out);
	fclose(warnings);
}

static void result_free(struct result *result)
{
	free(result->yaml);
	free(result->warnings);
}

static void expect_loads(const struct result *result)
{
	struct diagnostics diagnostics = {0};
	struct config *config = NULL;

	if (config_parse("out.yaml", result->yaml, strlen(result->yaml), &config, &diagnostics))
		fail_msg("%s\n%s", result->yaml, diagnostics.lines[0]);
	config_free(config);
	diagnostics_fini(&diagnostics);
}

/* The output is these lines, in this order, with others between them; the list ends with NULL. */
static void expect_lines(const struct result *result, const char *const *lines)
{
	const char *at = result->yaml;

	assert_int_equal(result->code, 0);
	for (; *lines; lines++) {
		const char *found = strstr(at, *lines);

		if (!found)
			fail_msg("not there, or not there any more: %s\nin\n%s", *lines,
				result->yaml);
		at = found + strlen(*lines);
	}
	expect_loads(result);
}

#define LINES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void xinetd_service_with_everything(void **state)
{
	struct result result;

	(void)state;
	import(&result,
		"# comment\n"
		"defaults\n{\n\tinstances = 60\n\tcps = 25 30\n\tonly_from = 192.0.2.0\n\tlog_type = SYSLOG auth\n}\n"
		"includedir /etc/xinetd.d\n"
		"service ssh\n{\n\tdisable = no\n\tsocket_type = stream\n\twait = no\n\tuser = root\n"
		"\tserver = /usr/sbin/sshd\n\tserver_args = -i -4\n\tonly_from += 2001:db8::/32 localhost\n"
		"\tno_access = 192.0.2.7\n\tnice = 5\n\trlimit_files = 100\n\trlimit_as = UNLIMITED\n\tenv = A=b\n"
		"\tenv = C=d\n\tpassenv = PATH\n\tper_source = 4\n\tbind = 192.0.2.1\n\taccess_times = 08:00-17:00\n"
		"\tflags = IPv4 REUSE\n\tgroups = yes\n\tumask = 027\n}\n",
		NULL, NULL);
	expect_lines(&result,
		LINES("services:\n", "  # includedir /etc/xinetd.d: import those files too\n",
			"  ssh:\n", "    # cps: above the rate",
			"    # access_times: not translated\n", "    exec:\n",
			"      command: [/usr/sbin/sshd, \"-i\", \"-4\"]\n", "      user: root\n",
			"      nice: 5\n", "      umask: 027\n",
			"      rlimit: {as: unlimited, nofile: 100}\n", "      env: {A: b, C: d}\n",
			"      pass-env: [PATH]\n", "      instances: 60\n", "      rate: 25/s\n",
			"      when-full: refuse\n", "      per-source: 4\n",
			"      allow-from: [192.0.2.0/24, \"2001:db8::/32\", 127.0.0.1, \"::1\"]\n",
			"      deny-from: [192.0.2.7]\n", "      stderr: socket\n",
			"routes:\n  - {to: \"192.0.2.1\", port: 22, service: ssh}\n"));
	assert_null(strstr(result.yaml, "groups: none"));
	assert_non_null(strstr(result.warnings, "x.conf: warning: access_times: not translated\n"));
	result_free(&result);
}

static void xinetd_services_that_wait_or_cannot_be(void **state)
{
	struct result result;

	(void)state;
	import(&result,
		"service tftp\n{\n\tsocket_type = dgram\n\tprotocol = udp\n\twait = yes\n\tuser = nobody\n"
		"\tserver = /usr/sbin/in.tftpd\n\tserver_args = -s /srv\n\tper_source = 3\n}\n"
		"service echo\n{\n\tid = echo-stream\n\ttype = INTERNAL\n\tsocket_type = stream\n\twait = no\n}\n"
		"service echo\n{\n\tid = echo-dgram\n\tdisable = yes\n}\n"
		"service web\n{\n\tport = 8080\n\tsocket_type = stream\n\twait = no\n\tredirect = 192.0.2.1 80\n}\n"
		"service telnet\n{\n\tflags = NAMEINARGS\n\tsocket_type = stream\n\twait = no\n\tuser = root\n"
		"\tserver = /usr/sbin/tcpd\n\tserver_args = /usr/sbin/in.telnetd -n\n\tonly_from =\n}\n",
		NULL, NULL);
	expect_lines(&result,
		LINES("  tftp:\n", "    # per_source: not translated\n",
			"command: [/usr/sbin/in.tftpd, \"-s\", /srv]\n", "      groups: none\n",
			"      wait: true\n", "  # echo-stream: not translated\n",
			"    # xinetd itself serves it\n",
			"  # echo-dgram: not translated\n    # it is disabled\n",
			"  # web: not translated\n    # redirect: write a service with relay",
			"  telnet:\n", "    # tcpd is left out",
			"command: [/usr/sbin/in.telnetd, \"-n\"]\n",
			"      deny-from: [0.0.0.0/0, \"::/0\"]\n",
			"  - {port: 69, protocol: udp, service: tftp}\n",
			"  - {port: 23, service: telnet}\n"));
	result_free(&result);
}

static void xinetd_syntax_errors_name_the_line(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"service a\n{\n\tserver /bin/x\n}\n", "line 3: an attribute is 'NAME = VALUE'"},
		{"service a\nserver = /bin/x\n", "line 2: '{' is missing"},
		{"\n\nservices a\n", "line 3: neither 'service NAME'"},
		{"service a\n{\n", "the last block is not closed by '}'"},
		{"service a\n{\n = x\n}\n", "line 3: an attribute has no name"},
	};
	struct result result;

	(void)state;
	for (size_t c = 0; c < sizeof(cases) / sizeof(*cases); c++) {
		import(&result, cases[c].text, NULL, NULL);
		assert_int_equal(result.code, -EINVAL);
		if (!strstr(result.err.text, cases[c].error))
			fail_msg("%s: %s", cases[c].error, result.err.text);
		assert_string_equal(result.yaml, "");
		result_free(&result);
	}
}

static void systemd_with_a_program_per_connection(void **state)
{
	struct result result;
	char service[64];
	const char *socket =
		"[Unit]\nDescription=x\n[Socket]\nListenStream=22\nListenStream=192.0.2.1:2222\n"
		"ListenStream=[2001:db8::1]:2222\nListenStream=/run/x\nAccept=yes\n"
		"MaxConnectionsPerSource=5\nTriggerLimitIntervalSec=2s\nTriggerLimitBurst=20\nNoDelay=yes\nListenDatagram=5\n";

	(void)state;
	assert_int_equal(
		import_systemd_service("/a/u.socket", socket, service, sizeof(service), NULL), 0);
	assert_string_equal(service, "u@.service");
	import(&result, NULL, socket,
		"[Service]\nExecStart=-/usr/sbin/sshd -i \"two words\" \\\n  $OPTIONS\nUser=root\nNice=3\nUMask=0077\n"
		"SupplementaryGroups=root 7\nEnvironment=A=b \"C=d e\"\nPassEnvironment=LANG\nLimitNOFILE=64:infinity\n"
		"WorkingDirectory=/tmp\nStandardInput=socket\nStandardError=null\nKillSignal=SIGINT\n"
		"TimeoutStopSec=1min 5s\nIPAddressAllow=localhost 192.0.2.0/24\nIPAddressDeny=any\nProtectHome=yes\n");
	expect_lines(&result,
		LINES("  u:\n", "# ExecStart: the prefix of", "# ExecStart: '$OPTIONS' is left out",
			"# [Service] ProtectHome: not translated", "# ListenStream=/run/x",
			"# ListenDatagram: does not go together",
			"# [Socket] NoDelay: not translated",
			"command: [/usr/sbin/sshd, \"-i\", \"two words\"]", "user: root", "nice: 3",
			"umask: 0077", "kill-signal: SIGINT", "groups: [root, 7]",
			"env: {A: b, C: \"d e\"}", "pass-env: [LANG]",
			"rlimit: {nofile: \"64:unlimited\"}", "chdir: /tmp",
			"stop-timeout: 65000ms", "stderr: \"null\"",
			"allow-from: [127.0.0.0/8, \"::1\", 192.0.2.0/24]",
			"deny-from: [0.0.0.0/0, \"::/0\"]", "instances: 64", "when-full: refuse",
			"per-source: 5", "rate: \"10/s burst 20\"",
			"routes:\n  - {port: 22, service: u}",
			"{to: \"192.0.2.1\", port: 2222, service: u}",
			"{to: \"2001:db8::1\", port: 2222, service: u}"));
	result_free(&result);
}

static void systemd_with_one_program(void **state)
{
	struct result result;
	char service[64];
	const char *socket =
		"[Socket]\nListenDatagram=69\nListenStream=[::]:70\nBindIPv6Only=ipv6-only\n"
		"Service=other.service\n";

	(void)state;
	assert_int_equal(
		import_systemd_service("u.socket", socket, service, sizeof(service), NULL), 0);
	assert_string_equal(service, "other.service");
	import(&result, NULL, socket, "[Service]\nExecStart=/bin/x\n");
	expect_lines(&result, LINES("# each socket has a process of its own", "command: [/bin/x]",
				      "wait: true", "{to: \"::/0\", port: 70, service: u}",
				      "{to: \"::/0\", port: 69, protocol: udp, service: u}"));
	result_free(&result);
	import(&result, NULL, socket, NULL);
	expect_lines(&result, LINES("services:\n  # u: not translated\n",
				      "# the service's unit was not found beside it"));
	result_free(&result);
	assert_int_equal(
		import_systemd_service("u.service", socket, service, sizeof(service), NULL),
		-EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(xinetd_service_with_everything),
		cmocka_unit_test(xinetd_services_that_wait_or_cannot_be),
		cmocka_unit_test(xinetd_syntax_errors_name_the_line),
		cmocka_unit_test(systemd_with_a_program_per_connection),
		cmocka_unit_test(systemd_with_one_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
