// SPDX-License-Identifier: BSD-2-Clause
// Binds, serves, and on SIGHUP shuts its listener down and binds again, as some servers reload.
#include <signal.h>

#include "serve.h"

static volatile sig_atomic_t reload;

static void on_signal(int number)
{
	(void)number;
	reload = 1;
}

int main(void)
{
	struct sigaction action = {.sa_handler = on_signal};
	int round = 0;

	sigaction(SIGHUP, &action, NULL);
	for (;;) {
		int fd = socket(AF_INET6, SOCK_STREAM, 0), connection;
		char text[32];

		if (bind_wildcard(fd, AF_INET6, PORT) || listen(fd, 16))
			die("bind");
		snprintf(text, sizeof(text), "round %d", round++);
		while (!reload) {
			connection = accept(fd, NULL, NULL);
			if (connection >= 0)
				answer(connection, text);
		}
		reload = 0;
		shutdown(fd, SHUT_RDWR);
		close(fd);
	}
}
