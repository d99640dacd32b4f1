// SPDX-License-Identifier: BSD-2-Clause
// The preload library's parts that need no program: names, options, ports in paths.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "common/handoff_message.h"
#include "preload/listener_state.h"
#include "preload/name.h"

static struct name example(int family, const char *address, uint16_t port)
{
	struct name name = {.family = family,
		.v6only = family == AF_INET6,
		.endpoint.port = port,
		.process = 4194303,
		.fd = 70000};

	assert_int_equal(addr_parse(address, &name.endpoint.addr, NULL), 0);
	return name;
}

static void check_round_trip(const struct name *name, const char *path)
{
	struct sockaddr_un address;
	struct name back;

	assert_int_equal(name_encode(name, path, &address), 0);
	assert_true(name_decode(&address, sizeof(address), &back));
	assert_int_equal(back.family, name->family);
	assert_int_equal(back.v6only, name->v6only);
	assert_int_equal(back.reuseport, name->reuseport);
	assert_int_equal(back.endpoint.port, name->endpoint.port);
	assert_true(addr_equal(&back.endpoint.addr, &name->endpoint.addr));
	assert_int_equal(back.process, name->process);
	assert_int_equal(back.fd, name->fd);
}

static void test_names_come_back(void **state)
{
	struct name v6 = example(AF_INET6, "fe8f::2:ffff:fe01", 65535);
	struct name v4 = example(AF_INET, "255.254.253.252", 1);

	(void)state;
	v4.reuseport = true;
	check_round_trip(&v6, "/run/socketbox/mail.sock");
	check_round_trip(&v4, "relative.sock");
	check_round_trip(&v4, "/root.sock");
}

static void test_a_name_is_beside_the_path(void **state)
{
	struct name name = example(AF_INET, "0.0.0.0", 80);
	struct sockaddr_un address;
	char path[120];

	(void)state;
	assert_int_equal(name_encode(&name, "/run/a/b.sock", &address), 0);
	assert_int_equal(strncmp(address.sun_path, "/run/a/.sb-", 11), 0);
	assert_int_equal(strlen(address.sun_path), 11 + 36);
	assert_int_equal(name_encode(&name, "c.sock", &address), 0);
	assert_int_equal(strncmp(address.sun_path, "./.sb-", 6), 0);
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	strcpy(path + 66, "/s");
	assert_int_equal(name_encode(&name, path, &address), 0);
	strcpy(path + 67, "/s");
	path[66] = 'x';
	assert_int_equal(name_encode(&name, path, &address), -ENAMETOOLONG);
}

static void test_other_names_are_none(void **state)
{
	struct name name = example(AF_INET6, "::", 80), back;
	struct sockaddr_un address;
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	(void)state;
	assert_int_equal(name_encode(&name, "/s", &address), 0);
	address.sun_path[8] = '=';
	assert_false(name_decode(&address, sizeof(address), &back));
	assert_int_equal(name_encode(&name, "/s", &address), 0);
	address.sun_path[5] = 'A'; /* another mark */
	assert_false(name_decode(&address, sizeof(address), &back));
	assert_int_equal(name_encode(&name, "/s", &address), 0);
	assert_false(name_decode(&address, offsetof(struct sockaddr_un, sun_path) + 20, &back));
	assert_false(name_decode(&address, sizeof(sa_family_t), &back));
	memset(address.sun_path, '/', sizeof(address.sun_path));
	assert_false(name_decode(&address, sizeof(address), &back));
	assert_false(name_decode((struct sockaddr_un *)&v6, sizeof(v6), &back));
}

static int number(int fd, int level, int name)
{
	int value = -1;
	socklen_t length = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &length), 0);
	return value;
}

static void test_options_are_kept_by_the_kernel(void **state)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct state kept = {0}, back;
	int one = 1, idle = 77, defer = 5;

	(void)state;
	assert_false(state_read(fd, &back));
	assert_int_equal(back.used, 0);
	assert_true(state_set(&kept, IPPROTO_TCP, TCP_KEEPIDLE, &one, sizeof(one)));
	assert_true(state_set(&kept, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
	assert_true(state_set(&kept, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)));
	assert_true(state_set(&kept, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer, sizeof(defer)));
	assert_true(state_set(&kept, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	assert_int_equal(kept.used, 8);
	kept.listening = true;
	assert_true(state_write(fd, &kept));
	assert_true(state_read(fd, &back));
	assert_true(back.listening);
	assert_int_equal(back.used, kept.used);
	assert_memory_equal(back.words, kept.words, kept.used * sizeof(*kept.words));

	state_apply(&back, tcp);
	assert_int_equal(number(tcp, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(number(tcp, IPPROTO_TCP, TCP_KEEPIDLE), 77);
	assert_int_equal(number(tcp, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0); /* a listener's own */
	assert_true(state_apply_one(&back, tcp, IPPROTO_TCP, TCP_DEFER_ACCEPT));
	assert_true(number(tcp, IPPROTO_TCP, TCP_DEFER_ACCEPT) > 0);
	assert_false(state_apply_one(&back, tcp, IPPROTO_TCP, TCP_MAXSEG));
	close(fd);
	close(tcp);
}

/* A filter that begins like ours and holds an option whose end is not there. */
static void test_filters_of_others_are_none(void **state)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct state kept = {.used = 2, .words = {IPPROTO_TCP << 24 | TCP_NODELAY << 8 | 9, 1}};
	struct state back;

	(void)state;
	assert_true(state_write(fd, &kept));
	assert_false(state_read(fd, &back));
	assert_false(back.listening);
	assert_int_equal(back.used, 0);
	close(fd);
}

static void test_room_for_options_ends(void **state)
{
	struct state kept = {0};
	char data[STATE_MOST_DATA + 1] = {0};
	int count = 0;

	(void)state;
	assert_false(state_set(&kept, SOL_SOCKET, 1, data, sizeof(data)));
	assert_false(state_set(&kept, SOL_SOCKET, 0x10000, data, 4));
	assert_false(state_set(&kept, -1, 1, data, 4));
	while (count < 1000 && state_set(&kept, SOL_SOCKET, count, data, STATE_MOST_DATA))
		count++;
	assert_int_equal(count, STATE_MOST_WORDS / 5);
	assert_true(state_set(&kept, SOL_SOCKET, 0, data, STATE_MOST_DATA)); /* instead of itself */
}

static void test_takes_over_what_differs(void **state)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int listener = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct state kept = {0};
	struct timeval timeout = {.tv_sec = 3};
	int one = 1;

	(void)state;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	state_take_over(&kept, fd, listener);
	assert_int_equal(kept.used, 2 + 1 + sizeof(timeout) / 4);
	assert_int_equal(number(listener, SOL_SOCKET, SO_KEEPALIVE), 1);
	close(fd);
	close(listener);
}

static void test_port_in_a_path(void **state)
{
	char path[] = "/run/x-_@SB_.sock", twice[] = "_@SB__@SB_", none[] = "/run/x",
	     half[] = "_@SB";
	char abstract[] = "\0a_@SB_";

	(void)state;
	handoff_fill_port(path, strlen(path), 80);
	assert_string_equal(path, "/run/x-00080.sock");
	handoff_fill_port(twice, strlen(twice), 65535);
	assert_string_equal(twice, "65535_@SB_");
	handoff_fill_port(none, strlen(none), 1);
	assert_string_equal(none, "/run/x");
	handoff_fill_port(half, strlen(half), 1);
	assert_string_equal(half, "_@SB");
	handoff_fill_port(abstract, sizeof(abstract), 443);
	assert_string_equal(abstract + 1, "a00443");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_come_back),
		cmocka_unit_test(test_a_name_is_beside_the_path),
		cmocka_unit_test(test_other_names_are_none),
		cmocka_unit_test(test_options_are_kept_by_the_kernel),
		cmocka_unit_test(test_filters_of_others_are_none),
		cmocka_unit_test(test_room_for_options_ends),
		cmocka_unit_test(test_takes_over_what_differs),
		cmocka_unit_test(test_port_in_a_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
