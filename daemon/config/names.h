/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The TLS server names that routes test, each with a number by which the route table knows it. A
 * pattern is a host name, or "*." and one, which stands for all names below it, at any depth.
 */
#ifndef SOCKETBOX_DAEMON_NAMES_H
#define SOCKETBOX_DAEMON_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define NAMES_MAX_LENGTH 253 /* of a host name as text, RFC 1035, 2.3.4 */

/* A name matches itself and a pattern for each of its labels but the first, and no name matches. */
#define NAMES_MAX_MATCHES 128

struct names;

struct names *names_new(void);	      /* NULL out of memory */
void names_free(struct names *names); /* NULL is allowed */

/* -EINVAL with what is wrong with a pattern. Letters may be of either case. */
int names_check(const char *pattern, struct err *err);

/* The number of a pattern, from 1 on, new or known; 0 out of memory. */
uint32_t names_add(struct names *names, const char *pattern);

/* The pattern, in lower case; valid until names_free. */
const char *names_text(const struct names *names, uint32_t number);

/* Lists the numbers of the patterns that the name matches. */
size_t names_match(
	const struct names *names, const char *name, uint32_t numbers[NAMES_MAX_MATCHES]);

#endif
