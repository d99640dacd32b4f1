// SPDX-License-Identifier: BSD-2-Clause
// socketbox reload: makes the daemon read its configuration again, and prints what is wrong with
// it.
#include <stdio.h>

#include "cli/control_json.h"
#include "cli/subcommands.h"

int reload_main(int argc, char **argv, struct err *err)
{
	struct wire_header request = control_header(WIRE_RELOAD, sizeof(request));
	const char *path, *complaint;
	json_t *answer, *item;
	size_t i;
	int status, left = control_options(argc, argv, &path, NULL, err);

	if (left)
		return VERB_MISUSED;
	if (control_ask_json(path, &request, &answer, err))
		return VERB_FAILED;
	json_array_foreach(json_object_get(answer, "complaints"), i, item)
	{
		complaint = json_string_value(item);
		fprintf(stderr, "%s\n", complaint);
	}
	status = json_is_true(json_object_get(answer, "ok")) ? VERB_DONE : VERB_FAILED;
	if (status)
		err_set(err, -1, "the old configuration stays in force");
	json_decref(answer);
	return status;
}
