// SPDX-License-Identifier: BSD-2-Clause
// socketbox check: reads a configuration as the daemon would.
#include <stdio.h>

#include "cli/subcommands.h"
#include "daemon/config/config.h"
#include "daemon/routes/route_table.h"

int check_main(int argc, char **argv, struct err *err)
{
	const char *path = argc > 1 ? argv[1] : CONFIG_DEFAULT_PATH;
	struct diagnostics diagnostics = {0};
	struct config *config = NULL;
	struct table table = {0};
	int result;

	if (argc > 2 || path[0] == '-') {
		err_set(err, -1, "one file at most");
		return EXIT_USAGE;
	}
	result = config_load(path, &config, &diagnostics);
	for (size_t i = 0; i < diagnostics.count; i++)
		fprintf(stderr, "%s\n", diagnostics.lines[i]);
	diagnostics_fini(&diagnostics);
	if (!result)
		result = table_build(config, TABLE_OF_PACKETS, &table, err);
	if (!result)
		printf("%s: ok: %zu services, %zu routes\n", path, config->service_count,
			config->route_count);
	table_fini(&table);
	config_free(config);
	return result ? EXIT_FAILED : EXIT_DONE;
}
