// SPDX-License-Identifier: BSD-2-Clause
// Lists what the event loop does, and hands the list to the kernel.
#include "daemon/privileges/syscall_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/sockios.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

/* Those of which the arguments do not matter. glibc and the libraries choose between old and new
 * forms of a call, so all are here. */
static const int calls[] = {
	/* what is open */
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(pread64),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(lseek),
	SCMP_SYS(close),
	SCMP_SYS(close_range),
	SCMP_SYS(dup),
	SCMP_SYS(dup2),
	SCMP_SYS(dup3),
	SCMP_SYS(fcntl),
	SCMP_SYS(pipe),
	SCMP_SYS(pipe2),
	SCMP_SYS(splice),
	SCMP_SYS(memfd_create),
	SCMP_SYS(ftruncate),
	/* what there is */
	SCMP_SYS(stat),
	SCMP_SYS(lstat),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(statfs),
	SCMP_SYS(fstatfs),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(getcwd),
	SCMP_SYS(getdents64),
	SCMP_SYS(inotify_init1),
	SCMP_SYS(inotify_add_watch),
	SCMP_SYS(inotify_rm_watch),
	/* Unix sockets at paths, and a service's empty cgroup */
	SCMP_SYS(chmod),
	SCMP_SYS(fchmod),
	SCMP_SYS(fchmodat),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(rmdir),
	/* sockets */
	SCMP_SYS(bind),
	SCMP_SYS(listen),
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(connect),
	SCMP_SYS(shutdown),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(recvmmsg),
	/* the event loop */
	SCMP_SYS(epoll_create),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
#ifdef __SNR_epoll_pwait2
	SCMP_SYS(epoll_pwait2),
#endif
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(select),
	SCMP_SYS(pselect6),
	SCMP_SYS(eventfd2),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	/* signals, and programs that run */
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(kill),
	SCMP_SYS(tgkill),
	SCMP_SYS(pidfd_open),
	SCMP_SYS(pidfd_send_signal),
	SCMP_SYS(wait4),
	SCMP_SYS(waitid),
	/* memory; mmap and mprotect are below */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	/* itself */
	SCMP_SYS(futex),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(membarrier),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(getpid),
	SCMP_SYS(getppid),
	SCMP_SYS(gettid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(getrusage),
	SCMP_SYS(getrandom),
	SCMP_SYS(uname),
	SCMP_SYS(sysinfo),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

static const unsigned long requests[] = {FIONBIO, FIONREAD, SIOCOUTQ, TCGETS};
static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

/* Of bpf(2). Programs are loaded, links made and objects pinned by then. */
static const int commands[] = {
	BPF_MAP_CREATE,
	BPF_MAP_LOOKUP_ELEM,
	BPF_MAP_UPDATE_ELEM,
	BPF_MAP_DELETE_ELEM,
	BPF_MAP_GET_NEXT_KEY,
	BPF_OBJ_GET_INFO_BY_FD,
	BPF_PROG_TEST_RUN,
};

static int allow_call(scmp_filter_ctx filter, int call)
{
	int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);

	/* A call that this kind of machine never had. */
	return result == -EDOM || result == -EFAULT ? 0 : result;
}

/* Lets the call through where argument `index`, but for bits that are not in `mask`, is `value`. */
static int allow_if(scmp_filter_ctx filter, int call, unsigned index, uint64_t mask, uint64_t value)
{
	struct scmp_arg_cmp compare = SCMP_CMP64(index, SCMP_CMP_MASKED_EQ, mask, value);
	int result = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &compare);

	return result == -EDOM || result == -EFAULT ? 0 : result;
}

static int allow_sockets(scmp_filter_ctx filter)
{
	int result = 0;

	for (size_t i = 0; !result && i < COUNT(families); i++) {
		result = allow_if(filter, SCMP_SYS(socket), 0, UINT32_MAX, (unsigned)families[i]);
		if (!result)
			result = allow_if(
				filter, SCMP_SYS(socketpair), 0, UINT32_MAX, (unsigned)families[i]);
	}
	for (size_t i = 0; !result && i < COUNT(requests); i++)
		result = allow_if(filter, SCMP_SYS(ioctl), 1, UINT32_MAX, requests[i]);
	return result;
}

/* To read alone, and nothing new. */
static int allow_files(scmp_filter_ctx filter)
{
	uint64_t writes = O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);
	int result = allow_if(filter, SCMP_SYS(open), 1, writes, O_RDONLY);

	return result ? result : allow_if(filter, SCMP_SYS(openat), 2, writes, O_RDONLY);
}

/* Code comes from files, as that of libraries for user names does, and is not written to. */
static int allow_memory(scmp_filter_ctx filter)
{
	struct scmp_arg_cmp of_file[] = {
		SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, PROT_WRITE, 0),
		SCMP_CMP64(3, SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, 0),
	};
	int result = allow_if(filter, SCMP_SYS(mmap), 2, PROT_EXEC, 0);

	if (!result)
		result = seccomp_rule_add_array(
			filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), COUNT(of_file), of_file);
	return result ? result : allow_if(filter, SCMP_SYS(mprotect), 2, PROT_EXEC, 0);
}

/* Reads limits, and sets none. */
static int allow_limits(scmp_filter_ctx filter)
{
	int result = allow_if(filter, SCMP_SYS(prlimit64), 2, UINT64_MAX, 0);

	return result ? result : allow_call(filter, SCMP_SYS(getrlimit));
}

static int add_call_rules(scmp_filter_ctx filter)
{
	int result = allow_sockets(filter);

	if (!result)
		result = allow_files(filter);
	if (!result)
		result = allow_memory(filter);
	if (!result)
		result = allow_limits(filter);
	for (size_t i = 0; !result && i < COUNT(commands); i++)
		result = allow_if(filter, SCMP_SYS(bpf), 0, UINT32_MAX, (unsigned)commands[i]);
	for (size_t i = 0; !result && i < COUNT(calls); i++)
		result = allow_call(filter, calls[i]);
	return result;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
	!(defined(__x86_64__) || defined(__aarch64__))
/* Sanitizers make calls of their own, and 32-bit machines others. */
int filter_load(struct err *err)
{
	(void)add_rules;
	return err_set(err, -ENOSYS, "there is no filter of system calls for this kind of build");
}
#else
int filter_load(struct err *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int result = filter ? 0 : -ENOMEM;

	/* Refusals are to be seen. Before Linux 4.14 they are not. */
	if (!result)
		seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	if (!result)
		seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!result)
		result = add_call_rules(filter);
	if (!result)
		result = seccomp_load(filter);
	seccomp_release(filter);
	return result ? err_errno(err, result, "filtering system calls") : 0;
}
#endif
