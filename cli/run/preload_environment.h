/* SPDX-License-Identifier: BSD-2-Clause */
/* --preload: the program gets its service's connections by libsocketbox-preload.so. */
#ifndef SOCKETBOX_CLI_RUN_PRELOAD_ENVIRONMENT_H
#define SOCKETBOX_CLI_RUN_PRELOAD_ENVIRONMENT_H

#include "common/claim_client.h"

/*
 * Sets LD_PRELOAD (after what is in it) and the library's variables in this process's environment,
 * for the program. path is the service's receiver; NULL: the daemon is asked. Refuses, with the
 * remedy, a program that the dynamic loader would start without the library: a static one, one of
 * another libc, one that gains privileges (AT_SECURE). One that does not exist is left to exec.
 */
int preload_prepare(
	struct claim_client *client, const char *path, const char *program, struct err *err);

#endif
