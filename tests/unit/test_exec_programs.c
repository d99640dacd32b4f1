// SPDX-License-Identifier: BSD-2-Clause
// The life of an exec handle with real programs: turns, room, new settings, retirement, the end.
// What programs have and how limits answer is for the tests of socketbox inetd.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec/exec.h"

#define PATIENCE_MS 20000

static struct event_base *base;
static char log_text[8192];
static unsigned rooms, ends;

static void on_log(void *context, int priority, const char *text)
{
	size_t used = strlen(log_text);

	(void)context, (void)priority;
	snprintf(log_text + used, sizeof(log_text) - used, "%s\n", text);
}

static void on_ready(void *context)
{
	(void)context;
	rooms++;
}

static void on_ended(void *context)
{
	(void)context;
	ends++;
}

static struct exec_settings *settings_for(const char *script, const char *key, const char *value)
{
	struct exec_settings *settings = exec_settings_new();
	const char *const pairs[][2] = {
		{"command", "/bin/sh"}, {"command", "-c"}, {"command", script}, {key, value}};
	struct err err;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs) && pairs[i][0]; i++) {
		if (exec_key_find(pairs[i][0])->set(settings, pairs[i][1], &err))
			fail_msg("%s", err.text);
	}
	assert_int_equal(exec_settings_finish(settings, &err), 0);
	return settings;
}

static struct exec *new_exec(const struct exec_settings *settings)
{
	const struct exec_options options = {
		.base = base,
		.name = "test",
		.log = on_log,
		.ready = on_ready,
		.ended = on_ended,
	};
	struct exec *exec = NULL;
	struct err err;

	log_text[0] = '\0';
	rooms = ends = 0;
	if (exec_new(&options, settings, &exec, &err))
		fail_msg("%s", err.text);
	return exec;
}

/* Hands a connection over and returns the client's end. */
static int connect_to(struct exec *exec)
{
	int ends_of_pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_of_pair), 0);
	exec_take(exec, ends_of_pair[1], NULL, NULL);
	return ends_of_pair[0];
}

static void turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
	usleep(2000);
}

static void wait_for_ends(unsigned count)
{
	for (int i = 0; ends < count && i < PATIENCE_MS / 2; i++)
		turn();
	assert_int_equal(ends, count);
}

static void wait_for_log(const char *text)
{
	for (int i = 0; !strstr(log_text, text) && i < PATIENCE_MS / 2; i++)
		turn();
	if (!strstr(log_text, text))
		fail_msg("'%s' is not in\n%s", text, log_text);
}

static struct exec_report report_of(const struct exec *exec)
{
	struct exec_report report;

	exec_get_report(exec, &report);
	return report;
}

/* Nobody's child is left, running or as a zombie. */
static void assert_childless(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void connections_wait_and_room_is_told(void **state)
{
	struct exec_settings *settings = settings_for("read x; exit 0", "instances", "1");
	struct exec *exec = new_exec(settings);
	int first, second;

	(void)state;
	assert_false(exec_full(exec));
	first = connect_to(exec);
	assert_true(exec_full(exec));
	second = connect_to(exec);
	assert_int_equal(report_of(exec).running, 1);
	assert_int_equal(report_of(exec).waiting, 1);
	turn();
	assert_int_equal(rooms, 0);
	close(first);
	wait_for_ends(1);
	assert_int_equal(report_of(exec).running, 1);
	assert_int_equal(report_of(exec).waiting, 0);
	assert_int_equal(rooms, 0);
	close(second);
	wait_for_ends(2);
	assert_int_equal(rooms, 1);
	assert_false(exec_full(exec));
	assert_int_equal(report_of(exec).started, 2);
	assert_int_equal(report_of(exec).ended, 2);
	exec_free(exec);
	exec_settings_free(settings);
	assert_childless();
}

static void new_settings_count_at_once(void **state)
{
	struct exec_settings *before = settings_for("read x", "instances", "1");
	struct exec_settings *after = settings_for("echo new; read x", "instances", "2");
	struct exec *exec = new_exec(before);
	int first = connect_to(exec), second = connect_to(exec), third;
	char text[8] = "";

	(void)state;
	assert_true(exec_full(exec));
	exec_reconfigure(exec, after);
	exec_settings_free(before);
	assert_int_equal(report_of(exec).running, 2);
	assert_int_equal(read(second, text, sizeof(text) - 1), 4);
	assert_string_equal(text, "new\n");
	third = connect_to(exec);
	assert_int_equal(report_of(exec).waiting, 1);
	close(first);
	close(second);
	close(third);
	wait_for_ends(3);
	exec_free(exec);
	exec_settings_free(after);
	assert_childless();
}

static void failures_leave_no_count(void **state)
{
	struct exec_settings *settings = settings_for("", "chdir", "/nonexistent");
	struct exec *exec = new_exec(settings);
	char byte;

	(void)state;
	for (int i = 0; i < 50; i++) {
		int client = connect_to(exec);

		assert_int_equal(read(client, &byte, 1), 0);
		close(client);
	}
	assert_int_equal(report_of(exec).failed, 50);
	assert_int_equal(report_of(exec).running, 0);
	assert_int_equal(report_of(exec).started, 0);
	assert_childless();
	wait_for_log("entering directory /nonexistent: No such file or directory");
	exec_free(exec);
	exec_settings_free(settings);
}

/* A retired handle needs no settings, logs to the end, and frees itself (as a sanitizer sees). */
static void retired_handles_see_their_programs_out(void **state)
{
	struct exec_settings *settings =
		settings_for("read x; echo last words >&2; exit 3", "instances", "1");
	struct exec *exec = new_exec(settings);
	int first = connect_to(exec), waiting = connect_to(exec);
	char byte;

	(void)state;
	exec_retire(exec);
	exec_settings_free(settings);
	assert_int_equal(read(waiting, &byte, 1), 0);
	close(waiting);
	close(first);
	wait_for_log("exited with status 3");
	assert_non_null(strstr(log_text, "stderr: last words"));
	assert_childless();
}

static void retiring_ends_programs_if_so_configured(void **state)
{
	struct exec_settings *settings = settings_for(
		"trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done", "on-stop", "end");
	struct exec *exec = new_exec(settings);
	int client = connect_to(exec);
	char text[4];

	(void)state;
	assert_int_equal(read(client, text, 3), 3);
	exec_retire(exec);
	exec_settings_free(settings);
	wait_for_log("exited with status 7");
	close(client);
	assert_childless();
}

static void ending_comes_to_kill(void **state)
{
	struct exec_settings *settings = settings_for(
		"trap '' TERM; echo up; while :; do sleep 0.05; done", "stop-timeout", "50ms");
	struct exec *exec = new_exec(settings);
	int client = connect_to(exec);
	char text[4];

	(void)state;
	assert_int_equal(read(client, text, 3), 3);
	exec_end(exec);
	wait_for_log("killed by signal 9 (SIGKILL)");
	close(client);
	exec_free(exec);
	exec_settings_free(settings);
	assert_childless();
}

/* What a program has left behind may still write to the log, and is not counted. */
static void stderr_outlives_the_program(void **state)
{
	struct exec_settings *settings = settings_for(
		"{ sleep 0.3; echo late >&2; } </dev/null >/dev/null & exit 0", NULL, NULL);
	struct exec *exec = new_exec(settings);
	int client = connect_to(exec);

	(void)state;
	wait_for_ends(1);
	assert_int_equal(report_of(exec).running, 0);
	wait_for_log("stderr: late");
	close(client);
	exec_free(exec);
	exec_settings_free(settings);
	assert_childless();
}

static int set_up(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	base = event_base_new();
	return base ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	event_base_free(base);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_wait_and_room_is_told),
		cmocka_unit_test(new_settings_count_at_once),
		cmocka_unit_test(failures_leave_no_count),
		cmocka_unit_test(retired_handles_see_their_programs_out),
		cmocka_unit_test(retiring_ends_programs_if_so_configured),
		cmocka_unit_test(ending_comes_to_kill),
		cmocka_unit_test(stderr_outlives_the_program),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
