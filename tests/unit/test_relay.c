// SPDX-License-Identifier: BSD-2-Clause
// Which backend is next, and the relay as the daemon drives it, over Unix sockets.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "relay/health.h"
#include "relay/relay.h"

static char directory[] = "/tmp/socketbox-relay-XXXXXX";

static struct relay_settings settings_of(const char *const *backends)
{
	struct relay_settings settings = {.connect_timeout_ms = 5000};
	struct relay_backend backend;

	for (; *backends; backends++) {
		assert_int_equal(relay_backend_parse(*backends, &backend, NULL), 0);
		assert_int_equal(relay_settings_add_backend(&settings, &backend, NULL), 0);
	}
	return settings;
}

static struct backend_set *backend_set_of(
	const char *const *backends, const struct backend_set *former)
{
	struct relay_settings settings = settings_of(backends);
	struct backend_set *set = backend_set_new(&settings, former);

	assert_non_null(set);
	relay_settings_fini(&settings);
	return set;
}

static const char *const three[] = {"192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1", NULL};

/* What one new connection tries first. */
static int first(struct backend_set *backends, int64_t now_ms)
{
	struct tried tried = {0};

	return backend_set_choose(backends, &tried, now_ms);
}

static void test_turns(void **state)
{
	struct backend_set *backends = backend_set_of(three, NULL);
	struct tried tried = {0};

	(void)state;
	for (int i = 0; i < 7; i++)
		assert_int_equal(first(backends, 0), i % 3);
	/* One connection tries each once. */
	assert_int_equal(backend_set_choose(backends, &tried, 0), 1);
	assert_int_equal(backend_set_choose(backends, &tried, 0), 2);
	assert_int_equal(backend_set_choose(backends, &tried, 0), 0);
	assert_int_equal(backend_set_choose(backends, &tried, 0), -1);
	backend_set_put(backends);
}

static void test_skipping(void **state)
{
	struct backend_set *backends = backend_set_of(three, NULL);

	(void)state;
	assert_int_equal(first(backends, 1000), 0);
	assert_int_equal(backend_set_failed(backends, 0, 1000), 1000);
	/* Another connection that was under way: the same failure. */
	assert_int_equal(backend_set_failed(backends, 0, 1500), 500);
	for (int i = 0; i < 4; i++)
		assert_int_not_equal(first(backends, 1999), 0);
	/* Its time is over: one connection tries it, others wait for the outcome. */
	assert_int_equal(
		first(backends, 2000) + first(backends, 2000) + first(backends, 2000), 0 + 1 + 2);
	for (int i = 0; i < 4; i++)
		assert_int_not_equal(first(backends, 2001), 0);
	assert_int_equal(backend_set_failed(backends, 0, 2100), 2000);
	assert_false(backend_set_succeeded(backends, 1));
	assert_true(backend_set_succeeded(backends, 0));
	assert_int_equal(
		first(backends, 2100) + first(backends, 2100) + first(backends, 2100), 0 + 1 + 2);
	backend_set_put(backends);
}

static void test_skipping_has_an_end(void **state)
{
	static const char *const one[] = {"192.0.2.1:1", NULL};
	struct backend_set *backends = backend_set_of(one, NULL);
	int64_t now_ms = 0;
	uint32_t skipped = 0;

	(void)state;
	for (int i = 0; i < 20; i++) {
		/* The only one is tried although it is skipped. */
		assert_int_equal(first(backends, now_ms), 0);
		skipped = backend_set_failed(backends, 0, now_ms);
		assert_true(skipped >= 1000 && skipped <= 30000);
		now_ms += skipped;
	}
	assert_int_equal(skipped, 30000);
	backend_set_put(backends);
}

static void test_health_is_inherited(void **state)
{
	static const char *const others[] = {"192.0.2.9:1", "192.0.2.1:1", NULL};
	struct backend_set *backends = backend_set_of(three, NULL), *next;

	(void)state;
	backend_set_failed(backends, 0, 1000);
	next = backend_set_of(others, backends);
	backend_set_put(backends);
	assert_int_equal(first(next, 1001), 0);
	assert_int_equal(first(next, 1001), 0);
	assert_int_equal(next->health[1].failures, 1);
	backend_set_put(next);
}

static int listen_at(const char *name, char *backend)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", directory, name);
	unlink(address.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 16), 0);
	snprintf(backend, 128, "unix:%s", address.sun_path);
	return fd;
}

static struct relay *relay_to(struct event_base *base, const char *backend,
	enum proxy_version version, const struct relay_limits *limits)
{
	const char *const backends[] = {backend, NULL};
	struct relay_settings settings = settings_of(backends);
	struct relay_events events = {0};
	struct relay *relay = NULL;

	settings.proxy_protocol = version;
	assert_int_equal(relay_new(base, &settings, limits, &events, &relay, NULL), 0);
	relay_settings_fini(&settings);
	return relay;
}

/* A client whose other end the relay has. */
static int client_of(struct relay *relay, const struct addr_endpoint *local,
	const struct addr_endpoint *remote, const char *initial)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	relay_take(relay, ends[1], local, remote, initial, strlen(initial));
	return ends[0];
}

static void expect_read(struct event_base *base, int fd, const char *expected)
{
	char got[256] = "";
	size_t used = 0;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 2000 && used < strlen(expected); i++) {
		ssize_t length = read(fd, got + used, sizeof(got) - 1 - used);

		if (length > 0)
			used += (size_t)length;
		event_base_loop(base, EVLOOP_NONBLOCK);
		if (length < 0)
			usleep(1000);
	}
	assert_string_equal(got, expected);
}

static void test_first_bytes(void **state)
{
	struct addr_endpoint local = {.port = 443}, remote = {.port = 5555};
	struct relay_limits limits = {.connections = 10};
	struct event_base *base = event_base_new();
	char backend[128];
	int listener = listen_at("first", backend), client, accepted;
	struct relay *relay = relay_to(base, backend, PROXY_V1, &limits);

	(void)state;
	addr_parse("2001:db8::1", &local.addr, NULL);
	addr_parse("2001:db8::2", &remote.addr, NULL);
	client = client_of(relay, &local, &remote, "early ");
	accepted = accept(listener, NULL, NULL);
	assert_int_equal(write(client, "later", 5), 5);
	expect_read(base, accepted, "PROXY TCP6 2001:db8::2 2001:db8::1 5555 443\r\nearly later");
	close(client);
	close(accepted);
	client = client_of(relay, NULL, NULL, "");
	accepted = accept(listener, NULL, NULL);
	expect_read(base, accepted, "PROXY UNKNOWN\r\n");
	relay_free(relay);
	close(client);
	close(accepted);
	close(listener);
	event_base_free(base);
}

static void test_reconfigure_leaves_connections_alone(void **state)
{
	struct relay_limits limits = {.connections = 2};
	struct event_base *base = event_base_new();
	struct relay_backend_report report;
	char backends[2][128];
	int listeners[2] = {listen_at("old", backends[0]), listen_at("new", backends[1])};
	const char *const next[] = {backends[1], NULL};
	struct relay *relay = relay_to(base, backends[0], PROXY_NONE, &limits);
	struct relay_settings settings = settings_of(next);
	int clients[2], accepted[2];

	(void)state;
	clients[0] = client_of(relay, NULL, NULL, "");
	accepted[0] = accept(listeners[0], NULL, NULL);
	assert_int_equal(relay_reconfigure(relay, &settings, NULL), 0);
	relay_settings_fini(&settings);
	assert_false(relay_full(relay));
	clients[1] = client_of(relay, NULL, NULL, "");
	accepted[1] = accept(listeners[1], NULL, NULL);
	assert_true(relay_full(relay));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(write(clients[i], "up", 2), 2);
		expect_read(base, accepted[i], "up");
		assert_int_equal(write(accepted[i], "down", 4), 4);
		expect_read(base, clients[i], "down");
	}
	assert_int_equal(relay_report(relay).established, 2);
	assert_true(relay_report_backend(relay, 0, &report));
	assert_string_equal(report.text, backends[1]);
	assert_int_equal(report.connections, 1);
	assert_false(relay_report_backend(relay, 1, &report));
	relay_free(relay);
	for (int i = 0; i < 2; i++) {
		close(clients[i]);
		close(accepted[i]);
		close(listeners[i]);
	}
	event_base_free(base);
}

static int make_directory(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	static const char *const names[] = {"first", "old", "new"};
	char path[128];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_skipping),
		cmocka_unit_test(test_skipping_has_an_end),
		cmocka_unit_test(test_health_is_inherited),
		cmocka_unit_test(test_first_bytes),
		cmocka_unit_test(test_reconfigure_leaves_connections_alone),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
