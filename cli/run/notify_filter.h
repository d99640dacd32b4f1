/* SPDX-License-Identifier: BSD-2-Clause */
/* The seccomp filter of a launched program. */
#ifndef SOCKETBOX_CLI_RUN_NOTIFY_FILTER_H
#define SOCKETBOX_CLI_RUN_NOTIFY_FILTER_H

#include "common/err.h"

/*
 * Puts the calling process and its descendants under a filter that notifies of bind(2) with an
 * address of 16 bytes or more (netlink's has 12, and must never wait), and refuses
 * ioctl(SIOCGSKNS), which would give a privileged program the network namespace of any socket that
 * it holds. *notify_fd is the caller's. Sets no_new_privs only where the caller has no
 * CAP_SYS_ADMIN.
 *
 * -EBUSY: the process is under another notifying filter already; a tree can have one.
 */
int filter_install(int *notify_fd, struct err *err);

#endif
