// SPDX-License-Identifier: BSD-2-Clause
// signal_storm COUNT: binds that many sockets, one after the other, while a thread sends signals to
// the binding one without pause, and again until enough have come; prints how many binds
// failed, how many left a duplicate behind on the old socket, and whether many signals were
// handled.
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "serve.h"

/* A busy machine lets the thread run seldom. */
#define MOST_ROUNDS 20

static pthread_t binder;
static atomic_bool done;
static volatile sig_atomic_t handled;

static void on_signal(int number)
{
	(void)number;
	handled++;
}

static void *storm(void *unused)
{
	(void)unused;
	while (!done) {
		pthread_kill(binder, SIGUSR1);
		usleep(20);
	}
	return NULL;
}

static bool same_socket(int a, int b)
{
	struct stat of_a, of_b;

	return !fstat(a, &of_a) && !fstat(b, &of_b) && of_a.st_ino == of_b.st_ino;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	int count = argc > 1 ? atoi(argv[1]) : 100, failed = 0, error = 0, split = 0;
	pthread_t thread;

	binder = pthread_self();
	sigaction(SIGUSR1, &action, NULL);
	if (pthread_create(&thread, NULL, storm, NULL))
		die("thread");
	for (int i = 0; i < count || (handled <= count / 4 && i < MOST_ROUNDS * count); i++) {
		int fd = socket(AF_INET6, SOCK_STREAM, 0), copy = dup(fd);

		if (bind_wildcard(fd, AF_INET6, PORT + i % count)) {
			failed++;
			error = errno;
		}
		split += !same_socket(fd, copy);
		close(fd);
		close(copy);
	}
	done = true;
	pthread_join(thread, NULL);
	printf("failed %d of %d (%s), split %d, signals %s\n", failed, count,
		failed ? strerror(error) : "none", split, handled > count / 4 ? "many" : "few");
	return 0;
}
