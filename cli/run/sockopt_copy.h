/* SPDX-License-Identifier: BSD-2-Clause */
/* What a program has set on its socket before bind(2). */
#ifndef SOCKETBOX_CLI_RUN_SOCKOPT_COPY_H
#define SOCKETBOX_CLI_RUN_SOCKOPT_COPY_H

/* Sets on `to` what differs on `from`: socket options, buffer sizes that were set, file status
 * flags. Options that this process may not set are left as they are. */
void sockopt_copy(int from, int to);

/* An integer socket option; fallback where it cannot be read. */
int sockopt_get(int fd, int level, int name, int fallback);

#endif
