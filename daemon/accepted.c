// SPDX-License-Identifier: BSD-2-Clause
// What every part of the way may do to a connection.
#include "daemon/accepted.h"

#include <sys/socket.h>

#include "common/cleanup.h"

void accepted_refuse(struct accepted *accepted)
{
	struct linger reset = {.l_onoff = 1};

	setsockopt(accepted->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	cleanup_close_fd(&accepted->fd);
}
