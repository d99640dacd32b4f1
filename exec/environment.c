// SPDX-License-Identifier: BSD-2-Clause
// Collects variables, later ones in place of earlier ones.
#include "exec/environment.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

/* What says something about the caller, or about a client that is not this one. */
static const char *const never_passed[] = {
	"PROTO",
	"TCP*",
	"UDP*",
	"UNIX*",
	"SSL*",
	"REMOTE_*",
	"LISTEN_*",
	"NOTIFY_SOCKET",
	"WATCHDOG_*",
	"JOURNAL_STREAM",
	"INVOCATION_ID",
	"MAINPID",
	"MANAGERPID",
	"SYSTEMD_EXEC_PID",
	"FDSTORE",
	"MEMORY_PRESSURE_*",
	"CREDENTIALS_DIRECTORY",
	"RUNTIME_DIRECTORY",
	"STATE_DIRECTORY",
};

static int set_variable(struct exec_words *out, const char *variable)
{
	size_t length = strcspn(variable, "=") + 1;

	for (size_t i = 0; i < out->count; i++) {
		char *copy;

		if (strncmp(out->list[i], variable, length) != 0)
			continue;
		copy = strdup(variable);
		if (!copy)
			return -ENOMEM;
		free(out->list[i]);
		out->list[i] = copy;
		return 0;
	}
	return exec_words_add(out, variable);
}

__attribute__((format(printf, 3, 4))) static void put(
	struct exec_words *out, int *result, const char *format, ...)
{
	char text[1024];
	va_list args;

	if (*result)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	*result = set_variable(out, text);
}

static bool is_passed(const struct exec_settings *settings, const char *variable)
{
	size_t length = strcspn(variable, "=");
	cleanup_free char *name = strndup(variable, length);

	for (size_t i = 0; name && i < settings->pass_env.count; i++) {
		if (!strcmp(settings->pass_env.list[i], name))
			return true;
	}
	if (!name || !settings->pass_all)
		return false;
	for (size_t i = 0; i < sizeof(never_passed) / sizeof(*never_passed); i++) {
		if (!fnmatch(never_passed[i], name, 0))
			return false;
	}
	return true;
}

/* As ucspi-unix has it; systemd says nothing about Unix clients. */
static void describe_unix(struct exec_words *out, int *result, const struct client *client)
{
	put(out, result, "PROTO=UNIX");
	put(out, result, "UNIXLOCALPATH=%s", client->local_path);
	put(out, result, "UNIXREMOTEPATH=%s", client->remote_path);
	put(out, result, "UNIXREMOTEPID=%d", (int)client->peer.pid);
	put(out, result, "UNIXREMOTEEUID=%u", client->peer.uid);
	put(out, result, "UNIXREMOTEEGID=%u", client->peer.gid);
}

static void describe_local(struct exec_words *out, int *result, const struct addr_endpoint *local)
{
	char text[ADDR_TEXT_SIZE];

	put(out, result, "PROTO=TCP");
	put(out, result, "TCPLOCALIP=%s", addr_format(&local->addr, text));
	put(out, result, "TCPLOCALPORT=%u", local->port);
}

static void describe_remote(struct exec_words *out, int *result, const struct addr_endpoint *remote)
{
	char text[ADDR_TEXT_SIZE];

	addr_format(&remote->addr, text);
	put(out, result, "TCPREMOTEIP=%s", text);
	put(out, result, "TCPREMOTEPORT=%u", remote->port);
	put(out, result, "REMOTE_ADDR=%s", text);
	put(out, result, "REMOTE_PORT=%u", remote->port);
}

static void describe_listener(
	struct exec_words *out, int *result, const struct environment_of *of, char **pid_text)
{
	if (of->udp)
		put(out, result, "PROTO=UDP");
	else if (of->local)
		describe_local(out, result, of->local);
	put(out, result, "LISTEN_FDS=1");
	put(out, result, "LISTEN_FDNAMES=%s", of->name);
	put(out, result, "LISTEN_PID=0000000000");
	for (size_t i = 0; !*result && i < out->count; i++) {
		if (!strncmp(out->list[i], "LISTEN_PID=", strlen("LISTEN_PID=")))
			*pid_text = out->list[i] + strlen("LISTEN_PID=");
	}
}

int environment_make(const struct exec_settings *settings, const struct environment_of *of,
	char *const *own, struct exec_words *out, char **pid_text)
{
	int result = 0;

	*pid_text = NULL;
	for (size_t i = 0; own && own[i] && !result; i++) {
		if (is_passed(settings, own[i]))
			result = set_variable(out, own[i]);
	}
	if (settings->user) {
		put(out, &result, "USER=%s", settings->user);
		put(out, &result, "LOGNAME=%s", settings->user);
		put(out, &result, "HOME=%s", settings->home);
		put(out, &result, "SHELL=%s", settings->shell);
	}
	for (size_t i = 0; i < settings->env.count && !result; i++)
		result = set_variable(out, settings->env.list[i]);
	if (!of->client) {
		describe_listener(out, &result, of, pid_text);
	} else if (of->client->is_unix) {
		describe_unix(out, &result, of->client);
	} else {
		describe_local(out, &result, &of->client->local);
		describe_remote(out, &result, &of->client->remote);
	}
	return result;
}

void environment_free(struct exec_words *environment)
{
	for (size_t i = 0; i < environment->count; i++)
		free(environment->list[i]);
	free(environment->list);
	*environment = (struct exec_words){0};
}
