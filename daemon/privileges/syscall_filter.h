/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The filter of the event loop's system calls: those that it makes are let through, all others fail
 * with EPERM and are in the kernel's audit log. It starts nothing, writes no files, maps nothing
 * that is both new and executable, and asks of bpf(2) only what maps need.
 */
#ifndef SOCKETBOX_DAEMON_PRIVILEGES_SYSCALL_FILTER_H
#define SOCKETBOX_DAEMON_PRIVILEGES_SYSCALL_FILTER_H

#include "common/err.h"

/* Filters the calling thread, and no other that there is already, for ever. -ENOSYS or another
 * where the kernel cannot, or may not. */
int filter_load(struct err *err);

#endif
