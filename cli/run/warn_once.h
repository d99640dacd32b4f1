/* SPDX-License-Identifier: BSD-2-Clause */
/* What the launcher tells the user while the program runs, each thing once. */
#ifndef SOCKETBOX_CLI_RUN_WARN_ONCE_H
#define SOCKETBOX_CLI_RUN_WARN_ONCE_H

#include <stddef.h>

struct warned {
	char **texts;
	size_t count;
};

/* Prints the text on stderr, unless it has been printed already: servers that cannot bind try again
 * and again. */
void warn_once(struct warned *warned, const char *text);
/* The same, with what it is about as the key: another text of the same key is not printed. */
void warn_once_about(struct warned *warned, const char *key, const char *text);
void warned_fini(struct warned *warned);

#endif
