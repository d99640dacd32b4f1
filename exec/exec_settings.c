// SPDX-License-Identifier: BSD-2-Clause
// Makes, completes and frees settings.
#include "exec/exec_settings.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define NO_ID ((uid_t)-1)

int exec_words_add(struct exec_words *words, const char *text)
{
	char **list = reallocarray(words->list, words->count + 2, sizeof(*list));

	if (!list)
		return -ENOMEM;
	words->list = list;
	list[words->count] = strdup(text);
	if (!list[words->count])
		return -ENOMEM;
	list[++words->count] = NULL;
	return 0;
}

static void words_free(struct exec_words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->list[i]);
	free(words->list);
}

static int no_exec_settings_memory(struct err *err)
{
	return err_errno(err, -ENOMEM, "exec settings");
}

struct exec_settings *exec_settings_new(void)
{
	struct exec_settings *settings = malloc(sizeof(*settings));

	if (settings)
		*settings = (struct exec_settings){
			.uid = NO_ID,
			.gid = NO_ID,
			.umask = -1,
			.bounds = {.instances = EXEC_DEFAULT_INSTANCES, .source_length = 128},
			.kill_signal = SIGTERM,
			.stop_timeout_ms = EXEC_DEFAULT_STOP_TIME_MS,
		};
	return settings;
}

void exec_settings_free(struct exec_settings *settings)
{
	if (!settings)
		return;
	words_free(&settings->command);
	words_free(&settings->env);
	words_free(&settings->pass_env);
	free(settings->user);
	free(settings->home);
	free(settings->shell);
	free(settings->groups);
	free(settings->rlimits);
	free(settings->chdir);
	free(settings->netns);
	free(settings->bounds.allow.list);
	free(settings->bounds.deny.list);
	free(settings->banner);
	free(settings->banner_start);
	free(settings);
}

/* As initgroups(3) would set them. */
static int find_groups(struct exec_settings *settings, struct err *err)
{
	int count = 0;

	getgrouplist(settings->user, settings->gid, NULL, &count);
	settings->groups = calloc((size_t)count + 1, sizeof(gid_t));
	if (!settings->groups)
		return no_exec_settings_memory(err);
	if (getgrouplist(settings->user, settings->gid, settings->groups, &count) < 0)
		return err_set(
			err, -EINVAL, "the groups of user %s cannot be read", settings->user);
	settings->group_count = (size_t)count;
	return 0;
}

int exec_settings_finish(struct exec_settings *settings, struct err *err)
{
	const struct exec_bounds *bounds = &settings->bounds;

	if (!settings->command.count)
		return err_set(
			err, -EINVAL, "no command is named; write command: [/usr/sbin/sshd, -i]");
	if (settings->wait && (bounds->per_source || bounds->allow.count || bounds->deny.count ||
				      settings->banner || settings->banner_start))
		return err_set(err, -EINVAL,
			"with wait the program accepts connections itself, so per-source, allow-from, deny-from and banners cannot be; leave them out");
	if (settings->uid != NO_ID && settings->gid == NO_ID)
		return err_set(err, -EINVAL,
			"user %u is not in this machine's list, so its group is not known; name a group too",
			settings->uid);
	if (settings->user && !settings->groups_given)
		return find_groups(settings, err);
	return 0;
}
