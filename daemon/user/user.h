/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The user engine: decides after accepting, with the same matcher as the kernel engine, where BPF
 * is not to be had. Sockets are really bound to what they serve, so there is nothing to steer.
 */
#ifndef SOCKETBOX_DAEMON_USER_H
#define SOCKETBOX_DAEMON_USER_H

#include "daemon/engine.h"

/* why (which is copied) tells people why it is this engine. -ENOMEM. */
int user_open(const char *why, struct engine **out, struct err *err);

#endif
