/* SPDX-License-Identifier: BSD-2-Clause */
/* The socket options that a program may set before bind(2), and that have to go where its bind
 * goes. */
#ifndef SOCKETBOX_COMMON_SOCKOPTS_H
#define SOCKETBOX_COMMON_SOCKOPTS_H

#include <stddef.h>

struct sockopt {
	int level, name;
};

extern const struct sockopt sockopts[];
extern const size_t sockopts_count;

#endif
