// SPDX-License-Identifier: BSD-2-Clause
// systemd's syntax.
#include "cli/import/unit.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"

static char *trim_unit(char *text)
{
	size_t length;

	text += strspn(text, " \t\r");
	length = strlen(text);
	while (length && strchr(" \t\r", text[length - 1]))
		text[--length] = '\0';
	return text;
}

/* Makes lines that end with a backslash one with the next. */
static void join_lines(char *text)
{
	for (; *text; text++) {
		if (text[0] == '\\' && text[1] == '\n')
			text[0] = text[1] = ' ';
	}
}

int unit_read(const char *text, const char *name, struct section *out)
{
	cleanup_free char *copy = strdup(text);
	char *next = copy, *line;
	bool inside = false;

	if (!copy)
		return -ENOMEM;
	join_lines(copy);
	while ((line = strsep(&next, "\n"))) {
		char *equals = strchr(line, '='), *value;
		struct section_entry *entry;
		size_t length;

		line = trim_unit(line);
		length = strlen(line);
		if (*line == '[') {
			inside = length > 2 && line[length - 1] == ']' &&
				 strlen(name) == length - 2 && !strncmp(line + 1, name, length - 2);
			continue;
		}
		if (!inside || *line == '#' || *line == ';' || !equals)
			continue;
		*equals = '\0';
		value = trim_unit(equals + 1);
		entry = section_entry(out, trim_unit(line));
		if (!entry)
			continue; /* more names than any unit has */
		if (!*value)
			section_clear(entry);
		else if (exec_words_add(&entry->words, value))
			return -ENOMEM;
	}
	return 0;
}

/* One word at *text, without its quotes, into word. */
static bool take_unit_word(const char **text, char *word)
{
	char quote = 0;

	for (; **text && (quote || !strchr(" \t", **text)); (*text)++) {
		if (quote ? **text == quote : **text == '"' || **text == '\'') {
			quote = quote ? 0 : **text;
		} else if (**text == '\\' && (*text)[1]) {
			(*text)++;
			*word++ = **text == 'n'	  ? '\n'
				  : **text == 't' ? '\t'
				  : **text == 's' ? ' '
						  : **text;
		} else {
			*word++ = **text;
		}
	}
	*word = '\0';
	return !quote;
}

bool unit_split(const char *text, struct exec_words *out)
{
	cleanup_free char *word = malloc(strlen(text) + 1);

	while (word && *(text += strspn(text, " \t"))) {
		if (!take_unit_word(&text, word) || exec_words_add(out, word))
			return false;
	}
	return word != NULL;
}

bool unit_time(const char *text, uint64_t *out_ms)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"", 1000}, {"ms", 1}, {"msec", 1}, {"s", 1000}, {"sec", 1000}, {"m", 60000},
		{"min", 60000}, {"h", 3600000}, {"hr", 3600000}, {"d", 86400000}};
	uint64_t sum = 0;

	if (!strcmp(text, "infinity")) {
		*out_ms = 0;
		return true;
	}
	while (*text) {
		char *end, unit[8] = "";
		unsigned long number = strtoul(text, &end, 10);
		size_t length, u = 0, count = sizeof(units) / sizeof(*units);

		if (!isdigit((unsigned char)*text) || number > 10000000)
			return false;
		end += strspn(end, " ");
		length = strspn(end, "abcdefghijklmnopqrstuvwxyz");
		if (length < sizeof(unit))
			memcpy(unit, end, length);
		while (u < count && strcmp(units[u].unit, unit) != 0)
			u++;
		if (u == count || length >= sizeof(unit))
			return false;
		sum += number * units[u].ms;
		text = end + length + strspn(end + length, " ");
	}
	*out_ms = sum;
	return true;
}

bool unit_bool(const char *text)
{
	return !strcasecmp(text, "yes") || !strcasecmp(text, "true") || !strcasecmp(text, "on") ||
	       !strcmp(text, "1") || !strcasecmp(text, "y") || !strcasecmp(text, "t");
}
