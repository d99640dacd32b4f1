// SPDX-License-Identifier: BSD-2-Clause
// A hash table of patterns. To match a name is to look up all that could match it.
#include "daemon/config/names.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

struct names {
	char **list; /* number n is at n - 1 */
	size_t count, room;
	uint32_t *slots;   /* numbers, 0: empty */
	size_t slot_count; /* a power of two, at least twice count */
};

struct names *names_new(void)
{
	return calloc(1, sizeof(struct names));
}

void names_free(struct names *names)
{
	if (!names)
		return;
	for (size_t i = 0; i < names->count; i++)
		free(names->list[i]);
	free(names->list);
	free(names->slots);
	free(names);
}

static bool is_label_character(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_';
}

int names_check(const char *pattern, struct err *err)
{
	const char *name = strncmp(pattern, "*.", 2) ? pattern : pattern + 2;
	size_t length = strlen(name), label = 0;

	if (strchr(name, '*'))
		return err_set(err, -EINVAL,
			"'%s' has a '*' elsewhere than in front; write a host name, or *.example.org for all names below example.org",
			pattern);
	if (!length || length > NAMES_MAX_LENGTH)
		return err_set(err, -EINVAL, "'%s' is not a host name of 1 to %d characters",
			pattern, NAMES_MAX_LENGTH);
	for (const char *c = name; *c; c++) {
		if (*c == '.' && label && label < 64 && c[1]) {
			label = 0;
			continue;
		}
		if (!is_label_character(*c))
			return err_set(err, -EINVAL,
				"'%s' is not a host name: write it as clients send it, letters, digits, '-' and '.' (münchen.example is xn--mnchen-3ya.example), without a dot at its end",
				pattern);
		label++;
	}
	if (label > 63)
		return err_set(
			err, -EINVAL, "'%s' has a label of more than 63 characters", pattern);
	return 0;
}

static size_t name_hash(const char *text)
{
	uint64_t value = 0xcbf29ce484222325ull;

	for (; *text; text++)
		value = (value ^ (uint8_t)*text) * 0x100000001b3ull;
	return (size_t)(value ^ value >> 32);
}

/* The slot that holds the text, or the empty one where it belongs. */
static uint32_t *find_name(const struct names *names, const char *text)
{
	size_t slot = name_hash(text) & (names->slot_count - 1);

	while (names->slots[slot] && strcmp(names->list[names->slots[slot] - 1], text) != 0)
		slot = (slot + 1) & (names->slot_count - 1);
	return &names->slots[slot];
}

static bool grow_name(struct names *names)
{
	size_t room = names->room ? names->room * 2 : 32;
	char **list;
	uint32_t *slots;

	if (names->count < names->room)
		return true;
	list = reallocarray(names->list, room, sizeof(*list));
	if (list)
		names->list = list;
	slots = calloc(room * 2, sizeof(*slots));
	if (!list || !slots) {
		free(slots);
		return false;
	}
	free(names->slots);
	names->room = room;
	names->slots = slots;
	names->slot_count = room * 2;
	for (size_t i = 0; i < names->count; i++)
		*find_name(names, names->list[i]) = (uint32_t)i + 1;
	return true;
}

static void lower_name(char *text)
{
	for (; *text; text++)
		*text = (char)tolower((unsigned char)*text);
}

uint32_t names_add(struct names *names, const char *pattern)
{
	cleanup_free char *text = strdup(pattern);
	uint32_t *slot;

	if (!text || !grow_name(names))
		return 0;
	lower_name(text);
	slot = find_name(names, text);
	if (!*slot) {
		names->list[names->count++] = take_ptr(&text);
		*slot = (uint32_t)names->count;
	}
	return *slot;
}

const char *names_text(const struct names *names, uint32_t number)
{
	return names->list[number - 1];
}

size_t names_match(const struct names *names, const char *name, uint32_t numbers[NAMES_MAX_MATCHES])
{
	char text[NAMES_MAX_LENGTH + 2]; /* '*' takes the place of a label's end */
	size_t count = 0;

	if (!names->count || strlen(name) > NAMES_MAX_LENGTH)
		return 0;
	strcpy(text, name);
	lower_name(text);
	if (*find_name(names, text))
		numbers[count++] = *find_name(names, text);
	for (char *dot = strchr(text, '.'); dot && count < NAMES_MAX_MATCHES;
		dot = strchr(dot + 1, '.')) {
		uint32_t number;

		if (dot == text)
			continue;
		dot[-1] = '*';
		number = *find_name(names, dot - 1);
		if (number)
			numbers[count++] = number;
	}
	return count;
}
