// SPDX-License-Identifier: BSD-2-Clause
// The handover's names and lists, without a service manager.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/fdstore/fdstore.h"

static char told[16384]; /* what the store was told */

static void on_add(const char *name, int fd)
{
	(void)fd;
	strcat(strcat(strcat(told, "+"), name), "\n");
}

static void on_remove(const char *name)
{
	strcat(strcat(strcat(told, "-"), name), "\n");
}

static const struct handover_store store = {.add = on_add, .remove = on_remove};

static int open_null(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct handover *make(void)
{
	struct handover *handover = handover_new(&store);

	assert_non_null(handover);
	told[0] = '\0';
	return handover;
}

static void test_what_is_dropped_leaves_the_store_once_settled(void **state)
{
	struct handover *handover = make();
	int first = open_null(), second = open_null(), third = open_null();

	(void)state;
	handover_keep(handover, first, "first");
	handover_drop(handover, first);
	handover_inherit(handover, "unknown", open_null());
	handover_settle(handover);
	handover_keep(handover, second, "second");
	handover_drop(handover, second);
	handover_drop(handover, second);
	handover_keep(handover, third, "third");
	handover_seal(handover);
	handover_drop(handover, third);
	assert_string_equal(told, "+first\n-unknown\n+second\n-second\n+third\n");
	handover_free(handover);
	close(first);
	close(second);
	close(third);
}

static void on_connection(void *context, struct handover_connection *connection)
{
	struct handover_connection *seen = context;

	while (seen->arrival.fd >= 0)
		seen++;
	*seen = *connection;
}

static void test_connections_come_back_in_their_order(void **state)
{
	struct handover *handover = make();
	struct handover_connection seen[20];

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		struct handover_connection connection = {
			.arrival.fd = open_null(),
			.arrival.service_port = (uint16_t)(8000 + i),
			.service = i ? 0xffffffff - i : 0,
			.receiver = i % 2 ? 0xfedcba9876543210 : 0,
		};

		seen[i].arrival.fd = -1;
		assert_int_equal(addr_parse("192.0.2.1", &connection.arrival.local.addr, NULL), 0);
		assert_int_equal(
			addr_parse("2001:db8::1", &connection.arrival.remote.addr, NULL), 0);
		connection.arrival.local.port = 65535;
		connection.arrival.remote.port = 1;
		handover_give(handover, &connection);
		assert_int_equal(connection.arrival.fd, -1);
	}
	handover_take_back(handover);
	handover_connections(handover, on_connection, seen);
	for (unsigned i = 0; i < 20; i++) {
		char text[ADDR_TEXT_SIZE];

		assert_true(seen[i].arrival.fd >= 0);
		assert_int_equal(seen[i].arrival.service_port, 8000 + i);
		assert_int_equal(seen[i].service, i ? 0xffffffff - i : 0);
		assert_true(seen[i].receiver == (i % 2 ? 0xfedcba9876543210 : 0));
		assert_string_equal(
			addr_endpoint_format(&seen[i].arrival.local, text), "192.0.2.1:65535");
		assert_string_equal(
			addr_endpoint_format(&seen[i].arrival.remote, text), "[2001:db8::1]:1");
		close(seen[i].arrival.fd);
	}
	handover_free(handover);
}

static void test_what_is_passed_is_inherited(void **state)
{
	struct handover *before = make(), *after = make();
	struct handover_connection connection = {.arrival.fd = open_null(), .service = 7};
	struct handover_connection seen[2] = {{.arrival.fd = -1}, {.arrival.fd = -1}};
	int kept = open_null();
	char value[32];
	struct err err;

	(void)state;
	handover_keep(before, kept, "accept.1");
	handover_give(before, &connection);
	assert_int_equal(handover_pass(before, value, &err), 0);
	assert_int_equal(fcntl(kept, F_GETFD), 0);
	setenv(HANDOVER_VARIABLE, value, 1);
	assert_int_equal(handover_inherit_passed(after, &err), 0);
	assert_null(getenv(HANDOVER_VARIABLE));
	assert_int_equal(fcntl(kept, F_GETFD), FD_CLOEXEC);
	assert_int_equal(handover_take(after, "accept.2"), -1);
	assert_int_equal(handover_take(after, "accept.1"), kept);
	handover_connections(after, on_connection, seen);
	assert_int_equal(seen[0].service, 7);
	setenv(HANDOVER_VARIABLE, "2:9", 1);
	assert_int_equal(handover_inherit_passed(after, &err), -EPROTO);
	assert_non_null(strstr(err.text, "another version"));
	handover_free(after);
	handover_free(before); /* closes what both have here, where the program was not replaced */
	close(kept);
}

static void visit_nothing(void *context, const char *name, int *fd)
{
	(void)context;
	(void)name;
	(void)fd;
	fail();
}

static void test_names_that_mean_nothing_are_let_go_of(void **state)
{
	static const char *const names[] = {
		"c.", "c.1.2.3", "c.000000.00000000.0000.zz.zz.0", "", "stored"};
	struct handover *handover = make();

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		handover_inherit(handover, names[i], open_null());
	handover_connections(handover, (void (*)(void *, struct handover_connection *))abort, NULL);
	handover_visit(handover, "claim.", visit_nothing, NULL);
	handover_settle(handover);
	handover_free(handover);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_dropped_leaves_the_store_once_settled),
		cmocka_unit_test(test_connections_come_back_in_their_order),
		cmocka_unit_test(test_what_is_passed_is_inherited),
		cmocka_unit_test(test_names_that_mean_nothing_are_let_go_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
