/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The exec delivery: a program per connection, or one that gets the listening socket, within
 * limits. Whoever accepts connections gives them to exec_take, and accepts no more while exec_full.
 *
 * All of this belongs to one thread, the one that runs the event base. SIGCHLD must not be ignored,
 * and nobody else may wait for any child (waitpid(-1)). Children are waited for by pidfd.
 */
#ifndef SOCKETBOX_EXEC_EXEC_H
#define SOCKETBOX_EXEC_EXEC_H

#include <event2/event.h>

#include "exec/exec_settings.h"
#include "exec/quota.h"

struct exec;

/* From now on what starting a program takes is done by `run`, which calls function(argument) and
 * returns when that has: for a process whose event loop may not do it. Call it before exec_new. */
void exec_set_runner(void (*run)(void (*function)(void *argument), void *argument));

struct exec_options {
	struct event_base *base;
	const char *name; /* of the service, for the log and LISTEN_FDNAMES; copied */
	/* Where the service's cgroup is made, as socketbox-NAME: a cgroup v2 directory; NULL: in
	 * the caller's own. cgroup_name NULL: name. Both are copied. */
	const char *cgroup_parent, *cgroup_name;
	/* A line for the log, with its syslog(3) priority; printable, without a newline. */
	void (*log)(void *context, int priority, const char *text);
	/* exec_full was true and is not any more. May call exec_take; not exec_free. NULL: none. */
	void (*ready)(void *context);
	/* A process ended. NULL: none. */
	void (*ended)(void *context);
	void *context;
};

struct exec_report {
	unsigned running;		/* processes; not those that only left their stderr open */
	unsigned waiting;		/* connections that exec_take got while it was full */
	uint64_t started, ended;	/* since exec_new */
	uint64_t failed;		/* starts that did not work, the connection closed */
	uint64_t gone;			/* connections whose client had left before */
	uint64_t refused[EXEC_REASONS]; /* by reason; EXEC_ALLOWED is not used */
	char cgroup[256];		/* its path; empty: the processes are in the caller's */
};

/* settings stays the caller's and has to live until exec_reconfigure, exec_retire or exec_free.
 * -ENOMEM. That no cgroup is to be had is logged and is no failure. */
int exec_new(const struct exec_options *options, const struct exec_settings *settings,
	struct exec **out, struct err *err);

/* From now on other settings; what runs goes on as it was started. */
void exec_reconfigure(struct exec *exec, const struct exec_settings *settings);

/*
 * Starts the program for a connected stream socket, lets it wait for its turn, or refuses it; in
 * each case fd is exec's from now on. local and remote are what the program and the limits are to
 * take for its addresses; NULL: the socket's own. Failures are logged and counted.
 */
void exec_take(struct exec *exec, int fd, const struct addr_endpoint *local,
	const struct addr_endpoint *remote);

/* Takes the connection that has waited longest out of the queue, for a caller whose successor is to
 * have it: *fd is the caller's. False if none waits. */
bool exec_give_back(
	struct exec *exec, int *fd, struct addr_endpoint *local, struct addr_endpoint *remote);

/* True while a connection would have to wait: leave it in the listening socket's backlog, and go on
 * accepting when `room` is called. Never true for when-full: refuse, except while this machine
 * is short of processes, descriptors or memory. */
bool exec_full(struct exec *exec);

/*
 * With `wait`: watches a listening or UDP socket, starts the program with it when something
 * arrives, and watches again when the program has ended; a program that ends at once, or
 * cannot be started, is tried again at growing intervals of up to 10 s. Several sockets have a
 * process each. fd stays the caller's and must be open until exec_unserve or exec_free (a socket
 * that exec_retire has been told of is no longer watched). -ENOMEM.
 */
int exec_serve(struct exec *exec, int fd, struct err *err);
void exec_unserve(struct exec *exec, int fd); /* its process, if there is one, goes on */

/* Ends all processes: kill-signal, and after stop-timeout SIGKILL, each to the whole session that a
 * program leads. Returns at once; exec_report tells when none is left. */
void exec_end(struct exec *exec);

/*
 * For a service that is no more: the handle is exec's, which frees it when the last process has
 * ended; what waits is closed, and `on-stop: end` is obeyed. Nothing but `log` is called
 * afterwards, so its context must outlive the event base.
 */
void exec_retire(struct exec *exec);

/* For a caller that is about to exit, after the event base's loop: forgets processes, which live
 * on; with `on-stop: end` they get their kill-signal. NULL is allowed. */
void exec_free(struct exec *exec);

/* Fills *report with the state as it is now. */
void exec_get_report(const struct exec *exec, struct exec_report *report);

#endif
