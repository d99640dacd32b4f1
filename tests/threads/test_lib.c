// SPDX-License-Identifier: BSD-2-Clause
// What socketbox.h promises to programs with threads; ThreadSanitizer watches in `make
// sanitize-threads`.
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>

#include "socketbox.h"
#include "tests/threads/crowd.h"

#define EACH 50

static char directory[] = "/tmp/socketbox-threads-XXXXXX";
static int receiver, sender;
static atomic_uint received;

static void give_many(unsigned number)
{
	(void)number;
	for (int i = 0; i < EACH; i++) {
		int pair[2];

		REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
		REQUIRE(!socketbox_send_to(sender, pair[1], 10000));
		close(pair[1]);
		REQUIRE(write(pair[0], "x", 1) == 1);
		close(pair[0]);
	}
}

static void take_many(unsigned number)
{
	(void)number;
	for (int i = 0; i < EACH; i++) {
		int connection = socketbox_receive(receiver, 0);
		char byte = 0;

		REQUIRE(connection >= 0 && read(connection, &byte, 1) == 1 && byte == 'x');
		close(connection);
		atomic_fetch_add(&received, 1);
	}
}

static void test_one_channel_of_many_threads(void **state)
{
	void (*const functions[])(unsigned) = {give_many, take_many};
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/shared", directory);
	receiver = socketbox_receiver_open(path, 0600);
	assert_true(receiver >= 0);
	sender = socketbox_sender_open(path);
	assert_true(sender >= 0);
	crowd_run(functions, 2);
	assert_int_equal(received, CROWD * EACH);
	close(sender);
	close(receiver);
	unlink(path);
}

/* All at one path: one has it, the others are refused. */
static void open_same(unsigned number)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/contended", directory);
	fd = socketbox_receiver_open(path, 0600);
	REQUIRE(fd >= 0 || fd == -EADDRINUSE);
	if (fd < 0)
		return;
	atomic_fetch_add(&received, 1);
	(void)number;
}

static void open_own(unsigned number)
{
	for (int i = 0; i < EACH; i++) {
		char path[64];
		int pair[2], fd, connection;

		snprintf(path, sizeof(path), "%s/own%u", directory, number);
		fd = socketbox_receiver_open(path, 0600);
		REQUIRE(fd >= 0 && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
		REQUIRE(!socketbox_send(path, pair[1], 1000));
		connection = socketbox_receive(fd, SOCK_NONBLOCK);
		REQUIRE(connection >= 0);
		close(connection);
		close(pair[0]);
		close(pair[1]);
		close(fd);
		unlink(path);
	}
}

static void test_receivers_of_many_threads(void **state)
{
	void (*const functions[])(unsigned) = {open_own, open_same};
	char path[64];

	(void)state;
	received = 0;
	crowd_run(functions, 2);
	assert_int_equal(received, 1);
	snprintf(path, sizeof(path), "%s/contended", directory);
	unlink(path);
}

static void use_own_object(unsigned number)
{
	struct sockaddr_storage address = {.ss_family = AF_INET};
	struct socketbox *box = socketbox_new("blog", number % 2 ? "/nonexistent/control" : NULL);

	REQUIRE(box && socketbox_connect(box) == -EPIPE);
	REQUIRE(socketbox_claim(box, SOCK_STREAM, (struct sockaddr *)&address, sizeof(address),
			0) == -ENOTCONN);
	REQUIRE(strstr(socketbox_error(box), "socketbox_connect") && socketbox_fd(box) < 0);
	socketbox_free(box);
}

static void test_an_object_of_each_thread(void **state)
{
	void (*const functions[])(unsigned) = {use_own_object};

	(void)state;
	crowd_run(functions, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_channel_of_many_threads),
		cmocka_unit_test(test_receivers_of_many_threads),
		cmocka_unit_test(test_an_object_of_each_thread),
	};
	int failed;

	REQUIRE(mkdtemp(directory) && !setenv("SOCKETBOX_CONTROL", "/nonexistent/other", 1));
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(directory);
	return failed;
}
