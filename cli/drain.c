// SPDX-License-Identifier: BSD-2-Clause
// socketbox drain: takes a service out of use and waits until it has nothing left to do, or puts
// it back. The daemon is asked again and again; it may restart meanwhile.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/control_json.h"
#include "cli/status_model.h"
#include "cli/subcommands.h"
#include "exec/values.h"

#define LOOK_MS	    200
#define PATIENCE_MS 30000 /* with a daemon that does not answer */
#define FOREVER	    INT64_MAX

struct call {
	const char *path, *service;
	bool end;
	int64_t deadline_ms; /* of CLOCK_MONOTONIC */
	uint32_t timeout_ms;
};

/* What the last answers said. */
struct wait {
	json_t *draining; /* what is left; NULL: it is not being drained */
	unsigned empty;	  /* in so many answers, one after another, it was nothing */
	int64_t answered_ms;
	char shown[STATUS_MODEL_TEXT_SIZE]; /* on the terminal */
};

static int64_t now_drain_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int read_drain_options(int argc, char **argv, struct call *call, struct err *err)
{
	static const struct option names[] = {
		{"control", required_argument, NULL, 'c'},
		{"timeout", required_argument, NULL, 't'},
		{"end", no_argument, NULL, 'e'},
		{0},
	};
	const char *path = NULL, *timeout = NULL;
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == 'c')
			path = optarg;
		else if (option == 't')
			timeout = optarg;
		else if (option == 'e')
			call->end = true;
		else
			return err_set(err, -EINVAL, "unknown option '%s', or its value is missing",
				argv[optind - 1]);
	}
	if (argc - optind != 1)
		return err_set(err, -EINVAL, "the name of one service is needed");
	if (call->end && timeout)
		return err_set(err, -EINVAL, "--end waits for nothing and takes no --timeout");
	call->service = argv[optind];
	call->path = control_json_path(path);
	call->deadline_ms = FOREVER;
	if (!timeout)
		return 0;
	if (value_duration(timeout, &call->timeout_ms, err))
		return err_prefix(err, "--timeout");
	call->deadline_ms = now_drain_ms() + call->timeout_ms;
	return 0;
}

static int ask_drain(
	const struct call *call, enum wire_drain_action action, json_t **answer, struct err *err)
{
	struct wire_drain request = {.action = action};

	if (strlen(call->service) >= sizeof(request.service))
		return err_set(err, -ESRCH,
			"there is no service '%s': names have %d characters at most", call->service,
			WIRE_NAME_SIZE - 1);
	request.header = control_client_header(WIRE_DRAIN, sizeof(request));
	strcpy(request.service, call->service);
	return control_json_ask(call->path, &request, answer, err);
}

static void take_answer(struct wait *wait, json_t *answer)
{
	json_decref(wait->draining);
	wait->draining = json_incref(json_object_get(answer, "draining"));
	wait->empty = status_model_is_empty(wait->draining) ? wait->empty + 1 : 0;
	wait->answered_ms = now_drain_ms();
	json_decref(answer);
}

/* One line on the terminal, written anew where it changes. */
static void show_drain(struct wait *wait, const char *text)
{
	if (!isatty(STDERR_FILENO) || !strcmp(text, wait->shown))
		return;
	fprintf(stderr, "\r\033[K%s", text);
	snprintf(wait->shown, sizeof(wait->shown), "%s", text);
}

static void show_left(struct wait *wait)
{
	char left[STATUS_MODEL_TEXT_SIZE], text[STATUS_MODEL_TEXT_SIZE + 16];

	snprintf(text, sizeof(text), "waiting for %s", status_model_left(wait->draining, left));
	show_drain(wait, wait->empty ? "" : text);
}

static bool is_drain_away(int result)
{
	return result == -ENOENT || result == -ECONNREFUSED || result == -EPIPE;
}

static int look_drain(const struct call *call, struct wait *wait, struct err *err)
{
	json_t *answer = NULL;
	int result = ask_drain(call, WIRE_DRAIN_ASK, &answer, err);

	if (is_drain_away(result) && now_drain_ms() - wait->answered_ms < PATIENCE_MS) {
		show_drain(wait, "waiting for socketboxd, which does not answer");
		wait->empty = 0;
		return 0;
	}
	if (result)
		return result;
	take_answer(wait, answer);
	if (!wait->draining)
		return err_set(err, -ECANCELED,
			"service '%s' is in use again: somebody ended that, or socketboxd was started anew",
			call->service);
	show_left(wait);
	return 0;
}

/* Twice in a row, since a connection may be on its way from one place to the next. */
static bool is_done(const struct call *call, const struct wait *wait)
{
	return wait->empty >= 2 || (wait->empty && now_drain_ms() >= call->deadline_ms);
}

static int wait_until_empty(const struct call *call, struct wait *wait, struct err *err)
{
	static const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
	char left[STATUS_MODEL_TEXT_SIZE];
	int result = 0;

	show_left(wait);
	while (!result && !is_done(call, wait)) {
		if (now_drain_ms() >= call->deadline_ms)
			return err_set(err, -ETIMEDOUT,
				"after %g s service '%s' still has %s; it goes on being drained, until 'socketbox drain --end %s'",
				call->timeout_ms / 1000.0, call->service,
				status_model_left(wait->draining, left), call->service);
		nanosleep(&pause, NULL);
		result = look_drain(call, wait, err);
	}
	return result;
}

static int drain(const struct call *call, struct err *err)
{
	struct wait wait = {0};
	json_t *answer = NULL;
	int result = ask_drain(call, WIRE_DRAIN_BEGIN, &answer, err);

	if (result)
		return result;
	if (!json_is_true(json_object_get(answer, "changed")))
		fprintf(stderr, "socketbox drain: service '%s' is being drained already\n",
			call->service);
	take_answer(&wait, answer);
	result = wait_until_empty(call, &wait, err);
	show_drain(&wait, "");
	json_decref(wait.draining);
	return result;
}

static int end_drain(const struct call *call, struct err *err)
{
	json_t *answer = NULL;
	int result = ask_drain(call, WIRE_DRAIN_END, &answer, err);

	if (result)
		return result;
	if (!json_is_true(json_object_get(answer, "changed")))
		fprintf(stderr, "socketbox drain: service '%s' is not being drained\n",
			call->service);
	json_decref(answer);
	return 0;
}

int drain_main(int argc, char **argv, struct err *err)
{
	struct call call = {.service = ""};
	int result;

	if (read_drain_options(argc, argv, &call, err))
		return EXIT_USAGE;
	result = call.end ? end_drain(&call, err) : drain(&call, err);
	if (result == -ETIMEDOUT)
		return EXIT_UNFINISHED;
	return result ? EXIT_FAILED : EXIT_DONE;
}
