// SPDX-License-Identifier: BSD-2-Clause
// The table of keys, and what each of them sets.
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "exec/exec_settings.h"
#include "exec/values.h"

#define NO_ID ((uid_t)-1)

static int no_exec_key_memory(struct err *err)
{
	return err_errno(err, -ENOMEM, "exec settings");
}

static int add_word(struct exec_words *words, const char *text, struct err *err)
{
	return exec_words_add(words, text) ? no_exec_key_memory(err) : 0;
}

static int replace_exec_key(char **where, const char *text, struct err *err)
{
	char *copy = strdup(text);

	if (!copy)
		return no_exec_key_memory(err);
	free(*where);
	*where = copy;
	return 0;
}

static int set_command(struct exec_settings *settings, const char *text, struct err *err)
{
	if (!settings->command.count && !*text)
		return err_set(err, -EINVAL, "the program's name is empty; write its path");
	return add_word(&settings->command, text, err);
}

static int set_user(struct exec_settings *settings, const char *text, struct err *err)
{
	const struct passwd *entry = getpwnam(text);
	struct err ignored;
	long number;

	if (!entry && !value_number(text, 0, 0xfffffffe, "a user", &number, &ignored))
		entry = getpwuid((uid_t)number);
	else
		number = -1;
	if (!entry && number < 0)
		return err_set(err, -EINVAL,
			"there is no user '%s' on this machine; create it, or write its number",
			text);
	settings->ids = true;
	settings->uid = entry ? entry->pw_uid : (uid_t)number;
	if (!entry)
		return 0;
	if (settings->gid == NO_ID)
		settings->gid = entry->pw_gid;
	if (replace_exec_key(&settings->user, entry->pw_name, err) ||
		replace_exec_key(&settings->home, entry->pw_dir, err) ||
		replace_exec_key(&settings->shell, entry->pw_shell, err))
		return -ENOMEM;
	return 0;
}

static int find_exec_key_group(const char *text, gid_t *out, struct err *err)
{
	const struct group *entry = getgrnam(text);
	struct err ignored;
	long number;

	if (entry)
		*out = entry->gr_gid;
	else if (!value_number(text, 0, 0xfffffffe, "a group", &number, &ignored))
		*out = (gid_t)number;
	else
		return err_set(err, -EINVAL,
			"there is no group '%s' on this machine; create it, or write its number",
			text);
	return 0;
}

static int set_group(struct exec_settings *settings, const char *text, struct err *err)
{
	settings->ids = true;
	return find_exec_key_group(text, &settings->gid, err);
}

static int set_groups(struct exec_settings *settings, const char *text, struct err *err)
{
	gid_t gid = 0, *list;
	int result;

	settings->ids = settings->groups_given = true;
	if (!strcmp(text, "none"))
		return 0;
	result = find_exec_key_group(text, &gid, err);
	if (result)
		return result;
	list = reallocarray(settings->groups, settings->group_count + 1, sizeof(*list));
	if (!list)
		return no_exec_key_memory(err);
	settings->groups = list;
	list[settings->group_count++] = gid;
	return 0;
}

static int set_nice(struct exec_settings *settings, const char *text, struct err *err)
{
	long number;
	int result = value_number(text, -20, 19, "a nice value", &number, err);

	if (!result) {
		settings->nice_given = true;
		settings->nice = (int)number;
	}
	return result;
}

static int set_umask(struct exec_settings *settings, const char *text, struct err *err)
{
	char *end;
	unsigned long mask = strtoul(text, &end, 8);

	if (text[0] < '0' || text[0] > '7' || *end || mask > 0777)
		return err_set(err, -EINVAL,
			"'%s' is not a umask; write an octal number from 000 to 777, such as 027",
			text);
	settings->umask = (int)mask;
	return 0;
}

static int set_rlimit(struct exec_settings *settings, const char *text, struct err *err)
{
	struct exec_rlimit limit, *list;
	int result = value_rlimit(text, &limit, err);

	if (result)
		return result;
	list = reallocarray(settings->rlimits, settings->rlimit_count + 1, sizeof(*list));
	if (!list)
		return no_exec_key_memory(err);
	settings->rlimits = list;
	list[settings->rlimit_count++] = limit;
	return 0;
}

static int set_env(struct exec_settings *settings, const char *text, struct err *err)
{
	const char *equals = strchr(text, '=');

	if (!equals || equals == text)
		return err_set(err, -EINVAL, "'%s' is not a variable; write NAME=VALUE", text);
	return add_word(&settings->env, text, err);
}

static int set_pass_env(struct exec_settings *settings, const char *text, struct err *err)
{
	if (!strcmp(text, "all")) {
		settings->pass_all = true;
		return 0;
	}
	if (!*text || strchr(text, '='))
		return err_set(err, -EINVAL,
			"'%s' is not a variable's name; write names only, or all", text);
	return add_word(&settings->pass_env, text, err);
}

static int set_chdir(struct exec_settings *settings, const char *text, struct err *err)
{
	if (text[0] != '/')
		return err_set(
			err, -EINVAL, "'%s' is not an absolute path; write it from '/' on", text);
	return replace_exec_key(&settings->chdir, text, err);
}

static int set_netns(struct exec_settings *settings, const char *text, struct err *err)
{
	if (!*text || strlen(text) > 255)
		return err_set(err, -EINVAL,
			"'%.60s' is not a network namespace; write a name of ip-netns(8), a pid or a path",
			text);
	return replace_exec_key(&settings->netns, text, err);
}

static int set_cgroup(struct exec_settings *settings, const char *text, struct err *err)
{
	static const char *const words[] = {"own", "none", NULL};
	unsigned which;
	int result = value_word(text, words, &which, err);

	if (!result)
		settings->no_cgroup = which == 1;
	return result;
}

static int set_count(const char *text, const char *what, unsigned *out, struct err *err)
{
	long number;
	int result;

	if (!strcmp(text, "unlimited")) {
		*out = 0;
		return 0;
	}
	result = value_number(text, 1, 1000000, what, &number, err);
	if (!result)
		*out = (unsigned)number;
	return result;
}

static int set_instances(struct exec_settings *settings, const char *text, struct err *err)
{
	return set_count(
		text, "a number of processes or unlimited", &settings->bounds.instances, err);
}

static int set_when_full(struct exec_settings *settings, const char *text, struct err *err)
{
	static const char *const words[] = {"wait", "refuse", NULL};
	unsigned which;
	int result = value_word(text, words, &which, err);

	if (!result)
		settings->bounds.refuse = which == 1;
	return result;
}

static int set_per_source(struct exec_settings *settings, const char *text, struct err *err)
{
	const char *slash = strchr(text, '/');
	cleanup_free char *count = strndup(text, slash ? (size_t)(slash - text) : strlen(text));
	long length = 128;
	int result;

	if (!count)
		return no_exec_key_memory(err);
	result = set_count(count,
		"a number of processes for one client address, such as 5 or, each IPv6 /64 being one, 5/64",
		&settings->bounds.per_source, err);
	if (!result && slash)
		result = value_number(
			slash + 1, 1, 128, "the length of an IPv6 prefix", &length, err);
	if (!result)
		settings->bounds.source_length = (unsigned)length;
	return result;
}

static int set_rate(struct exec_settings *settings, const char *text, struct err *err)
{
	return value_rate(text, &settings->bounds.rate, err);
}

static int add_exec_key_prefix(struct exec_prefixes *prefixes, const char *text, struct err *err)
{
	struct addr_prefix prefix, *list;
	int result = addr_prefix_parse(text, &prefix, err);

	if (result)
		return result;
	list = reallocarray(prefixes->list, prefixes->count + 1, sizeof(*list));
	if (!list)
		return no_exec_key_memory(err);
	prefixes->list = list;
	list[prefixes->count++] = prefix;
	return 0;
}

static int set_allow(struct exec_settings *settings, const char *text, struct err *err)
{
	return add_exec_key_prefix(&settings->bounds.allow, text, err);
}

static int set_deny(struct exec_settings *settings, const char *text, struct err *err)
{
	return add_exec_key_prefix(&settings->bounds.deny, text, err);
}

static int set_exec_key_text(char **where, const char *text, struct err *err)
{
	char *banner;
	int result = value_banner(text, &banner, err);

	if (result)
		return result;
	free(*where);
	*where = banner;
	return 0;
}

static int set_banner(struct exec_settings *settings, const char *text, struct err *err)
{
	return set_exec_key_text(&settings->banner, text, err);
}

static int set_banner_start(struct exec_settings *settings, const char *text, struct err *err)
{
	return set_exec_key_text(&settings->banner_start, text, err);
}

static int set_stderr(struct exec_settings *settings, const char *text, struct err *err)
{
	static const char *const words[] = {"log", "socket", "null", NULL};
	unsigned which;
	int result = value_word(text, words, &which, err);

	if (!result)
		settings->stderr_to = (enum exec_stderr)which;
	return result;
}

static int set_wait(struct exec_settings *settings, const char *text, struct err *err)
{
	static const char *const words[] = {"false", "true", NULL};
	unsigned which;
	int result = value_word(text, words, &which, err);

	if (!result)
		settings->wait = which == 1;
	return result;
}

static int set_log(struct exec_settings *settings, const char *text, struct err *err)
{
	static const char *const words[] = {"all", "failures", NULL};
	unsigned which;
	int result = value_word(text, words, &which, err);

	if (!result)
		settings->log_failures_only = which == 1;
	return result;
}

static int set_max_time(struct exec_settings *settings, const char *text, struct err *err)
{
	return value_duration(text, &settings->max_time_ms, err);
}

static int set_on_stop(struct exec_settings *settings, const char *text, struct err *err)
{
	static const char *const words[] = {"leave", "end", NULL};
	unsigned which;
	int result = value_word(text, words, &which, err);

	if (!result)
		settings->end_with_us = which == 1;
	return result;
}

static int set_kill_signal(struct exec_settings *settings, const char *text, struct err *err)
{
	return value_signal(text, &settings->kill_signal, err);
}

static int set_stop_timeout(struct exec_settings *settings, const char *text, struct err *err)
{
	return value_duration(text, &settings->stop_timeout_ms, err);
}

const struct exec_key exec_keys[] = {
	{"command", EXEC_KEY_LIST, "PROGRAM", set_command},
	{"user", EXEC_KEY_VALUE, "USER", set_user},
	{"group", EXEC_KEY_VALUE, "GROUP", set_group},
	{"groups", EXEC_KEY_LIST, "GROUP|none", set_groups},
	{"nice", EXEC_KEY_VALUE, "N", set_nice},
	{"umask", EXEC_KEY_VALUE, "OCTAL", set_umask},
	{"rlimit", EXEC_KEY_PAIRS, "NAME=SOFT[:HARD]", set_rlimit},
	{"env", EXEC_KEY_PAIRS, "NAME=VALUE", set_env},
	{"pass-env", EXEC_KEY_LIST, "NAME|all", set_pass_env},
	{"chdir", EXEC_KEY_VALUE, "DIRECTORY", set_chdir},
	{"netns", EXEC_KEY_VALUE, "NAME|PID|PATH", set_netns},
	{"cgroup", EXEC_KEY_VALUE, "own|none", set_cgroup},
	{"instances", EXEC_KEY_VALUE, "N|unlimited", set_instances},
	{"when-full", EXEC_KEY_VALUE, "wait|refuse", set_when_full},
	{"per-source", EXEC_KEY_VALUE, "N[/LENGTH]", set_per_source},
	{"rate", EXEC_KEY_VALUE, "N/s[ burst N]", set_rate},
	{"allow-from", EXEC_KEY_LIST, "PREFIX", set_allow},
	{"deny-from", EXEC_KEY_LIST, "PREFIX", set_deny},
	{"banner", EXEC_KEY_VALUE, "TEXT|@FILE", set_banner},
	{"banner-start", EXEC_KEY_VALUE, "TEXT|@FILE", set_banner_start},
	{"stderr", EXEC_KEY_VALUE, "log|socket|null", set_stderr},
	{"wait", EXEC_KEY_FLAG, "", set_wait},
	{"log", EXEC_KEY_VALUE, "all|failures", set_log},
	{"max-time", EXEC_KEY_VALUE, "DURATION", set_max_time},
	{"on-stop", EXEC_KEY_VALUE, "leave|end", set_on_stop},
	{"kill-signal", EXEC_KEY_VALUE, "SIGNAL", set_kill_signal},
	{"stop-timeout", EXEC_KEY_VALUE, "DURATION", set_stop_timeout},
};
const size_t exec_key_count = sizeof(exec_keys) / sizeof(*exec_keys);

const struct exec_key *exec_key_find(const char *name)
{
	for (size_t k = 0; k < exec_key_count; k++) {
		if (!strcmp(exec_keys[k].name, name))
			return &exec_keys[k];
	}
	return NULL;
}
