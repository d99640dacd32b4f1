/* SPDX-License-Identifier: BSD-2-Clause */
/* The control protocol as the subcommands use it: whom to ask, and answers of text. */
#ifndef SOCKETBOX_CLI_CONTROL_JSON_H
#define SOCKETBOX_CLI_CONTROL_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/control_client.h"

/* The control path: `option` if it is not NULL, else $SOCKETBOX_CONTROL, else the default. */
const char *control_json_path(const char *option);

/* Asks for text, such as WIRE_STATUS, and parses it. The caller owns *out. */
int control_json_ask(const char *path, const void *request, json_t **out, struct err *err);

/* A member of such an object: "" or 0 where there is none. The text is the object's. */
const char *control_json_text(const json_t *object, const char *key);
json_int_t control_json_number(const json_t *object, const char *key);

/* "--control PATH" and "--json", as all subcommands take them. argv keeps the other arguments, in
 * order, and their number is returned; -EINVAL for an unknown option. json may be NULL. */
int control_json_options(int argc, char **argv, const char **path, bool *json, struct err *err);

#endif
