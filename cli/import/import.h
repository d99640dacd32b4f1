/* SPDX-License-Identifier: BSD-2-Clause */
/* Other programs' configurations as socketbox's. Pure: text in, text out; but names of users,
 * groups and services are looked up on this machine. */
#ifndef SOCKETBOX_CLI_IMPORT_IMPORT_H
#define SOCKETBOX_CLI_IMPORT_IMPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "common/err.h"

/* Reads xinetd.conf(5). -EINVAL with a line number for what is not that, -ENOMEM. Warnings are
 * lines "FILE: warning: TEXT". */
int import_xinetd(const char *file, const char *text, FILE *out, FILE *warnings, struct err *err);

/* The name of the service unit that belongs to a socket unit: size bytes; "ssh.socket" gives
 * "ssh.service", or "ssh@.service" with Accept=yes. -EINVAL, -ENAMETOOLONG, -ENOMEM. */
int import_systemd_service(
	const char *unit, const char *text, char *service, size_t size, struct err *err);

/* Reads both units; service_text NULL: there is none. */
int import_systemd(const char *unit, const char *text, const char *service_text, FILE *out,
	FILE *warnings, struct err *err);

#endif
