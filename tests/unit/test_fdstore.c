// SPDX-License-Identifier: BSD-2-Clause
// The fdstore's names and lists, without a service manager.
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

static const struct fdstore_backend store = {.add = on_add, .remove = on_remove};

static int open_null(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct fdstore *make(void)
{
	struct fdstore *fdstore = fdstore_new(&store);

	assert_non_null(fdstore);
	told[0] = '\0';
	return fdstore;
}

static void test_what_is_dropped_leaves_the_store_once_settled(void **state)
{
	struct fdstore *fdstore = make();
	int first = open_null(), second = open_null(), third = open_null();

	(void)state;
	fdstore_put(fdstore, first, "first");
	fdstore_drop(fdstore, first);
	fdstore_inherit(fdstore, "unknown", open_null());
	fdstore_settle(fdstore);
	fdstore_put(fdstore, second, "second");
	fdstore_drop(fdstore, second);
	fdstore_drop(fdstore, second);
	fdstore_put(fdstore, third, "third");
	fdstore_seal(fdstore);
	fdstore_drop(fdstore, third);
	assert_string_equal(told, "+first\n-unknown\n+second\n-second\n+third\n");
	fdstore_free(fdstore);
	close(first);
	close(second);
	close(third);
}

static void on_connection(void *context, struct fdstore_connection *connection)
{
	struct fdstore_connection *seen = context;

	while (seen->accepted.fd >= 0)
		seen++;
	*seen = *connection;
}

static void test_connections_come_back_in_their_order(void **state)
{
	struct fdstore *fdstore = make();
	struct fdstore_connection seen[20];

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		struct fdstore_connection connection = {
			.accepted.fd = open_null(),
			.accepted.service_port = (uint16_t)(8000 + i),
			.service = i ? 0xffffffff - i : 0,
			.receiver = i % 2 ? 0xfedcba9876543210 : 0,
		};

		seen[i].accepted.fd = -1;
		assert_int_equal(addr_parse("192.0.2.1", &connection.accepted.local.addr, NULL), 0);
		assert_int_equal(
			addr_parse("2001:db8::1", &connection.accepted.remote.addr, NULL), 0);
		connection.accepted.local.port = 65535;
		connection.accepted.remote.port = 1;
		fdstore_put_connection(fdstore, &connection);
		assert_int_equal(connection.accepted.fd, -1);
	}
	fdstore_take_back(fdstore);
	fdstore_visit_connections(fdstore, on_connection, seen);
	for (unsigned i = 0; i < 20; i++) {
		char text[ADDR_TEXT_SIZE];

		assert_true(seen[i].accepted.fd >= 0);
		assert_int_equal(seen[i].accepted.service_port, 8000 + i);
		assert_int_equal(seen[i].service, i ? 0xffffffff - i : 0);
		assert_true(seen[i].receiver == (i % 2 ? 0xfedcba9876543210 : 0));
		assert_string_equal(
			addr_endpoint_format(&seen[i].accepted.local, text), "192.0.2.1:65535");
		assert_string_equal(
			addr_endpoint_format(&seen[i].accepted.remote, text), "[2001:db8::1]:1");
		close(seen[i].accepted.fd);
	}
	fdstore_free(fdstore);
}

static void test_what_is_passed_is_inherited(void **state)
{
	struct fdstore *before = make(), *after = make();
	struct fdstore_connection connection = {.accepted.fd = open_null(), .service = 7};
	struct fdstore_connection seen[2] = {{.accepted.fd = -1}, {.accepted.fd = -1}};
	int kept = open_null();
	char value[32];
	struct err err;

	(void)state;
	fdstore_put(before, kept, "accept.1");
	fdstore_put_connection(before, &connection);
	assert_int_equal(fdstore_pass(before, value, &err), 0);
	assert_int_equal(fcntl(kept, F_GETFD), 0);
	setenv(FDSTORE_VARIABLE, value, 1);
	assert_int_equal(fdstore_inherit_passed(after, &err), 0);
	assert_null(getenv(FDSTORE_VARIABLE));
	assert_int_equal(fcntl(kept, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fdstore_take(after, "accept.2"), -1);
	assert_int_equal(fdstore_take(after, "accept.1"), kept);
	fdstore_visit_connections(after, on_connection, seen);
	assert_int_equal(seen[0].service, 7);
	setenv(FDSTORE_VARIABLE, "2:9", 1);
	assert_int_equal(fdstore_inherit_passed(after, &err), -EPROTO);
	assert_non_null(strstr(err.text, "another version"));
	fdstore_free(after);
	fdstore_free(before); /* closes what both have here, where the program was not replaced */
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
	struct fdstore *fdstore = make();

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		fdstore_inherit(fdstore, names[i], open_null());
	fdstore_visit_connections(
		fdstore, (void (*)(void *, struct fdstore_connection *))abort, NULL);
	fdstore_visit_inherited(fdstore, "claim.", visit_nothing, NULL);
	fdstore_settle(fdstore);
	fdstore_free(fdstore);
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
