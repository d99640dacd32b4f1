// SPDX-License-Identifier: BSD-2-Clause
// socketbox run: reads its options, and puts the launcher's parts together.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/control_json.h"
#include "cli/run/claim_for_listen_fds.h"
#include "cli/run/preload_environment.h"
#include "cli/run/start.h"
#include "cli/run/supervise.h"
#include "cli/run/trace.h"
#include "cli/subcommands.h"
#include "common/cleanup.h"

struct options {
	const char *service, *control;
	char **command;
	bool isolate, no_addresses, listen_fds, trace, preload;
	const char *preload_path; /* NULL: the daemon knows it */
	struct addr *addresses;	  /* of --address, and then of the routes */
	size_t address_count;
};

static int add_run_address(struct options *options, const struct addr *address)
{
	struct addr *list =
		reallocarray(options->addresses, options->address_count + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	options->addresses = list;
	list[options->address_count++] = *address;
	return 0;
}

static int take_run_option(struct options *options, int option, struct err *err)
{
	struct addr address;
	int result;

	switch (option) {
	case 'i':
		options->isolate = true;
		return 0;
	case 'a':
		result = addr_parse(optarg, &address, err);
		return result ? result : add_run_address(options, &address);
	case 'n':
		options->no_addresses = true;
		return 0;
	case 'l':
		options->listen_fds = true;
		return 0;
	case 't':
		options->trace = true;
		return 0;
	case 'p':
		options->preload = true;
		options->preload_path = optarg;
		return 0;
	case 'c':
		options->control = optarg;
		return 0;
	default:
		return -EINVAL;
	}
}

static int check_options(const struct options *options, struct err *err)
{
	if (!options->command[0])
		return err_set(
			err, -EINVAL, "a program is missing: socketbox run SERVICE -- PROGRAM");
	if (options->trace + options->listen_fds + options->preload > 1)
		return err_set(
			err, -EINVAL, "--trace, --listen-fds and --preload do not go together");
	if (!options->isolate && (options->address_count || options->no_addresses))
		return err_set(err, -EINVAL, "--address and --no-addresses go with --isolate");
	return 0;
}

/* True if the next word is the service. With --trace there need not be one. */
static bool is_service(const struct options *options, int argc, char **argv)
{
	if (optind >= argc || !strcmp(argv[optind - 1], "--"))
		return false;
	return !options->trace || (optind + 1 < argc && !strcmp(argv[optind + 1], "--"));
}

/* Options may stand before and after the service; what follows "--", or the first word after the
 * service, is the program. */
static int parse_run(int argc, char **argv, struct options *options, struct err *err)
{
	static const struct option names[] = {
		{"isolate", no_argument, NULL, 'i'},
		{"address", required_argument, NULL, 'a'},
		{"no-addresses", no_argument, NULL, 'n'},
		{"listen-fds", no_argument, NULL, 'l'},
		{"trace", no_argument, NULL, 't'},
		{"preload", optional_argument, NULL, 'p'},
		{"control", required_argument, NULL, 'c'},
		{0},
	};

	opterr = 0;
	for (;;) {
		int option = getopt_long(argc, argv, "+:", names, NULL);
		int result;

		if (option == -1 && !options->service && is_service(options, argc, argv)) {
			options->service = argv[optind++];
			continue;
		}
		if (option == -1)
			break;
		if (option == '?' || option == ':') {
			err_set(err, -EINVAL,
				option == '?' ? "unknown option '%s'"
					      : "a value for '%s' is missing",
				argv[optind - 1]);
			return -EINVAL;
		}
		result = take_run_option(options, option, err);
		if (result)
			return result;
	}
	options->command = argv + optind;
	if (!options->service && !options->trace)
		return err_set(
			err, -EINVAL, "a service is missing: socketbox run SERVICE -- PROGRAM");
	return check_options(options, err);
}

/* The exact addresses of the service's routes, as far as they are not named already. */
static int add_route_addresses(
	struct options *options, const struct claim_client *client, struct err *err)
{
	for (size_t i = 0; i < client->endpoint_count; i++) {
		struct addr address;
		bool known = false;

		memcpy(address.bytes, client->endpoints[i].address, sizeof(address.bytes));
		for (size_t a = 0; a < options->address_count; a++)
			known |= addr_equal(&options->addresses[a], &address);
		if (!known && client->endpoints[i].prefix_length == 128 &&
			add_run_address(options, &address))
			return err_errno(err, -ENOMEM, "listing addresses");
	}
	return 0;
}

/* Ends as the program did, so that whoever waits for the launcher sees the same; here and not in
 * main(), which would take a program's status for the launcher's own. */
static _Noreturn void exit_like(int status)
{
	struct rlimit no_core = {0};

	if (!WIFSIGNALED(status))
		exit(WEXITSTATUS(status));
	fflush(NULL);
	setrlimit(RLIMIT_CORE, &no_core);
	signal(WTERMSIG(status), SIG_DFL);
	sigprocmask(SIG_SETMASK, &(sigset_t){0}, NULL);
	raise(WTERMSIG(status));
	exit(128 + WTERMSIG(status));
}

/* A copy of each claimed socket is kept here, and renewing epoll takes the program's numbers. The
 * program has been started with the limit as it was. */
static void raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* Starts the program and stays with it; *status is its wait status. */
static int launch_run(const struct options *options, struct claim_client *client,
	struct trace *trace, const struct listen_fds *sockets, int *status, struct err *err)
{
	struct bind_context context = {.notify_fd = -1, .client = client, .trace = trace};
	struct started started;
	sigset_t blocked, before;
	int result;

	supervise_signals(&blocked);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	struct start start = {
		.command = options->command,
		.isolate = options->isolate,
		.addresses = options->addresses,
		.address_count = options->address_count,
		.filter = !options->listen_fds && !options->preload,
		.sockets = sockets,
		.mask = &before,
	};
	result = start_program(&start, &started, err);
	if (result) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		return result;
	}
	raise_fd_limit();
	context.notify_fd = started.notify_fd;
	context.netns = started.netns;
	*status = supervise(started.pid, &context);
	warned_fini(&context.warned);
	return 0;
}

static int run_traced(const struct options *options, int *status, struct err *err)
{
	struct trace *trace = trace_new(options->command[0]);
	struct listen_fds none = {0};
	int result;

	if (!trace)
		return err_errno(err, -ENOMEM, "tracing");
	result = launch_run(options, NULL, trace, &none, status, err);
	if (!result)
		trace_print(trace, stdout);
	trace_free(trace);
	return result;
}

static int run_service(struct options *options, int *status, struct err *err)
{
	struct listen_fds sockets = {0};
	struct claim_client client;
	int result = claim_client_open(
		&client, control_json_path(options->control), options->service, err);

	if (!result && options->isolate && !options->no_addresses)
		result = add_route_addresses(options, &client, err);
	if (!result && options->listen_fds)
		result = claim_for_listen_fds(&client, &sockets, err);
	if (!result && options->preload)
		result = preload_prepare(&client, options->preload_path, options->command[0], err);
	if (!result)
		result = launch_run(options, &client, NULL, &sockets, status, err);
	listen_fds_fini(&sockets);
	claim_client_close(&client);
	return result;
}

int run_main(int argc, char **argv, struct err *err)
{
	struct options options = {0};
	int result, status = 0;

	if (parse_run(argc, argv, &options, err)) {
		free(options.addresses);
		return EXIT_USAGE;
	}
	result = options.trace ? run_traced(&options, &status, err)
			       : run_service(&options, &status, err);
	free(options.addresses);
	if (!result)
		exit_like(status);
	return EXIT_FAILED;
}
