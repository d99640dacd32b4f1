/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The subcommands of socketbox, one file each. A subcommand gets its own name as argv[0] and
 * returns the exit status: 0 done, 1 failed, 2 called wrongly, 3 not done in the given time.
 * Failures go into *err for main to print; text of its own that a subcommand has printed already
 * leaves err->text empty.
 */
#ifndef SOCKETBOX_CLI_SUBCOMMANDS_H
#define SOCKETBOX_CLI_SUBCOMMANDS_H

#include "common/err.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_UNFINISHED = 3 };

int check_main(int argc, char **argv, struct err *err);
int drain_main(int argc, char **argv, struct err *err);
int explain_main(int argc, char **argv, struct err *err);
int open_main(int argc, char **argv, struct err *err);
int query_main(int argc, char **argv, struct err *err);
int relay_main(int argc, char **argv, struct err *err);
int import_main(int argc, char **argv, struct err *err);
int inetd_main(int argc, char **argv, struct err *err);
int reload_main(int argc, char **argv, struct err *err);
int run_main(int argc, char **argv, struct err *err);
int status_main(int argc, char **argv, struct err *err);
int top_main(int argc, char **argv, struct err *err);

/* Not a subcommand: the command line of `ctrtool ns_open_file`, argv[0] being its first word.
 * Returns that tool's exit status. */
int ctrtool_main(int argc, char **argv, struct err *err);

#endif
