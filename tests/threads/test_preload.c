// SPDX-License-Identifier: BSD-2-Clause
// The preload library's functions in several threads at once, linked in front of libc's;
// ThreadSanitizer watches in `make sanitize-threads`.
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "common/handoff_message.h"
#include "preload/preload_settings.h"
#include "tests/threads/crowd.h"

#define EACH 50

static char directory[] = "/tmp/socketbox-threads-XXXXXX";
static struct sockaddr_in6 shared_address;
static int listener;
static atomic_uint accepted;

/* fe8f::2:0:Y port 80 is at $SKBOX_DIRECTORY_ROOT2/00000/0000Y_00080. */
static struct sockaddr_in6 virtual(unsigned number)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(80)};

	address.sin6_addr.s6_addr[0] = 0xfe;
	address.sin6_addr.s6_addr[1] = 0x8f;
	address.sin6_addr.s6_addr[11] = 2;
	address.sin6_addr.s6_addr[15] = (uint8_t)number;
	return address;
}

static int open_listener(unsigned number)
{
	struct sockaddr_in6 address = virtual(number);
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	REQUIRE(fd >= 0 && !bind(fd, (struct sockaddr *)&address, sizeof(address)));
	REQUIRE(!listen(fd, 10));
	return fd;
}

static void file_of(unsigned number, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address->sun_path, sizeof(address->sun_path), "%s/00000/%05u_00080", directory,
		number);
}

static void send_one(unsigned number)
{
	struct sockaddr_un address;
	int pair[2], channel = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	file_of(number, &address);
	REQUIRE(channel >= 0 && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	REQUIRE(!connect(channel, (struct sockaddr *)&address, sizeof(address)));
	REQUIRE(!handoff_send(channel, pair[1], 0));
	close(channel);
	close(pair[0]);
	close(pair[1]);
}

static void check_name(int fd, const struct sockaddr_in6 *expected)
{
	struct sockaddr_in6 name = {0};
	socklen_t length = sizeof(name);

	REQUIRE(!getsockname(fd, (struct sockaddr *)&name, &length) && length == sizeof(name));
	REQUIRE(name.sin6_port == expected->sin6_port &&
		!memcmp(&name.sin6_addr, &expected->sin6_addr, sizeof(name.sin6_addr)));
}

static void send_many(unsigned number)
{
	(void)number;
	for (int i = 0; i < EACH; i++)
		send_one(0);
}

static void accept_many(unsigned number)
{
	for (int i = 0; i < EACH; i++) {
		struct sockaddr_storage peer;
		socklen_t length = sizeof(peer);
		int fd = number % 2 ? accept4(listener, NULL, NULL, SOCK_CLOEXEC)
				    : accept(listener, (struct sockaddr *)&peer, &length);

		REQUIRE(fd >= 0);
		close(fd);
		atomic_fetch_add(&accepted, 1);
	}
}

/* The listener's state is read and written while others accept by it. */
static void set_and_ask(unsigned number)
{
	for (int i = 0; i < EACH; i++) {
		int value = (int)number + 1, got = 0;
		socklen_t length = sizeof(got);

		REQUIRE(!setsockopt(listener, IPPROTO_TCP, TCP_KEEPIDLE, &value, sizeof(value)));
		REQUIRE(!getsockopt(listener, IPPROTO_TCP, TCP_KEEPIDLE, &got, &length));
		REQUIRE(got >= 1 && got <= CROWD);
		REQUIRE(!getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &got, &length) && got);
		check_name(listener, &shared_address);
	}
}

static void test_one_listener_of_many_threads(void **state)
{
	void (*const functions[])(unsigned) = {send_many, accept_many, set_and_ask};
	struct sockaddr_un file;

	(void)state;
	shared_address = virtual(0);
	listener = open_listener(0);
	crowd_run(functions, 3);
	assert_int_equal(accepted, CROWD * EACH);
	close(listener);
	file_of(0, &file);
	unlink(file.sun_path);
}

static void serve_own(unsigned number)
{
	struct sockaddr_in6 address = virtual(1 + number);
	struct sockaddr_un file;

	file_of(1 + number, &file);
	for (int i = 0; i < EACH; i++) {
		int fd = open_listener(1 + number), connection;

		check_name(fd, &address);
		send_one(1 + number);
		connection = accept(fd, NULL, NULL);
		REQUIRE(connection >= 0);
		close(connection);
		close(fd);
	}
	unlink(file.sun_path);
}

static void test_a_listener_of_each_thread(void **state)
{
	void (*const functions[])(unsigned) = {serve_own};

	(void)state;
	crowd_run(functions, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_listener_of_many_threads),
		cmocka_unit_test(test_a_listener_of_each_thread),
	};
	char inner[64];
	int failed;

	REQUIRE(mkdtemp(directory) && !setenv("SKBOX_DIRECTORY_ROOT2", directory, 1));
	snprintf(inner, sizeof(inner), "%s/00000", directory);
	REQUIRE(!mkdir(inner, 0700));
	settings_load();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(inner);
	rmdir(directory);
	return failed;
}
