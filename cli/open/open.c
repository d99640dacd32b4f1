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
	struct netns_target place; /* of specs that name none */
	const char **texts;	   /* as long as argv, NULL-terminated */
	size_t count;
	char **command;
};

static int take_open_option(struct request *request, int option, const char *word, struct err *err)
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
static int parse_open(int argc, char **argv, struct request *request, struct err *err)
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
			result = take_open_option(request, option, argv[optind - 1], err);
		else if (!strcmp(argv[optind - 1], "--"))
			ended = true;
		else if (optind < argc)
			request->texts[request->count++] = argv[optind++];
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
	const struct request *request, const char *text, struct socket_spec *spec, struct err *err)
{
	int result = spec_parse(text, spec, err);

	if (result)
		return result;
	if (!spec->place.netns[0]) {
		strcpy(spec->place.netns, request->place.netns);
		spec->place.userns |= request->place.userns;
	}
	if (spec->place.userns && !spec->place.netns[0])
		return err_set(err, -EINVAL,
			"%s: userns is that of a network namespace: name it with --netns or netns=",
			text);
	return 0;
}

static int make_all(const struct request *request, const struct socket_spec *specs,
	struct listen_fds *sockets, struct err *err)
{
	for (size_t i = 0; i < request->count; i++) {
		cleanup_close int fd = -1;
		int result = make_socket(&specs[i], &fd, err);

		if (result) {
			err_prefix(err, "%s", request->texts[i]);
			return result;
		}
		result = listen_fds_add(sockets, fd, specs[i].name, err);
		if (result)
			return result;
		take_fd(&fd);
	}
	return 0;
}

int open_main(int argc, char **argv, struct err *err)
{
	cleanup_free const char **texts = calloc((size_t)argc + 1, sizeof(*texts));
	cleanup_free struct socket_spec *specs = calloc((size_t)argc + 1, sizeof(*specs));
	struct request request = {.texts = texts};
	struct listen_fds sockets = {0};

	if (!texts || !specs) {
		err_errno(err, -ENOMEM, "reading the command line");
		return EXIT_FAILED;
	}
	if (parse_open(argc, argv, &request, err))
		return EXIT_USAGE;
	/* All are read before the first is made: a slip in the last one leaves nothing behind. */
	for (size_t i = 0; i < request.count; i++) {
		if (read_spec(&request, texts[i], &specs[i], err))
			return EXIT_USAGE;
	}
	if (!make_all(&request, specs, &sockets, err) && !listen_fds_to_program(&sockets, err)) {
		execvp(request.command[0], request.command);
		err_errno(err, -errno, "cannot execute %s", request.command[0]);
	}
	listen_fds_fini(&sockets);
	return EXIT_FAILED;
}
