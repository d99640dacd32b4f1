// SPDX-License-Identifier: BSD-2-Clause
// Builds the filter with libseccomp, and loads it with seccomp(2): libseccomp 2.5 has no name for
// SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV.
#include "cli/run/notify_filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/net.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5) /* Linux 5.19 */
#endif

#define MAX_INSTRUCTIONS 4096

/* For the test that binds in a storm of signals: go without the flag, as kernels before 5.19 do. */
#define NO_FLAG_VARIABLE "SOCKETBOX_TEST_NO_WAIT_KILLABLE"

/* Lengths from 16 on, but for that of a sockaddr_un, as ranges that a masked comparison can tell:
 * Unix sockets are bound often, and must not wait for the launcher. Shorter ones, as many binds of
 * Unix sockets are, wait all the same. */
static int notify_binds(scmp_filter_ctx context)
{
	static const struct {
		uint32_t mask, value;
	} ranges[] = {
		{~15u, 16}, /* 16 to 31: sockaddr_in and sockaddr_in6 */
		{~31u, 32},
		{~31u, 64},
		{~7u, 96},
		{~3u, 104},
		{~1u, 108}, /* 110 is sizeof(struct sockaddr_un) */
		{~0u, 111},
		{~15u, 112},
	};
	int result = 0;

	for (size_t i = 0; !result && i < sizeof(ranges) / sizeof(*ranges); i++)
		result = seccomp_rule_add(context, SCMP_ACT_NOTIFY, SCMP_SYS(bind), 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, ranges[i].mask, ranges[i].value));
	if (!result) /* sockaddr_storage, and whatever is longer */
		result = seccomp_rule_add(
			context, SCMP_ACT_NOTIFY, SCMP_SYS(bind), 1, SCMP_A2(SCMP_CMP_GE, 128));
	return result;
}

static int add_notify_rules(scmp_filter_ctx context)
{
	int result = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);

#ifdef __x86_64__
	if (!result)
		result = seccomp_arch_add(context, SCMP_ARCH_X86);
	if (!result)
		result = seccomp_arch_add(context, SCMP_ARCH_X32);
#endif
	if (!result)
		result = notify_binds(context);
#ifdef __x86_64__
	/* The other way of 32-bit programs, where the length cannot be seen from here. */
	if (!result)
		result = seccomp_rule_add(context, SCMP_ACT_NOTIFY, SCMP_SYS(socketcall), 1,
			SCMP_A0(SCMP_CMP_EQ, SYS_BIND));
#endif
	if (!result)
		result = seccomp_rule_add(context, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
			SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, SIOCGSKNS));
	return result;
}

/* Compiles the filter into instructions. */
static int compile_notify(struct sock_filter *instructions, unsigned short *count)
{
	scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
	cleanup_close int file = memfd_create("filter", MFD_CLOEXEC);
	ssize_t length = -1;
	int result;

	if (!context || file < 0) {
		seccomp_release(context);
		return -ENOMEM;
	}
	result = add_notify_rules(context);
	if (!result)
		result = seccomp_export_bpf(context, file);
	seccomp_release(context);
	if (!result)
		length = pread(file, instructions, MAX_INSTRUCTIONS * sizeof(*instructions), 0);
	if (result || length <= 0)
		return result ? result : -EIO;
	*count = (unsigned short)((size_t)length / sizeof(*instructions));
	return 0;
}

static int load_notify(struct sock_fprog *program, unsigned long flags)
{
	int fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		SECCOMP_FILTER_FLAG_NEW_LISTENER | flags, program);

	return fd < 0 ? -errno : fd;
}

/* Without the flag a signal between our answer's two halves restarts bind on the replaced socket,
 * which the launcher recognises. */
static int load_best(struct sock_fprog *program)
{
	int fd = -EINVAL;

	if (!getenv(NO_FLAG_VARIABLE))
		fd = load_notify(program, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
	if (fd == -EINVAL)
		fd = load_notify(program, 0);
	return fd;
}

int filter_install(int *notify_fd, struct err *err)
{
	struct sock_filter instructions[MAX_INSTRUCTIONS];
	struct sock_fprog program = {.filter = instructions};
	int fd, result = compile_notify(instructions, &program.len);

	if (result)
		return err_errno(err, result, "building the seccomp filter");
	fd = load_best(&program);
	if (fd == -EACCES) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
			return err_errno(err, -errno, "no_new_privs");
		fd = load_best(&program);
	}
	if (fd == -EBUSY)
		return err_set(err, fd,
			"this process is under another program's seccomp notifier already (a container runtime's, or another 'socketbox run'), and a tree can have only one; start the service outside of it, or with --preload or --listen-fds");
	if (fd < 0)
		return err_errno(err, fd,
			"loading the seccomp filter (needs user notification with ADDFD, Linux 5.9, and no sandbox that forbids seccomp)");
	*notify_fd = fd;
	return 0;
}
