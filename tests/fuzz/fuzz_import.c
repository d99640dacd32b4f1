// SPDX-License-Identifier: BSD-2-Clause
// The importers take any text: what they print can be loaded, but for what this machine lacks. The
// first byte says which importer; systemd's two units are divided by a line "%%".
#include <sanitizer/lsan_interface.h>
#include <string.h>

#include "cli/import/import.h"
#include "daemon/config/config.h"
#include "exec/exec_settings.h"
#include "tests/fuzz/fuzz.h"

/* See fuzz_config.c. */
const char *__lsan_default_suppressions(void)
{
	return "leak:libfyaml.so";
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

/* A note in the output tells of these too. */
static bool is_of_this_machine(const char *line)
{
	return strstr(line, "there is no user") || strstr(line, "there is no group") ||
	       strstr(line, "is not in this machine's list") || strstr(line, "the banner's file") ||
	       strstr(line, "a banner has");
}

static void check_yaml(const char *yaml, size_t size)
{
	struct diagnostics diagnostics = {0};
	struct config *config = NULL;

	config_parse("out.yaml", yaml, size, &config, &diagnostics);
	for (size_t i = 0; i < diagnostics.count && diagnostics.errors; i++) {
		const char *line = diagnostics.lines[i];

		if (strstr(line, ": error: ") && !is_of_this_machine(line)) {
			fprintf(stderr, "%s\n%s\n", yaml, line);
			abort();
		}
	}
	/* A service without its own exec: would be one that claims. */
	for (size_t s = 0; config && s < config->service_count; s++)
		FUZZ_REQUIRE(config->services[s].exec && config->services[s].exec->command.count);
	config_free(config);
	diagnostics_fini(&diagnostics);
}

static int import(const char *text, FILE *out, FILE *warnings, struct err *err)
{
	char *service, name[64];
	int result;

	if (text[0] == 'x')
		return import_xinetd("f", text + 1, out, warnings, err);
	service = strstr(text, "\n%%\n");
	if (service) {
		*service = '\0';
		service += strlen("\n%%\n");
	}
	result = import_systemd_service("u.socket", text, name, sizeof(name), err);
	return result ? result : import_systemd("u.socket", text, service, out, warnings, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *yaml = NULL, *said = NULL, *text = malloc(size + 1);
	size_t yaml_size, said_size;
	FILE *out = open_memstream(&yaml, &yaml_size),
	     *warnings = open_memstream(&said, &said_size);
	struct err err = {0};
	int result;

	FUZZ_REQUIRE(text && out && warnings);
	memcpy(text, data, size);
	text[size] = '\0';
	result = import(text, out, warnings, &err);
	fclose(out);
	fclose(warnings);
	if (result)
		FUZZ_REQUIRE(err.text[0] && !yaml_size);
	else
		check_yaml(yaml, yaml_size);
	for (size_t i = 0; i < said_size; i++)
		FUZZ_REQUIRE(said[i] == '\n' || (said[i] >= ' ' && said[i] < 0x7f));
	free(text);
	free(yaml);
	free(said);
	return 0;
}
