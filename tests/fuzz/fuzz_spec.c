// SPDX-License-Identifier: BSD-2-Clause
// The notations for sockets: the first line is a spec, the second the words of a `ctrtool
// ns_open_file` command line. Either is understood as something that can be made, or refused in
// lines that people can read.
#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>

#include "cli/open/ctrtool_options.h"
#include "cli/open/spec.h"
#include "tests/fuzz/fuzz.h"

#define MOST_WORDS 64

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

/* The error has so many lines, without anything that would disturb a terminal. */
static void check_error(const struct err *err, size_t lines)
{
	FUZZ_REQUIRE(err->code < 0 && err->text[0]);
	for (const char *c = err->text; *c; c++) {
		if (*c == '\n')
			lines--;
		else
			FUZZ_REQUIRE((unsigned char)*c >= ' ' && *c != 0x7f);
	}
	FUZZ_REQUIRE(lines == 1);
}

static void check_ended(const char *text, size_t size)
{
	FUZZ_REQUIRE(memchr(text, '\0', size));
}

static void check_spec(const struct socket_spec *spec)
{
	check_ended(spec->scope, sizeof(spec->scope));
	check_ended(spec->interface, sizeof(spec->interface));
	check_ended(spec->owner, sizeof(spec->owner));
	check_ended(spec->name, sizeof(spec->name));
	check_ended(spec->place.netns, sizeof(spec->place.netns));
	FUZZ_REQUIRE(spec->address_size <= sizeof(struct sockaddr_un));
	FUZZ_REQUIRE(!spec->address_size || spec->address.ss_family == spec->domain);
	FUZZ_REQUIRE(spec->domain != AF_INET || spec->address_size == sizeof(struct sockaddr_in) ||
		     !spec->address_size);
	FUZZ_REQUIRE(spec->v6only >= -1 && spec->v6only <= 1);
	FUZZ_REQUIRE(spec->mode >= -1 && spec->mode <= 0777);
	FUZZ_REQUIRE(spec->backlog >= 0 && spec->defer_accept_s >= 0);
}

static void fuzz_spec(const char *text)
{
	struct socket_spec spec, untouched;
	struct err err = {0};

	memset(&spec, 0xa5, sizeof(spec));
	untouched = spec;
	if (spec_parse(text, &spec, &err)) {
		/* What it says ends with a caret below one of the characters that it shows. */
		const char *caret = strrchr(err.text, '\n');

		check_error(&err, 3);
		FUZZ_REQUIRE(caret && caret[strlen(caret) - 1] == '^');
		FUZZ_REQUIRE(!memcmp(&spec, &untouched, sizeof(spec)));
		return;
	}
	check_spec(&spec);
	FUZZ_REQUIRE(spec.address_size && spec.name[0] && !strchr(spec.name, ':'));
}

static void fuzz_ctrtool(char *line)
{
	char name[] = "ns_open_file", *argv[MOST_WORDS + 2] = {name}, *rest = NULL;
	struct ctrtool_options options;
	struct err err = {0};
	int argc = 1;

	for (char *word = strtok_r(line, " ", &rest); word && argc <= MOST_WORDS;
		word = strtok_r(NULL, " ", &rest))
		argv[argc++] = word;
	if (ctrtool_options_parse(argc, argv, &options, &err)) {
		check_error(&err, 1);
		FUZZ_REQUIRE(!options.specs);
		return;
	}
	FUZZ_REQUIRE(options.command[0]);
	for (size_t i = 0; i < options.count; i++)
		check_spec(&options.specs[i]);
	ctrtool_options_fini(&options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *second;

	FUZZ_REQUIRE(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	second = strchr(text, '\n');
	if (second)
		*second++ = '\0';
	fuzz_spec(text);
	if (second)
		fuzz_ctrtool(second);
	free(text);
	return 0;
}
