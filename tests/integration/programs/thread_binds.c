// SPDX-License-Identifier: BSD-2-Clause
// Another thread than the main one binds; the main one accepts.
#include <pthread.h>

#include "serve.h"

static void *bind_it(void *fd)
{
	if (bind_wildcard(*(int *)fd, AF_INET6, PORT) || listen(*(int *)fd, 16))
		die("bind");
	return NULL;
}

int main(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	pthread_t thread;

	if (pthread_create(&thread, NULL, bind_it, &fd) || pthread_join(thread, NULL))
		die("thread");
	serve(fd, "thread");
}
