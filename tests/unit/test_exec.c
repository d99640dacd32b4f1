// SPDX-License-Identifier: BSD-2-Clause
// Who may have a process and when, with a clock of the test's own; and what settings may say.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/cgroup.h"
#include "exec/environment.h"
#include "exec/exec_settings.h"
#include "exec/quota.h"
#include "exec/values.h"

#define SECOND 1000000000ull

static struct quota_source source_of(const char *address)
{
	struct quota_source source = {.is_ip = true};

	assert_int_equal(addr_parse(address, &source.addr, NULL), 0);
	return source;
}

static void set(struct exec_settings *settings, const char *key, const char *text)
{
	struct err err;

	if (exec_key_find(key)->set(settings, text, &err))
		fail_msg("%s: %s: %s", key, text, err.text);
}

/* Settings with these "key", "value" pairs. */
static struct exec_settings *settings_of(const char *const *pairs)
{
	struct exec_settings *settings = exec_settings_new();

	for (; *pairs; pairs += 2)
		set(settings, pairs[0], pairs[1]);
	return settings;
}

#define SETTINGS(...) settings_of((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static struct quota_count *enter(struct quota *quota, const char *address, uint64_t now)
{
	struct quota_source source = source_of(address);
	struct quota_count *kept = NULL;

	assert_int_equal(quota_enter(quota, &source, now, &kept), 0);
	return kept;
}

static enum exec_reason judge(const struct quota *quota, const char *address)
{
	struct quota_source source = source_of(address);

	return quota_check(quota, &source);
}

static void instances_count_what_runs(void **state)
{
	struct exec_settings *settings = SETTINGS("instances", "2");
	struct quota_count *one, *two;
	struct quota quota;
	uint64_t wait;

	(void)state;
	quota_init(&quota, &settings->bounds, 1);
	one = enter(&quota, "192.0.2.1", 0);
	assert_int_equal(quota_full(&quota, 0, &wait), EXEC_ALLOWED);
	two = enter(&quota, "192.0.2.1", 0);
	assert_int_equal(quota_full(&quota, 0, &wait), EXEC_BY_INSTANCES);
	assert_true(wait == QUOTA_FOREVER);
	quota_leave(&quota, one);
	assert_int_equal(quota_full(&quota, 0, &wait), EXEC_ALLOWED);
	quota_leave(&quota, two);
	assert_int_equal(quota.running, 0);
	quota_fini(&quota);
	exec_settings_free(settings);
}

static void rate_is_even_after_a_burst(void **state)
{
	struct exec_settings *settings = SETTINGS("rate", "10/s burst 3");
	struct quota_count *kept[16];
	struct quota quota;
	unsigned started = 0;
	uint64_t wait, now = 1000 * SECOND;

	(void)state;
	quota_init(&quota, &settings->bounds, 1);
	while (!quota_full(&quota, now, &wait))
		kept[started++] = enter(&quota, "192.0.2.1", now);
	assert_int_equal(started, 3);
	assert_int_equal(quota_full(&quota, now, &wait), EXEC_BY_RATE);
	assert_true(wait == SECOND / 10);
	assert_int_equal(quota_full(&quota, now + wait - 1, &wait), EXEC_BY_RATE);
	assert_true(wait == 1);
	now += SECOND / 10;
	assert_int_equal(quota_full(&quota, now, &wait), EXEC_ALLOWED);
	kept[started++] = enter(&quota, "192.0.2.1", now);
	assert_int_equal(quota_full(&quota, now, &wait), EXEC_BY_RATE);
	/* However long nothing came, no more than the burst is saved up. */
	now += 3600 * SECOND;
	while (!quota_full(&quota, now, &wait))
		kept[started++] = enter(&quota, "192.0.2.1", now);
	assert_int_equal(started, 7);
	while (started)
		quota_leave(&quota, kept[--started]);
	quota_fini(&quota);
	exec_settings_free(settings);
}

static void sources_are_counted_apart(void **state)
{
	struct exec_settings *settings = SETTINGS("per-source", "1/64");
	struct quota_source user = {.uid = 1000}, other = {.uid = 1001};
	struct quota_count *v4, *v6, *local;
	struct quota quota;

	(void)state;
	quota_init(&quota, &settings->bounds, 1);
	v4 = enter(&quota, "192.0.2.1", 0);
	v6 = enter(&quota, "2001:db8::1", 0);
	assert_int_equal(judge(&quota, "192.0.2.1"), EXEC_BY_SOURCE);
	assert_int_equal(judge(&quota, "192.0.2.2"), EXEC_ALLOWED);
	assert_int_equal(judge(&quota, "2001:db8::ffff:1"), EXEC_BY_SOURCE);
	assert_int_equal(judge(&quota, "2001:db8:0:1::1"), EXEC_ALLOWED);
	assert_int_equal(quota_check(&quota, &user), EXEC_ALLOWED);
	assert_int_equal(quota_enter(&quota, &user, 0, &local), 0);
	assert_int_equal(quota_check(&quota, &user), EXEC_BY_SOURCE);
	assert_int_equal(quota_check(&quota, &other), EXEC_ALLOWED);
	quota_leave(&quota, v4);
	assert_int_equal(judge(&quota, "192.0.2.1"), EXEC_ALLOWED);
	quota_leave(&quota, v6);
	quota_leave(&quota, local);
	assert_int_equal(quota.sources, 0);
	quota_fini(&quota);
	exec_settings_free(settings);
}

/* Counts find their way back though the bounds, and with them the keys, have changed meanwhile. */
static void bounds_may_change_while_programs_run(void **state)
{
	struct exec_settings *before = SETTINGS("per-source", "5/64"),
			     *after = SETTINGS("per-source", "1");
	struct quota_count *kept[3];
	struct quota quota;

	(void)state;
	quota_init(&quota, &before->bounds, 1);
	kept[0] = enter(&quota, "2001:db8::1", 0);
	kept[1] = enter(&quota, "2001:db8::2", 0);
	quota_set(&quota, &after->bounds);
	kept[2] = enter(&quota, "2001:db8::1", 0);
	assert_int_equal(judge(&quota, "2001:db8::1"), EXEC_BY_SOURCE);
	for (int i = 0; i < 3; i++)
		quota_leave(&quota, kept[i]);
	assert_int_equal(quota.running, 0);
	assert_int_equal(quota.sources, 0);
	quota_fini(&quota);
	exec_settings_free(before);
	exec_settings_free(after);
}

static void thousands_of_sources(void **state)
{
	struct exec_settings *settings = SETTINGS("per-source", "1", "instances", "unlimited");
	static struct quota_count *kept[5000];
	struct quota quota;
	char text[32];

	(void)state;
	quota_init(&quota, &settings->bounds, 42);
	for (int i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "10.0.%d.%d", i / 250, i % 250);
		assert_int_equal(judge(&quota, text), EXEC_ALLOWED);
		kept[i] = enter(&quota, text, 0);
		assert_int_equal(judge(&quota, text), EXEC_BY_SOURCE);
	}
	for (int i = 0; i < 5000; i += 2)
		quota_leave(&quota, kept[i]);
	for (int i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "10.0.%d.%d", i / 250, i % 250);
		assert_int_equal(judge(&quota, text), i % 2 ? EXEC_BY_SOURCE : EXEC_ALLOWED);
	}
	for (int i = 1; i < 5000; i += 2)
		quota_leave(&quota, kept[i]);
	assert_int_equal(quota.sources, 0);
	quota_fini(&quota);
	exec_settings_free(settings);
}

static void the_longest_prefix_decides(void **state)
{
	struct exec_settings *settings =
		SETTINGS("allow-from", "192.0.2.0/24", "deny-from", "192.0.2.128/25", "allow-from",
			"192.0.2.200", "deny-from", "192.0.2.200", "allow-from", "192.0.2.201");
	struct exec_settings *denying = SETTINGS("deny-from", "2001:db8::/32");
	struct quota_source user = {.uid = 0};
	struct quota quota;

	(void)state;
	quota_init(&quota, &settings->bounds, 1);
	assert_int_equal(judge(&quota, "192.0.2.1"), EXEC_ALLOWED);
	assert_int_equal(judge(&quota, "192.0.2.129"), EXEC_BY_ADDRESS);
	assert_int_equal(judge(&quota, "192.0.2.200"), EXEC_BY_ADDRESS);
	assert_int_equal(judge(&quota, "192.0.2.201"), EXEC_ALLOWED);
	assert_int_equal(judge(&quota, "192.0.3.1"), EXEC_BY_ADDRESS);
	assert_int_equal(judge(&quota, "2001:db8::1"), EXEC_BY_ADDRESS);
	assert_int_equal(quota_check(&quota, &user), EXEC_BY_ADDRESS);
	quota_set(&quota, &denying->bounds);
	assert_int_equal(judge(&quota, "2001:db8::1"), EXEC_BY_ADDRESS);
	assert_int_equal(judge(&quota, "192.0.2.1"), EXEC_ALLOWED);
	assert_int_equal(quota_check(&quota, &user), EXEC_ALLOWED);
	quota_fini(&quota);
	exec_settings_free(settings);
	exec_settings_free(denying);
}

static void values_are_read_whole(void **state)
{
	static const struct {
		const char *key, *good[6], *bad[8];
	} cases[] = {
		{"instances", {"1", "1000000", "unlimited"},
			{"0", "-1", "1000001", "1x", "", "99999999999999999999"}},
		{"per-source", {"3", "3/64", "3/128"}, {"3/", "3/0", "3/129", "/64"}},
		{"rate", {"50/s", "1/m", "7/h", "50/s burst 200"},
			{"50", "0/s", "50/d", "50/s burst", "50/s burst 0", "50/sx", "1000001/s"}},
		{"nice", {"-20", "0", "19"}, {"20", "-21", "", "+1", "1.5"}},
		{"umask", {"0", "027", "777"}, {"8", "1000", "-1", ""}},
		{"max-time", {"0", "1ms", "7d", "90s"}, {"1", "8d", "s", "1w", "-1s"}},
		{"kill-signal", {"TERM", "SIGHUP", "9"}, {"0", "65", "term", "SIG", ""}},
		{"rlimit", {"nofile=1", "as=1K:2G", "core=0:unlimited", "stack=unlimited"},
			{"nofile", "nofile=", "=1", "nofiles=1", "nofile=2:1", "nofile=1:", "as=1X",
				"as=2000000T"}},
		{"env", {"A=", "A=b=c"}, {"A", "=b", ""}},
		{"chdir", {"/", "/a b"}, {"a", "", "./a"}},
		{"allow-from", {"192.0.2.0/24", "::/0"}, {"192.0.2.1/24", "example.org", ""}},
		{"stderr", {"log", "socket", "null"}, {"", "Log", "file"}},
		{"wait", {"true", "false"}, {"yes", ""}},
	};
	struct err err;

	(void)state;
	for (size_t c = 0; c < sizeof(cases) / sizeof(*cases); c++) {
		const struct exec_key *key = exec_key_find(cases[c].key);
		struct exec_settings *settings = exec_settings_new();

		assert_non_null(key);
		for (size_t i = 0; i < 6 && cases[c].good[i]; i++) {
			if (key->set(settings, cases[c].good[i], &err))
				fail_msg("%s: %s", key->name, err.text);
		}
		for (size_t i = 0; i < 8 && cases[c].bad[i]; i++) {
			if (key->set(settings, cases[c].bad[i], &err) != -EINVAL)
				fail_msg("%s: '%s' is taken", key->name, cases[c].bad[i]);
		}
		exec_settings_free(settings);
	}
}

static const char *value_in(const struct exec_words *environment, const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < environment->count; i++) {
		if (!strncmp(environment->list[i], name, length) &&
			environment->list[i][length] == '=')
			return environment->list[i] + length + 1;
	}
	return NULL;
}

static void environment_of_a_listener(void **state)
{
	static const char *const own[] = {"A=own", "B=own", "LISTEN_PID=1", "PROTO=old", NULL};
	struct exec_settings *settings =
		SETTINGS("command", "x", "env", "B=set", "env", "LISTEN_PID=7", "pass-env", "all");
	struct environment_of of = {.udp = true, .name = "dns"};
	struct exec_words out = {0};
	char *pid_text;

	(void)state;
	assert_int_equal(environment_make(settings, &of, (char *const *)own, &out, &pid_text), 0);
	assert_string_equal(value_in(&out, "A"), "own");
	assert_string_equal(value_in(&out, "B"), "set");
	assert_string_equal(value_in(&out, "PROTO"), "UDP");
	assert_string_equal(value_in(&out, "LISTEN_FDS"), "1");
	assert_string_equal(value_in(&out, "LISTEN_FDNAMES"), "dns");
	assert_ptr_equal(value_in(&out, "LISTEN_PID"), pid_text);
	assert_int_equal(strlen(pid_text), 10);
	environment_free(&out);
	exec_settings_free(settings);
}

/* Both layouts: one hierarchy, and one beside the older ones. */
static void cgroup_mount_is_found(void **state)
{
	static const struct {
		const char *mounts, *path;
	} cases[] = {
		{"cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n", "/sys/fs/cgroup"},
		{"proc /proc proc rw 0 0\ntmpfs /sys/fs/cgroup tmpfs ro 0 0\n"
		 "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n",
			"/sys/fs/cgroup/unified"},
		{"cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n", NULL},
		{"c /a\\040b cgroup2 rw 0 0\n", "/a b"},
	};
	char path[64];

	(void)state;
	for (size_t c = 0; c < sizeof(cases) / sizeof(*cases); c++) {
		FILE *mounts = fmemopen((void *)cases[c].mounts, strlen(cases[c].mounts), "r");
		int result = cgroup_find(mounts, path, sizeof(path));

		fclose(mounts);
		assert_int_equal(result, cases[c].path ? 0 : -ENOENT);
		if (cases[c].path)
			assert_string_equal(path, cases[c].path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(instances_count_what_runs),
		cmocka_unit_test(rate_is_even_after_a_burst),
		cmocka_unit_test(sources_are_counted_apart),
		cmocka_unit_test(bounds_may_change_while_programs_run),
		cmocka_unit_test(thousands_of_sources),
		cmocka_unit_test(the_longest_prefix_decides),
		cmocka_unit_test(values_are_read_whole),
		cmocka_unit_test(environment_of_a_listener),
		cmocka_unit_test(cgroup_mount_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
