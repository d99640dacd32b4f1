// SPDX-License-Identifier: BSD-2-Clause
// Hands function calls from one thread to the other.
#include "daemon/privileges/agent.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

static struct {
	bool started;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t called, returned;
	void (*function)(void *argument); /* NULL: nothing is to be done */
	void *argument;
} agent = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.called = PTHREAD_COND_INITIALIZER,
	.returned = PTHREAD_COND_INITIALIZER,
};

static void *serve_agent(void *unused)
{
	(void)unused;
	pthread_setname_np(pthread_self(), "agent");
	pthread_mutex_lock(&agent.lock);
	for (;;) {
		while (!agent.function)
			pthread_cond_wait(&agent.called, &agent.lock);
		agent.function(agent.argument);
		agent.function = NULL;
		pthread_cond_signal(&agent.returned);
	}
	return NULL;
}

int agent_start(struct err *err)
{
	sigset_t all, before;
	int result;

	/* As they never run at a time, they need no heaps of their own. */
	mallopt(M_ARENA_MAX, 1);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	result = -pthread_create(&agent.thread, NULL, serve_agent, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (result)
		return err_errno(err, result, "starting a thread");
	agent.started = true;
	return 0;
}

void agent_run(void (*function)(void *argument), void *argument)
{
	if (!agent.started || pthread_equal(pthread_self(), agent.thread)) {
		function(argument);
		return;
	}
	pthread_mutex_lock(&agent.lock);
	agent.argument = argument;
	agent.function = function;
	pthread_cond_signal(&agent.called);
	while (agent.function)
		pthread_cond_wait(&agent.returned, &agent.lock);
	pthread_mutex_unlock(&agent.lock);
}
