// SPDX-License-Identifier: BSD-2-Clause
// Diagnostics with places, mappings by tables, and the scalars that several keys have.
#include "daemon/config/reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

struct config_place reader_place(const struct reader *reader, const struct yaml_node *node)
{
	return (struct config_place){reader->file, node->line, node->column};
}

#define REPORT(kind)                                                                          \
	cleanup_free char *text = NULL;                                                       \
	va_list args;                                                                         \
	va_start(args, format);                                                               \
	if (vasprintf(&text, format, args) < 0)                                               \
		text = NULL;                                                                  \
	va_end(args);                                                                         \
	diagnostics_##kind(reader->diagnostics, reader->file, node->line, node->column, "%s", \
		text ? text : "out of memory")

void reader_error(struct reader *reader, const struct yaml_node *node, const char *format, ...)
{
	REPORT(error);
}

void reader_warning(struct reader *reader, const struct yaml_node *node, const char *format, ...)
{
	REPORT(warning);
}

void reader_no_memory(struct reader *reader)
{
	if (!reader->out_of_memory)
		diagnostics_error(reader->diagnostics, reader->file, 0, 0, "out of memory");
	reader->out_of_memory = true;
}

/* Levenshtein distance, for short words. */
static size_t key_distance(const char *a, const char *b)
{
	size_t rows = strlen(a), columns = strlen(b), row[65];

	if (columns > 64 || rows > 64)
		return 64;
	for (size_t j = 0; j <= columns; j++)
		row[j] = j;
	for (size_t i = 1; i <= rows; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= columns; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[columns];
}

const char *reader_suggest(const char *text, const char *(*candidate)(const void *list, size_t i),
	const void *list, size_t count)
{
	size_t nearest = strlen(text) / 3 + 2; /* one more than may differ */
	const char *found = NULL;

	for (size_t i = 0; i < count; i++) {
		size_t away = key_distance(text, candidate(list, i));

		if (away < nearest && away < strlen(text)) {
			nearest = away;
			found = candidate(list, i);
		}
	}
	return found;
}

static const char *key_name(const void *list, size_t i)
{
	return ((const struct reader_key *)list)[i].name;
}

static void unknown_key(struct reader *reader, const struct yaml_node *key, const char *what,
	const struct reader_key *keys, size_t count)
{
	const char *meant = reader_suggest(key->text, key_name, keys, count);
	char known[512] = "";

	for (size_t i = 0; i < count; i++) {
		strcat(known, i ? ", " : "");
		strcat(known, keys[i].name);
	}
	if (meant)
		reader_error(reader, key, "unknown key '%s' in %s; did you mean '%s'?", key->text,
			what, meant);
	else
		reader_error(reader, key, "unknown key '%s' in %s; it may have: %s", key->text,
			what, known);
}

void reader_mapping(struct reader *reader, const struct yaml_node *node, const char *what,
	const struct reader_key *keys, size_t key_count, void *target)
{
	const struct yaml_node *seen[READER_MAX_KEYS] = {0};

	if (yaml_is_null(node))
		return;
	if (node->kind != YAML_MAPPING) {
		reader_error(reader, node, "%s must be a mapping, such as {%s: ...}", what,
			keys[0].name);
		return;
	}
	for (const struct yaml_node *key = node->first; key; key = key->next->next) {
		size_t k = 0;

		while (k < key_count && strcmp(keys[k].name, key->text) != 0)
			k++;
		if (k == key_count) {
			unknown_key(reader, key, what, keys, key_count);
		} else if (seen[k]) {
			reader_error(reader, key,
				"'%s' stands here for the second time; the first is in line %u",
				key->text, seen[k]->line);
		} else {
			seen[k] = key;
			keys[k].read(reader, key->next, target);
		}
	}
}

void reader_each(struct reader *reader, const struct yaml_node *node, const char *what,
	void (*read)(struct reader *reader, const struct yaml_node *element, void *target),
	void *target)
{
	if (node->kind != YAML_SEQUENCE) {
		read(reader, node, target);
		return;
	}
	if (!node->first)
		reader_error(reader, node, "%s is an empty list; leave the key out", what);
	for (const struct yaml_node *element = node->first; element; element = element->next)
		read(reader, element, target);
}

const char *reader_text(struct reader *reader, const struct yaml_node *node, const char *what)
{
	if (node->kind == YAML_SCALAR && !yaml_is_null(node))
		return node->text;
	reader_error(reader, node,
		node->kind == YAML_SCALAR ? "%s has no value" : "%s must be a single value", what);
	return NULL;
}

bool reader_number(const char *text, unsigned long least, unsigned long most, unsigned long *out)
{
	unsigned long number = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		number = number * 10 + (unsigned long)(*text - '0');
		if (number > most)
			return false;
	}
	if (number < least)
		return false;
	*out = number;
	return true;
}

bool reader_ports(const char *text, struct config_ports *out)
{
	const char *dash = strchr(text, '-');
	unsigned long first, last;
	char head[8] = "";

	if (!dash) {
		if (!reader_number(text, 1, 65535, &first))
			return false;
		*out = (struct config_ports){(uint16_t)first, (uint16_t)first};
		return true;
	}
	if ((size_t)(dash - text) >= sizeof(head))
		return false;
	memcpy(head, text, (size_t)(dash - text));
	if (!reader_number(head, 1, 65535, &first) || !reader_number(dash + 1, 1, 65535, &last) ||
		first > last)
		return false;
	*out = (struct config_ports){(uint16_t)first, (uint16_t)last};
	/* Nothing is served on port 0, and "any port" needs no port prefixes. */
	if (first == 1 && last == 65535)
		out->first = 0;
	return true;
}

bool reader_duration(struct reader *reader, const struct yaml_node *node, uint32_t *out_ms)
{
	static const struct {
		const char *unit;
		unsigned long ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	const char *text = reader_text(reader, node, "a duration");
	unsigned long number;
	char digits[16] = "";
	size_t length;

	if (!text)
		return false;
	length = strspn(text, "0123456789");
	if (!strcmp(text, "0")) {
		*out_ms = 0;
		return true;
	}
	if (length && length < sizeof(digits))
		memcpy(digits, text, length);
	for (size_t u = 0; u < sizeof(units) / sizeof(*units); u++) {
		if (strcmp(text + length, units[u].unit) != 0 ||
			!reader_number(digits, 0, 3600000 / units[u].ms, &number))
			continue;
		*out_ms = (uint32_t)(number * units[u].ms);
		return true;
	}
	reader_error(reader, node,
		"'%s' is not a duration; write a number with its unit, such as 500ms, 10s or 2m, up to 1h",
		text);
	return false;
}
