// SPDX-License-Identifier: BSD-2-Clause
// What has changed is not looked at: whoever asked knows what to look for.
#include "daemon/deliver/directory_watch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "common/cleanup.h"

struct directory_watch {
	int inotify;
	struct event *event;
	void (*changed)(void *context);
	void *context;
};

static void on_event(evutil_socket_t fd, short what, void *context)
{
	const struct directory_watch *watch = context;
	char events[4096];

	(void)what;
	while (read(fd, events, sizeof(events)) > 0)
		;
	watch->changed(watch->context);
}

static int watch_directory_of(const char *path)
{
	cleanup_free char *directory = strdup(path);
	char *slash = directory ? strrchr(directory, '/') : NULL;
	cleanup_close int fd = slash ? inotify_init1(IN_NONBLOCK | IN_CLOEXEC) : -1;

	if (fd < 0)
		return -1;
	slash[slash == directory] = '\0';
	if (inotify_add_watch(fd, directory, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0)
		return -1;
	return take_fd(&fd);
}

struct directory_watch *directory_watch_new(
	struct event_base *base, const char *path, void (*changed)(void *context), void *context)
{
	struct directory_watch *watch = malloc(sizeof(*watch));

	if (!watch)
		return NULL;
	*watch = (struct directory_watch){
		.inotify = watch_directory_of(path),
		.changed = changed,
		.context = context,
	};
	if (watch->inotify >= 0)
		watch->event =
			event_new(base, watch->inotify, EV_READ | EV_PERSIST, on_event, watch);
	if (watch->event && !event_add(watch->event, NULL))
		return watch;
	directory_watch_free(watch);
	return NULL;
}

void directory_watch_free(struct directory_watch *watch)
{
	if (!watch)
		return;
	if (watch->event)
		event_free(watch->event);
	cleanup_close_fd(&watch->inotify);
	free(watch);
}
