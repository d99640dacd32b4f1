/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the exec delivery share. */
#ifndef SOCKETBOX_EXEC_EXEC_PRIVATE_H
#define SOCKETBOX_EXEC_EXEC_PRIVATE_H

#include <event2/event_struct.h>
#include <limits.h>
#include <sys/queue.h>

#include "exec/client.h"
#include "exec/exec.h"

#define EXEC_NS_PER_MS 1000000ull
#define EXEC_MOST_WAIT 64    /* connections; more than one turn of a listener takes */
#define EXEC_LINE_SIZE 1024  /* of stderr; longer ones become several */
#define EXEC_PAUSE_MS  1000u /* while the machine is short of something */

/* So many lines a second go to the log; how many were left out is told by the next. */
struct exec_budget {
	uint64_t next_ns;
	uint64_t left_out;
};

/* A connection whose turn has not come. */
struct exec_waiting {
	TAILQ_ENTRY(exec_waiting) entry;
	int fd;
	struct client client;
};

/* A socket that programs are given as it is. */
struct exec_socket {
	LIST_ENTRY(exec_socket) entry;
	struct exec *exec;
	int fd;
	struct event readable, retry;
	bool busy; /* a program has it, or retry is pending: readable is not */
	unsigned delay_ms;
};

/* What a program writes to stderr, until the last who has it has closed it. */
struct exec_lines {
	int fd; /* -1: none */
	struct event readable;
	size_t used;
	char text[EXEC_LINE_SIZE];
};

struct exec_child {
	LIST_ENTRY(exec_child) entry;
	struct exec *exec;
	pid_t pid;
	int pidfd; /* -1: it has ended, and only its stderr is left */
	struct event exited, timer;
	bool told;	/* it got its kill-signal */
	bool unwatched; /* its events wait for memory */
	uint64_t started_ns;
	struct quota_count *counted;
	struct exec_socket *socket; /* with wait; NULL after exec_unserve */
	struct client client;	    /* without */
	struct exec_lines lines;
};

struct exec {
	struct exec_options options; /* with copies of the texts */
	const struct exec_settings *settings;
	/* What goes on to count after the settings are gone. */
	int kill_signal;
	uint32_t stop_timeout_ms;
	bool log_failures_only, retired;

	struct quota quota;
	TAILQ_HEAD(, exec_waiting) queue;
	LIST_HEAD(, exec_child) children;
	LIST_HEAD(, exec_socket) sockets;
	LIST_ENTRY(exec) retired_entry;
	struct event *timer;	  /* when room comes by itself */
	uint64_t paused_until_ns; /* short of something */
	bool was_full;
	int cgroup;
	char cgroup_path[PATH_MAX];
	struct exec_budget refusals, stderr_lines;
	struct exec_report report;
};

uint64_t exec_now_ns(void);
struct timeval exec_timeval(uint64_t ns); /* rounded up to microseconds */

/* NAME[PID]: TEXT, or NAME: TEXT where pid is 0. Control characters become '?'. */
void exec_log(struct exec *exec, int priority, pid_t pid, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* True if the budget has a line left now; *left_out is what was left out since the last. */
bool exec_may_log(struct exec_budget *budget, uint64_t now_ns, uint64_t *left_out);

/* EXEC_ALLOWED, or why nothing can be started now, and for how long. */
enum exec_reason exec_blocked(struct exec *exec, uint64_t now_ns, uint64_t *wait_ns);

/* Calls function(argument) where programs may be started. */
void exec_run(void (*function)(void *argument), void *argument);

/* Opens the cgroup that the settings ask for, or says that there is none. */
void exec_open_cgroup(struct exec *exec);

/* Gives turns to who waits, and room to who accepts; after anything that may have made room. */
void exec_advance(struct exec *exec);

/* Tells the client the banner, and that nothing more will come; closes fd. */
void exec_refuse_client(int fd, const char *banner);

/* Starts a program for a connection, or (client NULL) with a socket as it is. 0; -EAGAIN while the
 * machine is short of something; other negative errno after a line in the log. Then nothing runs
 * and nothing stays counted. fd stays the caller's. */
int exec_start(struct exec *exec, int fd, const struct client *client, struct exec_socket *socket);

void exec_child_watch(struct exec_child *child); /* a program that has been started */
void exec_child_free(struct exec_child *child);
void exec_child_end(struct exec_child *child); /* kill-signal, later SIGKILL */

/* Opens the pipe for a program's stderr; *write_end is the caller's. */
int exec_lines_open(struct exec_child *child, int *write_end);
void exec_lines_read(struct exec_child *child); /* all that is there now */
void exec_lines_close(struct exec_child *child);

void exec_sockets_update(struct exec *exec); /* watches again, or not, after a change */
void exec_socket_done(struct exec_socket *socket, uint64_t ran_ns); /* its program has ended */
void exec_sockets_free(struct exec *exec);

#endif
