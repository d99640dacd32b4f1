// SPDX-License-Identifier: BSD-2-Clause
// clone3(2) with a borrowed address space, and what the child does before execve(2). The child
// shares memory with the suspended parent: it makes bare system calls, takes no lock, allocates
// nothing, and changes nothing but its own stack and struct spawn_context.
#include "exec/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "exec/cgroup.h"
#include "exec/child_fds.h"

#define STACK_SIZE (16 * 1024)

enum step {
	NOTHING,
	SET_LIMIT,
	SET_NICE,
	ENTER_NETNS,
	PLACE_FDS,
	SET_GROUPS,
	SET_GROUP,
	SET_USER,
	ENTER_DIRECTORY,
	ENTER_CGROUP,
	EXECUTE,
};

struct spawn_context {
	const struct spawn *what;
	bool shares; /* the table of descriptors, until the child takes what is staged */
	const sigset_t *ignored; /* by the caller: the child resets these; NULL: all signals */
	int cgroup_procs;	 /* to write oneself into, where clone3 cannot do it; -1: no need */
	enum step failed;
	int error;
};

static struct rlimit nofile_before = {0, 0}; /* hard limit 0: never raised */

void spawn_raise_nofile(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	nofile_before = limit;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

void spawn_restore_nofile(void)
{
	if (nofile_before.rlim_max)
		setrlimit(RLIMIT_NOFILE, &nofile_before);
}

static IN_CHILD bool fail_spawn(struct spawn_context *spawn, enum step step)
{
	spawn->failed = step;
	spawn->error = errno;
	return false;
}

static IN_CHILD void reset_signals(const sigset_t *which)
{
	struct sigaction standard;

	memset(&standard, 0, sizeof(standard));
	standard.sa_handler = SIG_DFL;
	for (int s = 1; s < NSIG; s++) {
		if (!which || sigismember(which, s) == 1)
			sigaction(s, &standard, NULL);
	}
}

/* The signals that this process ignores, as they are at the first start: to look at all of them
 * takes longer than the rest of what a start does outside of the kernel. */
static const sigset_t *ignored_signals(void)
{
	static sigset_t ignored;
	static bool known;
	struct sigaction now;

	if (known)
		return &ignored;
	sigemptyset(&ignored);
	for (int s = 1; s < NSIG; s++) {
		if (!sigaction(s, NULL, &now) && now.sa_handler == SIG_IGN)
			sigaddset(&ignored, s);
	}
	known = true;
	return &ignored;
}

static IN_CHILD bool set_limits(struct spawn_context *spawn)
{
	const struct exec_settings *settings = spawn->what->settings;

	if (nofile_before.rlim_max)
		setrlimit(RLIMIT_NOFILE, &nofile_before);
	for (size_t i = 0; i < settings->rlimit_count; i++) {
		if (syscall(SYS_prlimit64, 0, settings->rlimits[i].resource,
			    &settings->rlimits[i].limit, NULL))
			return fail_spawn(spawn, SET_LIMIT);
	}
	if (settings->nice_given && setpriority(PRIO_PROCESS, 0, settings->nice))
		return fail_spawn(spawn, SET_NICE);
	if (settings->umask >= 0)
		umask((mode_t)settings->umask);
	return true;
}

/* A descriptor's number above those that will be written over. */
static IN_CHILD int out_of_the_way(int fd)
{
	return fd > SPAWN_LISTEN_FD ? fd : fcntl(fd, F_DUPFD_CLOEXEC, SPAWN_LISTEN_FD + 1);
}

static IN_CHILD bool place_fds(struct spawn_context *spawn)
{
	const struct spawn *what = spawn->what;
	int from, error;

	if (spawn->shares) {
		if (child_fds_take(&from, &error))
			return fail_spawn(spawn, PLACE_FDS);
	} else {
		from = out_of_the_way(what->socket);
		error = what->stderr_fd < 0 ? from : out_of_the_way(what->stderr_fd);
	}
	if (from < 0 || error < 0 || dup2(from, STDIN_FILENO) < 0 ||
		dup2(from, STDOUT_FILENO) < 0 || dup2(error, STDERR_FILENO) < 0 ||
		(what->listen && dup2(from, SPAWN_LISTEN_FD) < 0))
		return fail_spawn(spawn, PLACE_FDS);
	/* What somebody else left open here is none of the program's business. ENOSYS before Linux
	 * 5.9: our own are close-on-exec anyway. */
	syscall(SYS_close_range, what->listen ? SPAWN_LISTEN_FD + 1 : SPAWN_LISTEN_FD, ~0u, 0);
	return true;
}

/* Bare system calls: those of libc would make all threads of the parent follow. */
static IN_CHILD bool drop_privileges(struct spawn_context *spawn)
{
	const struct exec_settings *settings = spawn->what->settings;

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (!settings->ids)
		return true;
	if (syscall(SYS_setgroups, settings->group_count, settings->groups) &&
		(errno != EPERM || settings->uid != geteuid()))
		return fail_spawn(spawn, SET_GROUPS);
	if (settings->gid != (gid_t)-1 &&
		syscall(SYS_setresgid, settings->gid, settings->gid, settings->gid))
		return fail_spawn(spawn, SET_GROUP);
	if (settings->uid != (uid_t)-1 &&
		syscall(SYS_setresuid, settings->uid, settings->uid, settings->uid))
		return fail_spawn(spawn, SET_USER);
	return true;
}

/* Into the environment, which is the child's alone by now. */
static IN_CHILD void write_pid(char *text)
{
	unsigned long pid = (unsigned long)syscall(SYS_getpid);
	char digits[10];
	int count = 0;

	do {
		digits[count++] = (char)('0' + pid % 10);
		pid /= 10;
	} while (pid);
	while (count)
		*text++ = digits[--count];
	*text = '\0';
}

/* Returns if the program cannot be executed. */
static IN_CHILD int become_program(void *argument)
{
	struct spawn_context *spawn = argument;
	const struct spawn *what = spawn->what;
	sigset_t none;

	reset_signals(spawn->ignored);
	setsid();
	if (spawn->cgroup_procs >= 0 && write(spawn->cgroup_procs, "0", 1) != 1) {
		fail_spawn(spawn, ENTER_CGROUP);
		return 127;
	}
	if (!set_limits(spawn))
		return 127;
	if (what->netns >= 0 && setns(what->netns, CLONE_NEWNET)) {
		fail_spawn(spawn, ENTER_NETNS);
		return 127;
	}
	if (!place_fds(spawn) || !drop_privileges(spawn))
		return 127;
	if (what->settings->chdir && chdir(what->settings->chdir)) {
		fail_spawn(spawn, ENTER_DIRECTORY);
		return 127;
	}
	if (what->pid_text)
		write_pid(what->pid_text);
	if (what->banner)
		send(STDIN_FILENO, what->banner, strlen(what->banner), MSG_DONTWAIT | MSG_NOSIGNAL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(what->path, what->settings->command.list, what->environment);
	fail_spawn(spawn, EXECUTE);
	return 127;
}

/* clone3 and, in the child, exit(run(argument)): libc has no function for it, and the child cannot
 * return from one on a new stack. -ENOSYS on machines that this does not know. */
static long clone3_and_run(struct clone_args *args, int (*run)(void *), void *argument)
{
#if defined(__x86_64__)
	long result;

	__asm__ volatile(
		"syscall\n\t"
		"test %%rax, %%rax\n\t"
		"jnz 1f\n\t"
		"mov %[argument], %%rdi\n\t"
		"call *%[run]\n\t"
		"mov %%eax, %%edi\n\t"
		"mov %[exit], %%eax\n\t"
		"syscall\n\t"
		"hlt\n"
		"1:"
		: "=a"(result)
		: "0"((long)SYS_clone3), "D"(args),
		"S"(sizeof(*args)), [run] "r"(run), [argument] "r"(argument), [exit] "i"(SYS_exit)
		: "rcx", "r11", "memory", "cc");
	return result;
#elif defined(__aarch64__)
	register long number __asm__("x8") = SYS_clone3;
	register long result __asm__("x0") = (long)args;
	register long size __asm__("x1") = sizeof(*args);

	__asm__ volatile("svc #0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x0, %[argument]\n\t"
			 "blr %[run]\n\t"
			 "mov x8, %[exit]\n\t"
			 "svc #0\n"
			 "1:"
			 : "+r"(result)
			 : "r"(number),
			 "r"(size), [run] "r"(run), [argument] "r"(argument), [exit] "i"(SYS_exit)
			 : "memory", "cc");
	return result;
#else
	(void)args, (void)run, (void)argument;
	return -ENOSYS;
#endif
}

/* Where the program starts; -1: where the caller is. */
static int start_cgroup(const struct spawn *what)
{
	return what->cgroup < 0 ? cgroup_home() : what->cgroup;
}

/* Where clone3 is not to be had, as under some containers' filters: the child goes into its cgroup
 * by itself, which takes the kernel longer. */
static long clone_and_run(struct spawn_context *spawn, char *stack, int *pidfd)
{
	int cgroup = start_cgroup(spawn->what);
	cleanup_close int procs =
		cgroup < 0 ? -1 : openat(cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	int pid;

	spawn->cgroup_procs = procs;
	spawn->ignored = NULL;
	pid = clone(become_program, stack + STACK_SIZE,
		CLONE_VM | CLONE_VFORK | CLONE_PIDFD | (spawn->shares ? CLONE_FILES : 0) | SIGCHLD,
		spawn, pidfd);
	return pid < 0 ? -errno : pid;
}

static long start_child(struct spawn_context *spawn, int *pidfd)
{
	alignas(16) char stack[STACK_SIZE];
	int cgroup = start_cgroup(spawn->what);
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND |
			 (spawn->shares ? CLONE_FILES : 0) | (cgroup < 0 ? 0 : CLONE_INTO_CGROUP),
		.pidfd = (uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)stack,
		.stack_size = sizeof(stack),
		.cgroup = cgroup < 0 ? 0 : (uint64_t)cgroup,
	};
	long result = clone3_and_run(&args, become_program, spawn);

	return result == -ENOSYS ? clone_and_run(spawn, stack, pidfd) : result;
}

static int explain_spawn(const struct spawn_context *spawn, struct err *err)
{
	const struct exec_settings *settings = spawn->what->settings;

	switch (spawn->failed) {
	case SET_LIMIT:
		return err_errno(err, -spawn->error, "setting its rlimits");
	case SET_NICE:
		return err_errno(
			err, -spawn->error, "setting its nice value to %d", settings->nice);
	case ENTER_NETNS:
		return err_errno(
			err, -spawn->error, "entering network namespace %s", settings->netns);
	case PLACE_FDS:
		return err_errno(err, -spawn->error, "placing its descriptors");
	case SET_GROUPS:
	case SET_GROUP:
		return err_errno(err, -spawn->error, "becoming group %d", (int)settings->gid);
	case SET_USER:
		return err_errno(err, -spawn->error, "becoming user %s (%d)",
			settings->user ? settings->user : "", (int)settings->uid);
	case ENTER_DIRECTORY:
		return err_errno(err, -spawn->error, "entering directory %s", settings->chdir);
	case ENTER_CGROUP:
		return err_errno(err, -spawn->error, "entering its cgroup");
	default:
		return err_errno(err, -spawn->error, "cannot execute %s", spawn->what->path);
	}
}

int spawn(
	const struct spawn *what, pid_t *pid_out, int *pidfd_out, bool *no_cgroup, struct err *err)
{
	struct spawn_context spawn = {
		.what = what, .ignored = ignored_signals(), .cgroup_procs = -1};
	struct spawn outside = *what;
	cleanup_close int pidfd = -1;
	sigset_t all, before;
	long pid;

	*no_cgroup = false;
	spawn.shares =
		!child_fds_fill(what->socket, what->stderr_fd < 0 ? what->socket : what->stderr_fd);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = start_child(&spawn, &pidfd);
	if (pid < 0 && what->cgroup >= 0 && pid != -EAGAIN && pid != -ENOMEM && pid != -EMFILE &&
		pid != -ENFILE) {
		outside.cgroup = -1;
		spawn.what = &outside;
		pid = start_child(&spawn, &pidfd);
		*no_cgroup = true;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (spawn.shares)
		child_fds_clear();
	if (pid == -ENOMEM || pid == -EMFILE || pid == -ENFILE)
		return err_errno(err, -EAGAIN, "clone (%s)", strerrordesc_np((int)-pid));
	if (pid < 0)
		return err_errno(err, (int)pid, "clone");
	if (spawn.failed != NOTHING) {
		waitpid((pid_t)pid, NULL, 0);
		return explain_spawn(&spawn, err);
	}
	*pid_out = (pid_t)pid;
	*pidfd_out = take_fd(&pidfd);
	return 0;
}
