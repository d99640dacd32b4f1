// SPDX-License-Identifier: BSD-2-Clause
// A service's `relay:` and `accept-proxy:` in the configuration.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config/config.h"
#include "relay/relay_settings.h"

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

/* A configuration of one service with these keys, from line 1, column 16 on. */
static int parse(const char *keys, struct config **config, struct diagnostics *diagnostics)
{
	char yaml[2048];

	snprintf(yaml, sizeof(yaml), "services: {web: {%s}}\nroutes: [{port: 80, service: web}]\n",
		keys);
	*config = NULL;
	return config_parse("c.yaml", yaml, strlen(yaml), config, diagnostics);
}

static struct config *parse_good(const char *keys)
{
	struct diagnostics diagnostics = {0};
	struct config *config;

	if (parse(keys, &config, &diagnostics) || diagnostics.count)
		fail_msg("%s: %s", keys, diagnostics.lines[0]);
	diagnostics_fini(&diagnostics);
	return config;
}

static void test_relay(void **state)
{
	struct config *config = parse_good(
		"relay: {to: [\"192.0.2.10:8080\", \"[2001:db8::a]:80\", \"unix:/run/a.sock\"], "
		"proxy-protocol: v2, connect-timeout: 500ms, idle-timeout: 10m, "
		"source: \"2001:db8:64::/96\"}");
	const struct relay_settings *relay = config->services[0].relay;
	char text[RELAY_BACKEND_TEXT_SIZE];

	(void)state;
	assert_non_null(relay);
	assert_null(config->services[0].accept_proxy);
	assert_int_equal(relay->backend_count, 3);
	assert_string_equal(relay_backend_format(&relay->backends[0], text), "192.0.2.10:8080");
	assert_string_equal(relay_backend_format(&relay->backends[2], text), "unix:/run/a.sock");
	assert_int_equal(relay->proxy_protocol, PROXY_V2);
	assert_int_equal(relay->connect_timeout_ms, 500);
	assert_int_equal(relay->idle_timeout_ms, 600000);
	assert_int_equal(relay->source, RELAY_SOURCE_PREFIX);
	config_free(config);
}

static void test_defaults(void **state)
{
	struct config *config = parse_good("relay: {to: \"192.0.2.10:8080\"}");
	const struct relay_settings *relay = config->services[0].relay;

	(void)state;
	assert_int_equal(relay->proxy_protocol, PROXY_NONE);
	assert_int_equal(relay->connect_timeout_ms, RELAY_DEFAULT_CONNECT_TIMEOUT_MS);
	assert_int_equal(relay->idle_timeout_ms, 0);
	assert_int_equal(relay->source, RELAY_SOURCE_OWN);
	config_free(config);
	config = parse_good("");
	assert_null(config->services[0].relay);
	config_free(config);
}

static void test_nat64(void **state)
{
	struct config *config = parse_good(
		"relay: {to: \"nat64:64:ff9b::/96\", source: client, nat64-allow: [\"10.0.0.0/8\"]}");
	const struct relay_settings *relay = config->services[0].relay;

	(void)state;
	assert_int_equal(relay->backends[0].target, RELAY_TO_NAT64);
	assert_int_equal(relay->nat64_allow_count, 1);
	assert_int_equal(relay->source, RELAY_SOURCE_CLIENT);
	config_free(config);
}

static void test_accept_proxy(void **state)
{
	struct config *config = parse_good("handoff: {}, accept-proxy: {from: \"192.0.2.0/24\"}");
	const struct relay_accept_proxy *proxy = config->services[0].accept_proxy;

	(void)state;
	assert_int_equal(proxy->from_count, 1);
	assert_false(proxy->others_plain);
	assert_int_equal(proxy->timeout_ms, RELAY_DEFAULT_PROXY_TIMEOUT_MS);
	config_free(config);
	config = parse_good(
		"handoff: {}, accept-proxy: {from: [\"::1\", 192.0.2.1], others: plain, timeout: 1s}");
	proxy = config->services[0].accept_proxy;
	assert_int_equal(proxy->from_count, 2);
	assert_true(proxy->others_plain);
	assert_int_equal(proxy->timeout_ms, 1000);
	config_free(config);
}

static void test_accept_proxy_excludes_names(void **state)
{
	static const char yaml[] =
		"services: {web: {relay: {to: \"1.2.3.4:5\"}, accept-proxy: {from: \"::1\"}}}\n"
		"routes: [{port: 443, sni: example.org, service: web}]\n";
	struct diagnostics diagnostics = {0};
	struct config *config = NULL;

	(void)state;
	assert_int_equal(
		config_parse("c.yaml", yaml, strlen(yaml), &config, &diagnostics), -EINVAL);
	assert_int_equal(diagnostics.count, 1);
	assert_non_null(strstr(diagnostics.lines[0],
		"c.yaml:2:10: error: service 'web' has 'accept-proxy', and a PROXY header comes"));
	diagnostics_fini(&diagnostics);
}

static void test_faults(void **state)
{
	static const struct {
		const char *keys, *diagnostic;
	} cases[] = {
		{"relay: ", "c.yaml:1:18: error: a relay needs a backend"},
		{"relay: {}", "c.yaml:1:25: error: a relay needs a backend"},
		{"relay: 5", "c.yaml:1:25: error: 'relay' must be a mapping"},
		{"relay: {to: 5}", "c.yaml:1:30: error: '5' is not a backend; write 192.0.2.1:80"},
		{"relay: {to: []}", "c.yaml:1:30: error: 'to' is an empty list"},
		{"relay: {too: 5}",
			"c.yaml:1:26: error: unknown key 'too' in 'relay'; did you mean"},
		{"relay: {to: \"1.2.3.4:5\", proxy-protocol: v3}",
			"c.yaml:1:59: error: 'v3' is not a version of the PROXY protocol; write v1 or v2"},
		{"relay: {to: \"1.2.3.4:5\", source: me}",
			"c.yaml:1:51: error: 'me' is not a source"},
		{"relay: {to: \"1.2.3.4:5\", idle-timeout: 5}",
			"c.yaml:1:57: error: '5' is not a duration"},
		{"relay: {to: \"1.2.3.4:5\", nat64-allow: 10.0.0.0/8}",
			"c.yaml:1:25: error: nat64-allow widens a nat64 mapping"},
		{"relay: {to: [\"nat64:64:ff9b::/96\", \"1.2.3.4:5\"]}",
			"c.yaml:1:25: error: a nat64 mapping names every backend by itself"},
		{"relay: {to: \"nat64:64:ff9b::/96\", source: \"2001:db8::/96\"}",
			"c.yaml:1:25: error: a nat64 mapping reaches IPv4 backends"},
		{"accept-proxy: {from: \"::1\"}",
			"c.yaml:1:12: error: 'accept-proxy' is for services"},
		{"handoff: {path: /run/a.sock}, relay: {to: \"1.2.3.4:5\"}",
			"c.yaml:1:12: error: service 'web' has more than one of 'handoff', 'exec' and 'relay'"},
		{"handoff: {}, accept-proxy: {}",
			"c.yaml:1:45: error: 'accept-proxy' needs 'from'"},
		{"handoff: {}, accept-proxy: {from: here}",
			"c.yaml:1:52: error: 'here' is not an IP address"},
		{"handoff: {}, accept-proxy: {from: \"::1\", others: no}",
			"c.yaml:1:67: error: 'others: no' says nothing; write refuse, or plain"},
		{"handoff: {}, accept-proxy: {from: \"::1\", timeout: 0}",
			"c.yaml:1:68: error: 'timeout: 0' would"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct diagnostics diagnostics = {0};
		struct config *config;

		if (parse(cases[i].keys, &config, &diagnostics) != -EINVAL)
			fail_msg("not refused: %s", cases[i].keys);
		assert_null(config);
		if (diagnostics.count != 1 || strncmp(diagnostics.lines[0], cases[i].diagnostic,
						      strlen(cases[i].diagnostic)) != 0)
			fail_msg("of %s\nexpected: %s\ngot:      %s", cases[i].keys,
				cases[i].diagnostic, diagnostics.lines[0]);
		diagnostics_fini(&diagnostics);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_relay),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_nat64),
		cmocka_unit_test(test_accept_proxy),
		cmocka_unit_test(test_accept_proxy_excludes_names),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
