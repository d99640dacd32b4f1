/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of socketbox inetd: the keys of exec: as options, and a few of its own. */
#ifndef SOCKETBOX_CLI_INETD_INETD_OPTIONS_H
#define SOCKETBOX_CLI_INETD_INETD_OPTIONS_H

#include "exec/exec_settings.h"

struct inetd_options {
	struct exec_settings *settings;
	const char *socket; /* of the command line */
	int mode;	    /* of the socket's file; -1: as the umask says */
};

/* -EINVAL with a sentence for a wrong command line. out->settings is the caller's to free in any
 * case. */
int inetd_options_read(int argc, char **argv, struct inetd_options *out, struct err *err);

#endif
