// SPDX-License-Identifier: BSD-2-Clause
// socketbox: finds the verb and prints what went wrong. Called by the name ctrtool, it is that
// tool.
#include <stdio.h>
#include <string.h>

#include "build_info.h"
#include "cli/open/spec.h"
#include "cli/verbs.h"

static const struct {
	const char *name;
	int (*main)(int argc, char **argv, struct err *err);
	const char *usage;
} verbs[] = {
	{"run", run_main,
		"SERVICE [--isolate] [--address A]... [--no-addresses] [--listen-fds] -- PROGRAM [ARGUMENTS]\n"
		"       socketbox run --trace -- PROGRAM [ARGUMENTS]"},
	{"open", open_main,
		"[--netns PATH|PID|NAME] [--userns] SPEC... -- PROGRAM [ARGUMENTS]\n" SPEC_GRAMMAR},
	{"query", query_main, "[FD] [--json]"},
	{"status", status_main, "[--json]"},
	{"explain", explain_main, "PROTOCOL LOCAL PORT [REMOTE] [--json]"},
	{"check", check_main, "[FILE]"},
	{"reload", reload_main, ""},
};

static void print_usage(FILE *out)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		fprintf(out, "%s socketbox %s %s\n", i ? "      " : "usage:", verbs[i].name,
			verbs[i].usage);
	fputs("run, status, explain and reload take --control PATH (or $SOCKETBOX_CONTROL). See socketbox(1).\n",
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

int main(int argc, char **argv)
{
	struct err err = {0};

	if (argc && !strcmp(basename(argv[0]), "ctrtool"))
		return be_ctrtool(argc, argv);
	if (argc < 2) {
		print_usage(stderr);
		return VERB_MISUSED;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		print_usage(stdout);
		return VERB_DONE;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("socketbox " SOCKETBOX_BUILD_VERSION);
		return VERB_DONE;
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		int status;

		if (strcmp(argv[1], verbs[i].name) != 0)
			continue;
		status = verbs[i].main(argc - 1, argv + 1, &err);
		if (status && err.text[0])
			fprintf(stderr, "socketbox %s: %s\n", verbs[i].name, err.text);
		if (status == VERB_MISUSED)
			fprintf(stderr, "usage: socketbox %s %s\n", verbs[i].name, verbs[i].usage);
		return status;
	}
	fprintf(stderr, "socketbox: there is no verb '%s'\n", argv[1]);
	print_usage(stderr);
	return VERB_MISUSED;
}
