// SPDX-License-Identifier: BSD-2-Clause
// socketbox open: makes sockets, and becomes the program that inherits them.
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/listen_fds.h"
#include "cli/open/make_sockets.h"
#include "cli/open/spec.h"
#include "cli/subcommands.h"
#include "common/cleanup.h"

struct request {
	struct plan_place place; /* of specs that name none */
	const char **specs;	 /* as long as argv, NULL-terminated */
	size_t count;
	char **command;
};

static int take_option(struct request *request, int option, const char *word, struct err *err)
{
	switch (option) {
	case 'n':
		if (!*optarg || strlen(optarg) >= sizeof(request->place.netns))
			return err_set(err, -EINVAL,
				"--netns is a path, a process's number, or a name in /run/netns, not '%.64s'",
				optarg);
		strcpy(request->place.netns, optarg);
		return 0;
	case 'u':
		request->place.userns = true;
		return 0;
	case ':':
		return err_set(err, -EINVAL, "a value for '%s' is missing", word);
	default:
		return err_set(err, -EINVAL, "unknown option '%s'", word);
	}
}

/* Options may stand before, between and after the specs; what follows "--" is the program. */
static int parse(int argc, char **argv, struct request *request, struct err *err)
{
	static const struct option names[] = {
		{"netns", required_argument, NULL, 'n'},
		{"userns", no_argument, NULL, 'u'},
		{0},
	};
	bool ended = false;

	opterr = 0;
	while (!ended && optind < argc) {
		int option = getopt_long(argc, argv, "+:", names, NULL);
		int result = 0;

		if (option != -1)
			result = take_option(request, option, argv[optind - 1], err);
		else if (!strcmp(argv[optind - 1], "--"))
			ended = true;
		else if (optind < argc)
			request->specs[request->count++] = argv[optind++];
		if (result)
			return result;
	}
	request->command = argv + optind;
	if (!request->count)
		return err_set(err, -EINVAL,
			"a socket is missing: socketbox open tcp://[::]:80 -- PROGRAM");
	if (!request->command[0])
		return err_set(err, -EINVAL,
			"a program is missing: socketbox open SPEC... -- PROGRAM (with '--' before it)");
	return 0;
}

static int read_spec(
	const struct request *request, const char *spec, struct plan *plan, struct err *err)
{
	int result = spec_parse(spec, plan, err);

	if (result)
		return result;
	if (!plan->place.netns[0]) {
		strcpy(plan->place.netns, request->place.netns);
		plan->place.userns |= request->place.userns;
	}
	if (plan->place.userns && !plan->place.netns[0])
		return err_set(err, -EINVAL,
			"%s: userns is that of a network namespace: name it with --netns or netns=",
			spec);
	return 0;
}

static int make_all(const struct request *request, const struct plan *plans, struct pass *sockets,
	struct err *err)
{
	for (size_t i = 0; i < request->count; i++) {
		cleanup_close int fd = -1;
		int result = make_socket(&plans[i], &fd, err);

		if (result) {
			err_prefix(err, "%s", request->specs[i]);
			return result;
		}
		result = pass_add(sockets, fd, plans[i].name, err);
		if (result)
			return result;
		take_fd(&fd);
	}
	return 0;
}

int open_main(int argc, char **argv, struct err *err)
{
	cleanup_free const char **specs = calloc((size_t)argc + 1, sizeof(*specs));
	cleanup_free struct plan *plans = calloc((size_t)argc + 1, sizeof(*plans));
	struct request request = {.specs = specs};
	struct pass sockets = {0};

	if (!specs || !plans) {
		err_errno(err, -ENOMEM, "reading the command line");
		return VERB_FAILED;
	}
	if (parse(argc, argv, &request, err))
		return VERB_MISUSED;
	/* All are read before the first is made: a slip in the last one leaves nothing behind. */
	for (size_t i = 0; i < request.count; i++) {
		if (read_spec(&request, specs[i], &plans[i], err))
			return VERB_MISUSED;
	}
	if (!make_all(&request, plans, &sockets, err) && !pass_to_program(&sockets, err)) {
		execvp(request.command[0], request.command);
		err_errno(err, -errno, "cannot execute %s", request.command[0]);
	}
	pass_fini(&sockets);
	return VERB_FAILED;
}
