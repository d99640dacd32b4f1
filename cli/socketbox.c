// SPDX-License-Identifier: BSD-2-Clause
// socketbox: finds the subcommand and prints what went wrong. Called by the name ctrtool, it is
// that tool.
#include <stdio.h>
#include <string.h>

#include "build_info.h"
#include "cli/open/spec.h"
#include "cli/subcommands.h"

static const struct {
	const char *name;
	int (*main)(int argc, char **argv, struct err *err);
	const char *usage;
} subcommands[] = {
	{"run", run_main,
		"SERVICE [--isolate] [--address A]... [--no-addresses] [--listen-fds | --preload[=PATH]] -- PROGRAM [ARGUMENTS]\n"
		"       socketbox run --trace -- PROGRAM [ARGUMENTS]"},
	{"open", open_main,
		"[--netns PATH|PID|NAME] [--userns] SPEC... -- PROGRAM [ARGUMENTS]\n" SPEC_GRAMMAR},
	{"query", query_main, "[FD] [--json]"},
	{"status", status_main, "[--json]"},
	{"top", top_main, "[--interval TIME] [--once | --batch N]"},
	{"explain", explain_main, "PROTOCOL LOCAL PORT [REMOTE] [--json]"},
	{"check", check_main, "[FILE]"},
	{"reload", reload_main, ""},
	{"drain", drain_main, "SERVICE [--timeout TIME] | --end SERVICE"},
	{"inetd", inetd_main, "[OPTIONS] SOCKET PROGRAM [ARGUMENTS]"},
	{"import", import_main, "xinetd FILE | systemd UNIT.socket"},
	{"relay", relay_main,
		"[OPTIONS] (--listen ADDR:PORT | --receive SOCKET | --fd N)... (BACKEND... | -N PREFIX)"},
};

static void print_usage(FILE *out)
{
	for (size_t i = 0; i < sizeof(subcommands) / sizeof(*subcommands); i++)
		fprintf(out, "%s socketbox %s %s\n", i ? "      " : "usage:", subcommands[i].name,
			subcommands[i].usage);
	fputs("run, status, top, explain, reload and drain take --control PATH (or $SOCKETBOX_CONTROL). See socketbox(1).\n",
		out);
}

static int be_ctrtool(int argc, char **argv)
{
	struct err err = {0};
	int status = ctrtool_main(argc - 1, argv + 1, &err);

	if (err.text[0])
		fprintf(stderr, "ctrtool: %s\n", err.text);
	return status;
}

/* Some subcommands are also programs: links of that name. A copy of this one may have any other. */
static const char *linked_verb(const char *program)
{
	static const char prefix[] = "socketbox-";
	const char *slash = strrchr(program, '/');
	const char *name = slash ? slash + 1 : program;

	if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
		return NULL;
	for (size_t i = 0; i < sizeof(subcommands) / sizeof(*subcommands); i++) {
		if (!strcmp(subcommands[i].name, name + sizeof(prefix) - 1))
			return subcommands[i].name;
	}
	return NULL;
}

static int run_verb(const char *name, int argc, char **argv)
{
	struct err err = {0};

	for (size_t i = 0; i < sizeof(subcommands) / sizeof(*subcommands); i++) {
		int status;

		if (strcmp(name, subcommands[i].name) != 0)
			continue;
		status = subcommands[i].main(argc, argv, &err);
		if (status && err.text[0])
			fprintf(stderr, "socketbox %s: %s\n", subcommands[i].name, err.text);
		if (status == EXIT_USAGE)
			fprintf(stderr, "usage: socketbox %s %s\n", subcommands[i].name,
				subcommands[i].usage);
		return status;
	}
	fprintf(stderr, "socketbox: there is no subcommand '%s'\n", name);
	print_usage(stderr);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	const char *linked = argc ? linked_verb(argv[0]) : NULL;

	if (argc && !strcmp(basename(argv[0]), "ctrtool"))
		return be_ctrtool(argc, argv);
	if (linked)
		return run_verb(linked, argc, argv);
	if (argc < 2) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		print_usage(stdout);
		return EXIT_DONE;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("socketbox " SOCKETBOX_BUILD_VERSION);
		return EXIT_DONE;
	}
	return run_verb(argv[1], argc - 1, argv + 1);
}
