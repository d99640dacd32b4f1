// SPDX-License-Identifier: BSD-2-Clause
// socketbox reload: makes the daemon read its configuration again, and prints what is wrong with
// it.
#include <stdio.h>

#include "cli/control_json.h"
#include "cli/subcommands.h"

int reload_main(int argc, char **argv, struct err *err)
{
	struct wire_header request = control_client_header(WIRE_RELOAD, sizeof(request));
	const char *path, *diagnostic;
	json_t *answer, *item;
	size_t i;
	int status, left = control_json_options(argc, argv, &path, NULL, err);

	if (left)
		return EXIT_USAGE;
	if (control_json_ask(path, &request, &answer, err))
		return EXIT_FAILED;
	json_array_foreach(json_object_get(answer, "diagnostics"), i, item)
	{
		diagnostic = json_string_value(item);
		fprintf(stderr, "%s\n", diagnostic);
	}
	status = json_is_true(json_object_get(answer, "ok")) ? EXIT_DONE : EXIT_FAILED;
	if (status)
		err_set(err, -1, "the old configuration stays in force");
	json_decref(answer);
	return status;
}
