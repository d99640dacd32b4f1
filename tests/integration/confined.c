// SPDX-License-Identifier: BSD-2-Clause
// confined FILE: becomes what the daemon's event loop is, and tries what somebody would who has
// taken it over: each line is an attempt and what came of it. Then what the agent can still do.
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/privileges/agent.h"
#include "daemon/privileges/capabilities.h"
#include "daemon/privileges/syscall_filter.h"

static const char *file;

static int start(void)
{
	char program[] = "/bin/true", *const words[] = {program, NULL};
	pid_t child = vfork();
	int status = 0;

	if (!child) {
		execv(program, words);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0)
		return -1;
	errno = EPERM;
	return status ? -1 : 0;
}

static int execute(void)
{
	char program[] = "/bin/true", *const words[] = {program, NULL};

	return execv(program, words);
}

static int write_file(void)
{
	return open(file, O_WRONLY);
}

static int make_file(void)
{
	return open(file, O_RDONLY | O_CREAT, 0600);
}

static int read_file(void)
{
	return open(file, O_RDONLY);
}

static int make_directory(void)
{
	return mkdir("/tmp/socketbox-confined", 0700);
}

static int make_executable(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? -1 : mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static int map_executable(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			       MAP_FAILED
		       ? -1
		       : 0;
}

static int load_program(void)
{
	const struct bpf_insn end[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};

	return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "nothing", "GPL", end, 2, NULL);
}

static int make_map(void)
{
	return bpf_map_create(BPF_MAP_TYPE_ARRAY, "something", 4, 4, 1, NULL);
}

static int enter_namespace(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY);

	return setns(fd, CLONE_NEWNET);
}

static int mount_something(void)
{
	return mount("none", "/mnt", "tmpfs", 0, NULL);
}

static int trace(void)
{
	return (int)ptrace(PTRACE_SEIZE, getppid(), 0, 0);
}

static int load_module(void)
{
	return (int)syscall(SYS_finit_module, 0, "", 0);
}

static int raw_packets(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0);
}

static int become_user(void)
{
	return (int)syscall(SYS_setuid, 65534); /* that of libc asks all threads */
}

static int ring(void)
{
	return (int)syscall(SYS_io_uring_setup, 1, NULL);
}

static const struct {
	const char *name;
	int (*make)(void);
} attempts[] = {
	{"start", start},
	{"execute", execute},
	{"write-file", write_file},
	{"make-file", make_file},
	{"make-directory", make_directory},
	{"make-executable", make_executable},
	{"map-executable", map_executable},
	{"load-program", load_program},
	{"enter-namespace", enter_namespace},
	{"mount", mount_something},
	{"trace", trace},
	{"load-module", load_module},
	{"raw-packets", raw_packets},
	{"become-user", become_user},
	{"io-uring", ring},
	{"read-file", read_file},
	{"make-map", make_map},
};

static void by_agent(void *unused)
{
	(void)unused;
	printf("agent-start %s\n", start() ? strerrorname_np(errno) : "ok");
}

int main(int argc, char **argv)
{
	struct err err;

	if (argc != 2)
		return 2;
	file = argv[1];
	if (agent_start(&err) || capabilities_keep_for_loop(&err) || filter_load(&err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	for (size_t i = 0; i < sizeof(attempts) / sizeof(*attempts); i++)
		printf("%s %s\n", attempts[i].name,
			attempts[i].make() < 0 ? strerrorname_np(errno) : "ok");
	agent_run(by_agent, NULL);
	return 0;
}
