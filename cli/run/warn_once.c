// SPDX-License-Identifier: BSD-2-Clause
// Prints messages, and remembers them.
#include "cli/run/warn_once.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A program that binds ever new addresses must not fill the memory; the log has seen enough. */
#define MOST_TEXTS 256

void warn_once(struct warned *warned, const char *text)
{
	warn_once_about(warned, text, text);
}

void warn_once_about(struct warned *warned, const char *key, const char *text)
{
	char **list;

	for (size_t i = 0; i < warned->count; i++) {
		if (!strcmp(warned->texts[i], key))
			return;
	}
	if (warned->count == MOST_TEXTS)
		return;
	fprintf(stderr, "socketbox run: %s\n", text);
	list = reallocarray(warned->texts, warned->count + 1, sizeof(*list));
	if (!list)
		return;
	warned->texts = list;
	list[warned->count] = strdup(key);
	if (list[warned->count])
		warned->count++;
}

void warned_fini(struct warned *warned)
{
	for (size_t i = 0; i < warned->count; i++)
		free(warned->texts[i]);
	free(warned->texts);
}
