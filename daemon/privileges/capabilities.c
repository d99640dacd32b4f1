// SPDX-License-Identifier: BSD-2-Clause
// Drops capabilities by libcap-ng.
#include "daemon/privileges/capabilities.h"

#include <cap-ng.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

static const unsigned of_loop[] = {
	CAP_BPF,	      /* the maps of the next configuration */
	CAP_NET_ADMIN,	      /* the socket map; IP_TRANSPARENT */
	CAP_NET_BIND_SERVICE, /* ports below 1024 */
	CAP_DAC_OVERRIDE,     /* Unix sockets of receivers, whoever owns them */
	CAP_FOWNER,	      /* their modes */
	CAP_KILL,	      /* programs of other users */
	CAP_SYS_RESOURCE,     /* more connections under way to receivers than descriptors */
};

static const unsigned of_agent[] = {
	CAP_SETUID,	  /* user: */
	CAP_SETGID,	  /* group: */
	CAP_SYS_ADMIN,	  /* netns: */
	CAP_SYS_PTRACE,	  /* netns: of another user's process */
	CAP_SYS_RESOURCE, /* rlimits: */
	CAP_SYS_NICE,	  /* nice: */
	CAP_CHOWN,	  /* stderr, which is the program's user's */
	CAP_DAC_OVERRIDE, /* what the program's path leads through */
};

/* Those of later kernels than this was built for, too. */
#define MOST_CAPABILITIES 64

static bool is_capability_among(unsigned capability, const unsigned *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (list[i] == capability)
			return true;
	}
	return false;
}

static int keep_capability(const unsigned *list, size_t count, struct err *err)
{
	if (capng_get_caps_process())
		return err_errno(err, -EIO, "reading capabilities");
	for (unsigned capability = 0; capability < MOST_CAPABILITIES; capability++) {
		if (!is_capability_among(capability, list, count))
			capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED, capability);
	}
	if (capng_apply(CAPNG_SELECT_CAPS))
		return err_errno(err, -errno, "dropping capabilities");
	return 0;
}

int capabilities_keep_for_loop(struct err *err)
{
	return keep_capability(of_loop, sizeof(of_loop) / sizeof(*of_loop), err);
}

/* Another user's daemon has what it has by its ambient set, which what it becomes would lose. */
int capabilities_keep_for_agent(struct err *err)
{
	return geteuid() ? 0 : keep_capability(of_agent, sizeof(of_agent) / sizeof(*of_agent), err);
}
