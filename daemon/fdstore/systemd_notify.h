/* SPDX-License-Identifier: BSD-2-Clause */
/* Tells systemd how the daemon is (sd_notify(3)); without libsystemd, or not under it, nothing. */
#ifndef SOCKETBOX_DAEMON_FDSTORE_SYSTEMD_NOTIFY_H
#define SOCKETBOX_DAEMON_FDSTORE_SYSTEMD_NOTIFY_H

#include "daemon/fdstore/fdstore.h"

void systemd_notify_ready(void);
void systemd_notify_reloading(void);

/* The descriptor store of systemd (FileDescriptorStoreMax=); NULL where nobody keeps one. */
const struct fdstore_backend *systemd_notify_store(void);

/* Adds what the store has kept for this process to what it inherits. */
void systemd_notify_inherit(struct fdstore *fdstore);

/* Waits, for a while, until all that has been sent has been read: who ends before that is not known
 * any more, and what they stored is lost. */
void systemd_notify_flush(void);

#endif
