/* SPDX-License-Identifier: BSD-2-Clause */
/* A program's file: whether the dynamic loader preloads libraries into it. */
#ifndef SOCKETBOX_CLI_RUN_PROGRAM_H
#define SOCKETBOX_CLI_RUN_PROGRAM_H

#include "common/err.h"

/* -ENOTSUP with the reason if it does not; 0 if it does, or where that cannot be told. `name` is
 * looked for in $PATH as execvp does. Of a script, its interpreter is judged. */
int program_check_preload(const char *name, struct err *err);

#endif
