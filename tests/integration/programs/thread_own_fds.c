// SPDX-License-Identifier: BSD-2-Clause
// A thread with a descriptor table of its own binds and serves, while the same number is another
// socket in the main thread, and that one has ended.
#include <pthread.h>
#include <sched.h>

#include "serve.h"

static pthread_barrier_t unshared;

static void *serve_apart(void *number)
{
	int fd = *(int *)number;

	if (unshare(CLONE_FILES))
		die("unshare");
	pthread_barrier_wait(&unshared);
	usleep(100 * 1000);
	if (bind_wildcard(fd, AF_INET6, PORT) || listen(fd, 16))
		die("bind");
	serve(fd, "apart");
	return NULL;
}

int main(void)
{
	static int fd;
	pthread_t thread;

	fd = socket(AF_INET6, SOCK_STREAM, 0);
	pthread_barrier_init(&unshared, NULL, 2);
	if (pthread_create(&thread, NULL, serve_apart, &fd))
		die("thread");
	pthread_barrier_wait(&unshared);
	dup2(socket(AF_INET6, SOCK_DGRAM, 0), fd);
	pthread_exit(NULL);
}
