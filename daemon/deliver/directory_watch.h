/* SPDX-License-Identifier: BSD-2-Clause */
/* Tells when something comes to be in the directory where a path is (inotify(7)). */
#ifndef SOCKETBOX_DAEMON_DELIVER_DIRECTORY_WATCH_H
#define SOCKETBOX_DAEMON_DELIVER_DIRECTORY_WATCH_H

#include <event2/event.h>

struct directory_watch;

/* NULL where the directory is not there, or cannot be watched. To be freed before base. */
struct directory_watch *directory_watch_new(
	struct event_base *base, const char *path, void (*changed)(void *context), void *context);

/* NULL is allowed. */
void directory_watch_free(struct directory_watch *watch);

#endif
