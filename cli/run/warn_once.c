// SPDX-License-Identifier: BSD-2-Clause
// Prints messages, and remembers them.
#include "cli/run/warn_once.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A program that binds ever new addresses must not fill the memory; the log has seen enough. */
#define MOST_TEXTS 256

void say_once(struct said *said, const char *text)
{
	say_once_of(said, text, text);
}

void say_once_of(struct said *said, const char *key, const char *text)
{
	char **list;

	for (size_t i = 0; i < said->count; i++) {
		if (!strcmp(said->texts[i], key))
			return;
	}
	if (said->count == MOST_TEXTS)
		return;
	fprintf(stderr, "socketbox run: %s\n", text);
	list = reallocarray(said->texts, said->count + 1, sizeof(*list));
	if (!list)
		return;
	said->texts = list;
	list[said->count] = strdup(key);
	if (list[said->count])
		said->count++;
}

void said_fini(struct said *said)
{
	for (size_t i = 0; i < said->count; i++)
		free(said->texts[i]);
	free(said->texts);
}
