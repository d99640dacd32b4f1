// SPDX-License-Identifier: BSD-2-Clause
// Reads options by the table of settings.
#include "cli/inetd/inetd_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

#define MOST_KEYS 32

static int set_mode(struct inetd_options *options, const char *text, struct err *err)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	if (text[0] < '0' || text[0] > '7' || *end || mode > 0777)
		return err_set(err, -EINVAL,
			"--mode: '%s' is not a mode; write an octal number such as 0660", text);
	options->mode = (int)mode;
	return 0;
}

static int set_key(struct exec_settings *settings, const struct exec_key *key, const char *value,
	bool *seen, struct err *err)
{
	bool once = key->shape == EXEC_KEY_VALUE || key->shape == EXEC_KEY_FLAG;

	if (once && seen[key - exec_keys])
		return err_set(err, -EINVAL, "--%s is given twice", key->name);
	seen[key - exec_keys] = true;
	if (key->set(settings, value, err))
		return err_prefix(err, "--%s", key->name);
	return 0;
}

/* One option at argv[*at]; *at goes to its last word. */
static int read_inetd_option(
	int argc, char **argv, int *at, struct inetd_options *out, bool *seen, struct err *err)
{
	const char *word = argv[*at] + 2, *equals = strchr(word, '=');
	size_t length = equals ? (size_t)(equals - word) : strlen(word);
	cleanup_free char *name = strndup(word, length);
	const struct exec_key *key = name ? exec_key_find(name) : NULL;
	bool is_mode = name && !strcmp(name, "mode");
	const char *value = equals ? equals + 1 : NULL;

	if ((!key && !is_mode) || !strcmp(name, "command"))
		return err_set(err, -EINVAL, "unknown option '--%.60s'; see socketbox-inetd(1)",
			name ? name : "");
	if (!value && key && key->shape == EXEC_KEY_FLAG)
		value = "true";
	if (!value && *at + 1 < argc)
		value = argv[++*at];
	if (!value)
		return err_set(err, -EINVAL, "a value for '--%s' is missing: %s", name,
			key ? key->value : "OCTAL");
	return is_mode ? set_mode(out, value, err) : set_key(out->settings, key, value, seen, err);
}

int inetd_options_read(int argc, char **argv, struct inetd_options *out, struct err *err)
{
	bool seen[MOST_KEYS] = {false};
	int at = 1, result = 0;

	*out = (struct inetd_options){.settings = exec_settings_new(), .mode = -1};
	if (!out->settings || exec_key_count > MOST_KEYS)
		return err_errno(err, -ENOMEM, "options");
	for (; !result && at < argc && !strncmp(argv[at], "--", 2) && argv[at][2]; at++)
		result = read_inetd_option(argc, argv, &at, out, seen, err);
	if (!result && at < argc && !strcmp(argv[at], "--"))
		at++;
	if (!result && argc - at < 2)
		result = err_set(err, -EINVAL,
			argc == at
				? "a socket is missing: a path, or an inherited descriptor's number"
				: "a program is missing");
	if (result)
		return result;
	out->socket = argv[at];
	while (!result && ++at < argc)
		result = exec_key_find("command")->set(out->settings, argv[at], err);
	/* Started from a shell or a unit that has set its environment, and not by a daemon. */
	if (!out->settings->pass_env.count)
		out->settings->pass_all = true;
	return result ? result : exec_settings_finish(out->settings, err);
}
