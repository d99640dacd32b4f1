// SPDX-License-Identifier: BSD-2-Clause
// Prints, as JSON, what a program has from whoever started it; then reads stdin to its end if it is
// called with "stay", or sleeps for as many ms as it is told, and exits with status 0.
#include <dirent.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

extern char **environ;

static void print_text(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\' || *text < ' ')
			printf("\\u%04x", *text);
		else
			putchar(*text);
	}
	putchar('"');
}

static void print_ids(void)
{
	gid_t groups[64];
	int count = getgroups(64, groups);
	uid_t real, effective, saved;

	getresuid(&real, &effective, &saved);
	printf("\"uids\": [%u, %u, %u], ", real, effective, saved);
	getresgid(&real, &effective, &saved);
	printf("\"gids\": [%u, %u, %u], \"groups\": [", real, effective, saved);
	for (int i = 0; i < count; i++)
		printf("%s%u", i ? ", " : "", groups[i]);
	printf("], ");
}

static void print_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	const char *separator = "";
	struct dirent *entry;

	printf("\"fds\": {");
	while ((entry = readdir(directory))) {
		char target[256];
		ssize_t length =
			readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1);

		if (entry->d_name[0] == '.' || length < 0 ||
			atoi(entry->d_name) == dirfd(directory))
			continue;
		target[length] = '\0';
		printf("%s\"%s\": ", separator, entry->d_name);
		print_text(target);
		separator = ", ";
	}
	printf("}, ");
	closedir(directory);
}

static void print_signals(void)
{
	sigset_t blocked;
	int blocks = 0, ignores = 0;

	sigprocmask(SIG_SETMASK, NULL, &blocked);
	for (int s = 1; s < NSIG; s++) {
		struct sigaction action;

		blocks += sigismember(&blocked, s) == 1;
		ignores += !sigaction(s, NULL, &action) && action.sa_handler == SIG_IGN;
	}
	printf("\"blocked\": %d, \"ignored\": %d, ", blocks, ignores);
}

static void print_limit(const char *name, int resource)
{
	struct rlimit limit;

	getrlimit(resource, &limit);
	printf("\"%s\": [%lld, %lld], ", name, (long long)limit.rlim_cur,
		(long long)limit.rlim_max);
}

static void print_link(const char *name, const char *path)
{
	char target[256];
	ssize_t length = readlink(path, target, sizeof(target) - 1);

	target[length < 0 ? 0 : length] = '\0';
	printf("\"%s\": ", name);
	print_text(target);
	printf(", ");
}

int main(int argc, char **argv)
{
	mode_t mask = umask(0);
	char line[512], byte;
	FILE *cgroup;

	printf("{");
	print_ids();
	print_fds();
	print_signals();
	print_limit("nofile", RLIMIT_NOFILE);
	print_limit("core", RLIMIT_CORE);
	print_link("netns", "/proc/self/ns/net");
	print_link("cwd", "/proc/self/cwd");
	printf("\"umask\": %u, \"nice\": %d, \"pid\": %d, \"sid\": %d, \"dumpable\": %d, ", mask,
		getpriority(PRIO_PROCESS, 0), getpid(), getsid(0), prctl(PR_GET_DUMPABLE));
	cgroup = fopen("/proc/self/cgroup", "r");
	while (cgroup && fgets(line, sizeof(line), cgroup)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::", 3))
			continue;
		printf("\"cgroup\": ");
		print_text(line + 3);
		printf(", ");
	}
	printf("\"argv\": [");
	for (int i = 0; i < argc; i++) {
		printf(i ? ", " : "");
		print_text(argv[i]);
	}
	printf("], \"env\": [");
	for (int i = 0; environ[i]; i++) {
		printf(i ? ", " : "");
		print_text(environ[i]);
	}
	printf("]}\n");
	fflush(stdout);
	while (argc > 1 && !strcmp(argv[1], "stay") && read(STDIN_FILENO, &byte, 1) > 0)
		continue;
	if (argc > 2 && !strcmp(argv[1], "sleep"))
		usleep((useconds_t)atoi(argv[2]) * 1000);
	return 0;
}
