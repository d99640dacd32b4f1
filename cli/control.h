/* SPDX-License-Identifier: BSD-2-Clause */
/* The client side of the control protocol: one request, one answer. */
#ifndef SOCKETBOX_CLI_CONTROL_H
#define SOCKETBOX_CLI_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/wire.h"

/* The control path: `option` if it is not NULL, else $SOCKETBOX_CONTROL, else the default. */
const char *control_path(const char *option);

/* Connects; *fd is the caller's. A daemon that is not there is said with the path and the remedy.
 */
int control_connect(const char *path, int *fd, struct err *err);

/* The header of a message of this type and size. */
struct wire_header control_header(enum wire_type type, size_t size);

/*
 * Sends `request` (size in its header), with send_fd unless it is -1, and waits for the answer,
 * which must be of the type and size given. A descriptor that comes with it goes to *fd (-1 if
 * none), for the caller to close. -errno as the daemon said, with its words; -EPIPE where the
 * daemon is gone; -EPROTO for an answer that is none.
 */
int control_ask(int connection, const void *request, int send_fd, enum wire_type answer_type,
	void *answer, size_t answer_size, int *fd, struct err *err);

/* Asks for text, such as WIRE_STATUS, and parses it. The caller owns *out. */
int control_ask_json(const char *path, const void *request, json_t **out, struct err *err);

/* A member of such an object: "" or 0 where there is none. The text is the object's. */
const char *control_text(const json_t *object, const char *key);
json_int_t control_number(const json_t *object, const char *key);

/* "--control PATH" and "--json", as all verbs take them. argv keeps the other arguments, in order,
 * and their number is returned; -EINVAL for an unknown option. json may be NULL. */
int control_options(int argc, char **argv, const char **path, bool *json, struct err *err);

#endif
