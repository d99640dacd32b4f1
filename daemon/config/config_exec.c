// SPDX-License-Identifier: BSD-2-Clause
// Reads a service's `exec:` by the table of settings.
#include <string.h>

#include "common/cleanup.h"
#include "daemon/config/reader.h"
#include "exec/exec_settings.h"

/* The mapping that is being read, to tell by a value which key it has; and that key, within it. */
struct reading {
	const struct yaml_node *mapping;
	struct exec_settings *settings;
	const struct exec_key *key;
};

static void set_exec_key(struct reader *reader, const struct yaml_node *node,
	const struct reading *reading, const char *text)
{
	struct err err;

	if (reading->key->set(reading->settings, text, &err))
		reader_error(reader, node, "'%s': %s", reading->key->name, err.text);
}

static void read_element(struct reader *reader, const struct yaml_node *node, void *target)
{
	const struct reading *reading = target;
	bool is_word = node->kind == YAML_SCALAR && !strcmp(node->text, "null") &&
		       !strcmp(reading->key->name, "stderr");
	const char *text;

	/* An argument may be empty, if it is in quotes; and null is a word of one key. */
	text = node->kind == YAML_SCALAR && (node->quoted || is_word)
		       ? node->text
		       : reader_text(reader, node, "this");
	if (text)
		set_exec_key(reader, node, reading, text);
}

/* {NAME: VALUE} as "NAME=VALUE". */
static void read_pairs(
	struct reader *reader, const struct yaml_node *node, const struct reading *reading)
{
	if (node->kind != YAML_MAPPING) {
		reader_error(reader, node, "'%s' must be a mapping, such as {%s}",
			reading->key->name,
			!strcmp(reading->key->name, "env") ? "LANG: C" : "nofile: 1024");
		return;
	}
	for (const struct yaml_node *name = node->first; name; name = name->next->next) {
		const struct yaml_node *value = name->next;
		cleanup_free char *pair = NULL;

		if (value->kind != YAML_SCALAR || (yaml_is_null(value) && !value->quoted))
			reader_text(reader, value, "this variable or limit");
		else if (asprintf(&pair, "%s=%s", name->text, value->text) < 0)
			reader_no_memory(reader);
		else
			set_exec_key(reader, value, reading, pair);
	}
}

static void read_exec_key(struct reader *reader, const struct yaml_node *value, void *target)
{
	struct reading *reading = target;
	const struct yaml_node *name = reading->mapping->first;

	while (name->next != value)
		name = name->next->next;
	reading->key = exec_key_find(name->text);
	switch (reading->key->shape) {
	case EXEC_KEY_LIST:
		reader_each(reader, value, reading->key->name, read_element, reading);
		break;
	case EXEC_KEY_PAIRS:
		read_pairs(reader, value, reading);
		break;
	case EXEC_KEY_VALUE:
	case EXEC_KEY_FLAG:
		read_element(reader, value, reading);
		break;
	}
}

/* A daemon's own directory and environment are nobody's business; a path for looking up is. */
static void set_defaults(struct exec_settings *settings)
{
	struct err err;

	if (!settings->chdir)
		exec_key_find("chdir")->set(settings, "/", &err);
	if (settings->pass_all || settings->pass_env.count)
		return;
	exec_key_find("pass-env")->set(settings, "PATH", &err);
	exec_key_find("pass-env")->set(settings, "LANG", &err);
	exec_key_find("pass-env")->set(settings, "TZ", &err);
}

void exec_read(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct config_service *service = target;
	struct reader_key keys[READER_MAX_KEYS];
	struct reading reading = {.mapping = node, .settings = exec_settings_new()};
	size_t errors = reader->diagnostics->errors;
	struct err err;

	if (!reading.settings || exec_key_count > READER_MAX_KEYS) {
		exec_settings_free(reading.settings);
		reader_no_memory(reader);
		return;
	}
	for (size_t k = 0; k < exec_key_count; k++)
		keys[k] = (struct reader_key){exec_keys[k].name, read_exec_key};
	reader_mapping(reader, node, "'exec'", keys, exec_key_count, &reading);
	if (reader->diagnostics->errors == errors) {
		set_defaults(reading.settings);
		if (exec_settings_finish(reading.settings, &err))
			reader_error(reader, node, "'exec': %s", err.text);
	}
	service->exec = reading.settings;
}
