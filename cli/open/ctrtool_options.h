/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of `ctrtool ns_open_file`, as far as it is about sockets. Pure. */
#ifndef SOCKETBOX_CLI_OPEN_CTRTOOL_OPTIONS_H
#define SOCKETBOX_CLI_OPEN_CTRTOOL_OPTIONS_H

#include <stddef.h>

#include "cli/open/socket_spec.h"
#include "common/err.h"

struct ctrtool_options {
	struct socket_spec *specs; /* owned, in the order of -n */
	size_t count;
	unsigned long long offset; /* of the first one's number: -o */
	char **command;		   /* in argv; NULL-terminated, not empty */
};

/* argv[0] is "ns_open_file". -EINVAL, with a sentence about the option, for what is wrong or not
 * about sockets. Uses getopt(3), whose variables it resets. */
int ctrtool_options_parse(int argc, char **argv, struct ctrtool_options *options, struct err *err);
void ctrtool_options_fini(struct ctrtool_options *options);

#endif
