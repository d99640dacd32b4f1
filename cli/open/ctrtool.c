// SPDX-License-Identifier: BSD-2-Clause
// ctrtool ns_open_file: for recipes that were written for it. The descriptors are told by
// CTRTOOL_NS_OPEN_FILE_FD_<n> alone, at whatever numbers they get.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/listen_fds.h"
#include "cli/open/ctrtool_options.h"
#include "cli/open/make_sockets.h"
#include "cli/subcommands.h"
#include "common/cleanup.h"

/* The exit statuses of the original. */
enum { CTRTOOL_MISUSED = 1, CTRTOOL_FAILED = 2, CTRTOOL_NOT_EXECUTED = 127 };

static int open_next(const struct ctrtool_options *options, size_t index, struct err *err)
{
	cleanup_close int fd = -1, lowest = -1;
	int result = make_socket(&options->specs[index], &fd, err);

	if (result) {
		err_prefix(err, "socket %zu", index);
		return result;
	}
	/* A socket that came from a child may have left a gap; recipes count on 3, 4 and so on. */
	lowest = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (lowest >= 0 && lowest < fd) {
		close(fd);
		fd = take_fd(&lowest);
	}
	if (fcntl(fd, F_SETFD, 0))
		return err_errno(err, -errno, "passing socket %zu", index);
	result = listen_fds_tell("CTRTOOL_NS_OPEN_FILE_FD_", options->offset + index, fd, err);
	if (!result)
		take_fd(&fd); /* the program's */
	return result;
}

int ctrtool_main(int argc, char **argv, struct err *err)
{
	struct ctrtool_options options;

	if (argc < 1 || strcmp(argv[0], "ns_open_file") != 0) {
		err_set(err, -EINVAL,
			"of ctrtool, socketbox has ns_open_file only: ctrtool ns_open_file -n [OPTIONS] ... PROGRAM; see socketbox-open(1)");
		return CTRTOOL_MISUSED;
	}
	if (ctrtool_options_parse(argc, argv, &options, err))
		return CTRTOOL_MISUSED;
	for (size_t i = 0; i < options.count; i++) {
		if (open_next(&options, i, err)) {
			ctrtool_options_fini(&options);
			return CTRTOOL_FAILED;
		}
	}
	execvp(options.command[0], options.command);
	err_errno(err, -errno, "cannot execute %s", options.command[0]);
	ctrtool_options_fini(&options);
	return CTRTOOL_NOT_EXECUTED;
}
