// SPDX-License-Identifier: BSD-2-Clause
// sd_notify messages.
#include "daemon/fdstore/systemd_notify.h"

#include "build_info.h"

#if SOCKETBOX_HAVE_SYSTEMD
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <time.h>

/* For a manager that has much to do. */
#define FLUSH_US (10 * 1000 * 1000ull)

void systemd_notify_ready(void)
{
	sd_notify(0, "READY=1");
}

/* systemd takes the reload as under way from this moment (Type=notify-reload). */
void systemd_notify_reloading(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
		(unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
}

static void add_systemd(const char *name, int fd)
{
	char text[FDSTORE_NAME_SIZE + 32];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", name);
	sd_pid_notify_with_fds(0, 0, text, &fd, 1);
}

static void remove_name(const char *name)
{
	sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

const struct fdstore_backend *systemd_notify_store(void)
{
	static const struct fdstore_backend store = {
		.add = add_systemd, .remove = remove_name, .flush = systemd_notify_flush};

	return getenv("NOTIFY_SOCKET") ? &store : NULL;
}

void systemd_notify_inherit(struct fdstore *fdstore)
{
	char **names = NULL;
	int count = sd_listen_fds_with_names(1, &names);

	for (int i = 0; i < count; i++) {
		fdstore_inherit(fdstore, names[i], SD_LISTEN_FDS_START + i);
		free(names[i]);
	}
	free(names);
}

void systemd_notify_flush(void)
{
	sd_notify_barrier(0, FLUSH_US);
}
#else
void systemd_notify_ready(void)
{
}

void systemd_notify_reloading(void)
{
}

const struct fdstore_backend *systemd_notify_store(void)
{
	return NULL;
}

void systemd_notify_inherit(struct fdstore *fdstore)
{
	(void)fdstore;
}

void systemd_notify_flush(void)
{
}
#endif
