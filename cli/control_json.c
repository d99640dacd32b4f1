// SPDX-License-Identifier: BSD-2-Clause
// Talks to the daemon about text.
#include "cli/control_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

const char *control_json_path(const char *option)
{
	const char *environment = getenv("SOCKETBOX_CONTROL");

	if (option)
		return option;
	return environment && *environment ? environment : WIRE_DEFAULT_PATH;
}

/* Not with json_loadfd, which asks the kernel for each byte. */
static int load_control_json(int *fd, json_t **out, struct err *err)
{
	cleanup_fclose FILE *file = fdopen(*fd, "r");
	json_error_t fault;

	if (!file)
		return err_errno(err, -errno, "reading socketboxd's answer");
	take_fd(fd);
	*out = json_loadf(file, 0, &fault);
	if (!*out)
		return err_set(err, -EPROTO, "socketboxd's answer cannot be read: %s", fault.text);
	return 0;
}

int control_json_ask(const char *path, const void *request, json_t **out, struct err *err)
{
	cleanup_close int connection = -1;
	cleanup_close int fd = -1;
	struct wire_text answer;
	json_t *object = NULL;
	int result = control_client_connect(path, &connection, err);

	if (!result)
		result = control_client_ask(
			connection, request, -1, WIRE_TEXT, &answer, sizeof(answer), &fd, err);
	if (!result)
		result = load_control_json(&fd, &object, err);
	if (!result)
		*out = object;
	return result;
}

const char *control_json_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

json_int_t control_json_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

int control_json_options(int argc, char **argv, const char **path, bool *json, struct err *err)
{
	const char *option = NULL;
	int kept = 0;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--control") && i + 1 < argc)
			option = argv[++i];
		else if (!strcmp(argv[i], "--json") && json)
			*json = true;
		else if (argv[i][0] == '-')
			return err_set(err, -EINVAL, "unknown option '%s', or its value is missing",
				argv[i]);
		else
			argv[kept++] = argv[i];
	}
	*path = control_json_path(option);
	return kept;
}
