/* SPDX-License-Identifier: BSD-2-Clause */
/* What libbpf has to say goes to the debug log: our own errors tell people what to do. */
#ifndef SOCKETBOX_DAEMON_KERNEL_LIBBPF_LOG_H
#define SOCKETBOX_DAEMON_KERNEL_LIBBPF_LOG_H

void libbpf_log_open(void); /* from now on; again is harmless */

#endif
