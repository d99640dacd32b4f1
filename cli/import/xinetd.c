// SPDX-License-Identifier: BSD-2-Clause
// xinetd.conf(5): blocks of attributes; `defaults` count for services that do not say otherwise.
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "cli/import/import.h"
#include "cli/import/xinetd_service.h"
#include "common/cleanup.h"

struct parser {
	struct writer writer;
	struct section defaults, service;
	char name[128];	  /* of the service whose block is open; "defaults" */
	bool named, open; /* "service NAME" was read; '{' too */
	unsigned line;
};

static int wrong_xinetd(const struct parser *parser, struct err *err, const char *what)
{
	return err_set(err, -EINVAL, "line %u: %s", parser->line, what);
}

/* The next word of *text, in place, or NULL. */
static char *take_xinetd_word(char **text)
{
	char *word = *text + strspn(*text, " \t\r");
	size_t length = strcspn(word, " \t\r");

	if (!length)
		return NULL;
	*text = word + length;
	if (**text)
		*(*text)++ = '\0';
	return word;
}

static void remove_word(struct exec_words *words, const char *word)
{
	for (size_t i = 0; i < words->count; i++) {
		if (strcmp(words->list[i], word) != 0)
			continue;
		free(words->list[i]);
		memmove(&words->list[i], &words->list[i + 1],
			(words->count - i) * sizeof(*words->list));
		words->count--;
		return;
	}
}

/* "+=" and "-=" change what defaults say. */
static int inherit_xinetd(struct parser *parser, const char *name)
{
	const struct section_entry *inherited = section_entry(&parser->defaults, name);
	int result = 0;

	for (size_t i = 0; !result && inherited && i < inherited->words.count; i++)
		result = section_add(&parser->service, name, inherited->words.list[i]);
	return result;
}

static int read_attribute(struct parser *parser, char *text, struct err *err)
{
	bool is_default = !strcmp(parser->name, "defaults");
	struct section *section = is_default ? &parser->defaults : &parser->service;
	char *equals = strchr(text, '='), *name, *word, *rest;
	char sign = equals && equals > text ? equals[-1] : ' ';
	struct section_entry *entry;
	size_t known = section->count;

	if (!equals)
		return wrong_xinetd(parser, err, "an attribute is 'NAME = VALUE'");
	*equals = '\0';
	if (sign == '+' || sign == '-')
		equals[-1] = '\0';
	rest = text;
	name = take_xinetd_word(&rest);
	if (!name)
		return wrong_xinetd(parser, err, "an attribute has no name");
	entry = section_entry(section, name);
	if (!entry) {
		writer_warn(
			&parser->writer, "line %u: %s: too many attributes", parser->line, name);
		return 0;
	}
	if (sign != '+' && sign != '-' && strcmp(name, "env") != 0)
		section_clear(entry);
	else if (!is_default && section->count > known && inherit_xinetd(parser, name))
		return err_errno(err, -ENOMEM, "importing");
	for (rest = equals + 1; (word = take_xinetd_word(&rest));) {
		if (sign == '-')
			remove_word(&entry->words, word);
		else if (section_add(section, name, word))
			return err_errno(err, -ENOMEM, "importing");
	}
	return 0;
}

/* Gives the service what only the defaults say. */
static int add_defaults(struct parser *parser, struct err *err)
{
	for (size_t i = 0; i < parser->defaults.count; i++) {
		const char *name = parser->defaults.entries[i].name;
		size_t known = parser->service.count;

		if (!strcmp(name, "disabled") || !strcmp(name, "enabled"))
			continue;
		if (section_entry(&parser->service, name) && parser->service.count > known &&
			inherit_xinetd(parser, name))
			return err_errno(err, -ENOMEM, "importing");
	}
	return 0;
}

static int close_xinetd_block(struct parser *parser, struct err *err)
{
	int result = 0;

	parser->open = parser->named = false;
	if (!strcmp(parser->name, "defaults"))
		return 0;
	result = add_defaults(parser, err);
	if (!result)
		result = xinetd_service_write(
			&parser->writer, parser->name, &parser->service, &parser->defaults, err);
	section_fini(&parser->service);
	return result;
}

/* A line outside of a block. */
static int read_heading(struct parser *parser, char *text, struct err *err)
{
	char *word = take_xinetd_word(&text), *name;

	if (parser->named && !strcmp(word, "{")) {
		parser->open = true;
		return 0;
	}
	if (parser->named)
		return wrong_xinetd(parser, err, "'{' is missing");
	name = take_xinetd_word(&text);
	if (!strcmp(word, "include") || !strcmp(word, "includedir")) {
		writer_warn(
			&parser->writer, "%s %s: import those files too", word, name ? name : "");
		return 0;
	}
	if (!strcmp(word, "defaults")) {
		strcpy(parser->name, "defaults");
	} else if (!strcmp(word, "service") && name && strlen(name) < sizeof(parser->name)) {
		strcpy(parser->name, name);
		name = take_xinetd_word(&text);
		if (!strcmp(parser->name, "defaults"))
			return wrong_xinetd(parser, err, "a service cannot be called defaults");
	} else {
		return wrong_xinetd(
			parser, err, "neither 'service NAME', 'defaults' nor an include");
	}
	parser->named = true;
	parser->open = name && !strcmp(name, "{");
	return 0;
}

static int read_line(struct parser *parser, char *text, struct err *err)
{
	text += strspn(text, " \t\r");
	if (!*text || *text == '#')
		return 0;
	if (!parser->open)
		return read_heading(parser, text, err);
	if (*text == '}')
		return close_xinetd_block(parser, err);
	return read_attribute(parser, text, err);
}

int import_xinetd(const char *file, const char *text, FILE *out, FILE *warnings, struct err *err)
{
	cleanup_free char *copy = strdup(text);
	cleanup_free struct parser *parser = calloc(1, sizeof(*parser));
	char *next = copy, *line;
	int result;

	if (!copy || !parser)
		return err_errno(err, -ENOMEM, "importing %s", file);
	result = writer_begin(&parser->writer, file, warnings, err);
	while (!result && (line = strsep(&next, "\n"))) {
		parser->line++;
		result = read_line(parser, line, err);
	}
	if (!result && (parser->named || parser->open))
		result = wrong_xinetd(parser, err, "the last block is not closed by '}'");
	/* What has been read until a fault is of no use. */
	writer_end(&parser->writer, result ? NULL : out);
	section_fini(&parser->defaults);
	section_fini(&parser->service);
	return result;
}
