/* SPDX-License-Identifier: BSD-2-Clause */
/* Tells systemd how the daemon is (sd_notify(3)); without libsystemd, or not under it, nothing. */
#ifndef SOCKETBOX_DAEMON_NOTIFY_H
#define SOCKETBOX_DAEMON_NOTIFY_H

void notify_ready(void);
void notify_reloading(void);

#endif
