// SPDX-License-Identifier: BSD-2-Clause
// Says what a kernel or a container cannot do; the daemon serves all the same.
#include "daemon/privileges/privileges.h"

#include "daemon/log.h"
#include "daemon/privileges/agent.h"
#include "daemon/privileges/capabilities.h"
#include "daemon/privileges/syscall_filter.h"
#include "exec/exec.h"

bool privileges_part(void)
{
	struct err err;

	if (agent_start(&err)) {
		log_warning("the daemon keeps all of its privileges: %s", err.text);
		return false;
	}
	exec_set_runner(agent_run);
	return true;
}

static void drop_agents_privileges(void *unused)
{
	struct err err;

	(void)unused;
	if (capabilities_keep_for_agent(&err))
		log_warning("the daemon keeps all of its capabilities: %s", err.text);
}

void privileges_drop(void)
{
	struct err err;

	agent_run(drop_agents_privileges, NULL);
	if (capabilities_keep_for_loop(&err))
		log_warning("the event loop keeps all of its capabilities: %s", err.text);
	if (filter_load(&err))
		log_warning("the event loop's system calls are not filtered: %s", err.text);
}
