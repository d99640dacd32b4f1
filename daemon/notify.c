// SPDX-License-Identifier: BSD-2-Clause
// sd_notify messages.
#include "daemon/notify.h"

#include "build_info.h"

#if SOCKETBOX_HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#include <time.h>

void notify_ready(void)
{
	sd_notify(0, "READY=1");
}

/* systemd takes the reload as under way from this moment (Type=notify-reload). */
void notify_reloading(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
		(unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
}
#else
void notify_ready(void)
{
}

void notify_reloading(void)
{
}
#endif
