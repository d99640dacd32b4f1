/* SPDX-License-Identifier: BSD-2-Clause */
/* --trace: what a program binds, and the configuration that would serve it. */
#ifndef SOCKETBOX_CLI_RUN_TRACE_H
#define SOCKETBOX_CLI_RUN_TRACE_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/run/tracee.h"
#include "common/claim_client.h"

struct trace; /* what has been seen so far */

/* The service's name in the YAML is the program's. NULL out of memory. */
struct trace *trace_new(const char *program);
void trace_free(struct trace *trace);

/* Prints the bind on stderr, and remembers it unless it is local: then nothing could serve it. With
 * port 0 it is one for a grant. */
void trace_note(struct trace *trace, const struct tracee *tracee,
	const struct claim_client_bind *bind, bool local);

/* Prints services, with their grants, and routes as YAML. */
void trace_print(const struct trace *trace, FILE *out);

#endif
