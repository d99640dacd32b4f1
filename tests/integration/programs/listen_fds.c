// SPDX-License-Identifier: BSD-2-Clause
// Serves on the sockets that sd_listen_fds(3) speaks of, the second one first.
#include "serve.h"

int main(void)
{
	const char *count = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID"),
		   *names = getenv("LISTEN_FDNAMES");
	char text[256];

	if (!count || !pid || !names || atoi(pid) != getpid())
		die("no sockets");
	snprintf(text, sizeof(text), "%s sockets: %s", count, names);
	serve(atoi(count) > 1 ? 4 : 3, text);
}
