// SPDX-License-Identifier: BSD-2-Clause
// systemd.exec(5) and its kin, most of it by tables.
#include "cli/import/systemd_service.h"

#include <stdlib.h>
#include <string.h>

#include "cli/import/unit.h"

/* Settings whose last value is the value of a key. */
static const struct {
	const char *setting, *key;
} values[] = {
	{"User", "user"},
	{"Group", "group"},
	{"Nice", "nice"},
	{"UMask", "umask"},
	{"NetworkNamespacePath", "netns"},
	{"KillSignal", "kill-signal"},
};

static const struct {
	const char *setting, *key;
} times[] = {
	{"RuntimeMaxSec", "max-time"},
	{"TimeoutStopSec", "stop-timeout"},
};

static const struct {
	const char *setting, *limit;
} limits[] = {
	{"LimitAS", "as"},
	{"LimitCORE", "core"},
	{"LimitCPU", "cpu"},
	{"LimitDATA", "data"},
	{"LimitFSIZE", "fsize"},
	{"LimitLOCKS", "locks"},
	{"LimitMEMLOCK", "memlock"},
	{"LimitMSGQUEUE", "msgqueue"},
	{"LimitNICE", "nice"},
	{"LimitNOFILE", "nofile"},
	{"LimitNPROC", "nproc"},
	{"LimitRSS", "rss"},
	{"LimitRTPRIO", "rtprio"},
	{"LimitRTTIME", "rttime"},
	{"LimitSIGPENDING", "sigpending"},
	{"LimitSTACK", "stack"},
};

/* Lists of addresses, from whichever side it is written. */
static const struct {
	const char *word, *prefixes[2];
} names_of_networks[] = {
	{"any", {"0.0.0.0/0", "::/0"}},
	{"localhost", {"127.0.0.0/8", "::1"}},
	{"link-local", {"169.254.0.0/16", "fe80::/64"}},
	{"multicast", {"224.0.0.0/4", "ff00::/8"}},
};

/* Without a meaning here. */
static const char *const silent[] = {"Type", "Restart", "RestartSec", "StandardInput",
	"StandardOutput", "KillMode", "SyslogIdentifier", "StandardError"};

static const char *unit_service_last(struct section *service, const char *name)
{
	const struct section_entry *entry = section_find(service, name);

	return entry && entry->words.count ? entry->words.list[entry->words.count - 1] : NULL;
}

/* Splits all values of a setting. */
static void split_all(
	struct writer *writer, struct section *service, const char *name, struct exec_words *words)
{
	const struct section_entry *entry = section_find(service, name);

	for (size_t i = 0; entry && i < entry->words.count; i++) {
		if (!unit_split(entry->words.list[i], words))
			writer_note(
				writer, "%s=%s: a quote does not end", name, entry->words.list[i]);
	}
}

static void write_list(
	struct writer *writer, struct section *service, const char *name, const char *key)
{
	struct exec_words words = {0};

	split_all(writer, service, name, &words);
	if (words.count)
		writer_list(writer, key, &words);
	writer_words_free(&words);
}

/* systemd puts something in the place of '$NAME' and '%n'. */
static void write_words(struct writer *writer, const struct exec_words *words)
{
	struct exec_words command = {0};

	for (size_t i = 0; i < words->count; i++) {
		const char *word = words->list[i];

		if (word[0] == '$')
			writer_note(writer, "ExecStart: '%s' is left out; write what it stands for",
				word);
		else
			exec_words_add(&command, word);
		if (word[0] != '$' && strpbrk(word, "%$"))
			writer_note(writer,
				"ExecStart: '%s' is passed as it is; nothing is put in its place",
				word);
	}
	writer_list(writer, "command", &command);
	writer_words_free(&command);
}

static void write_unit_service_command(struct writer *writer, struct section *service)
{
	const struct section_entry *entry = section_find(service, "ExecStart");
	struct exec_words words = {0};
	const char *line;

	if (!entry || !entry->words.count)
		return;
	if (entry->words.count > 1)
		writer_note(writer, "ExecStart: only the first of several is translated");
	line = entry->words.list[0];
	if (strspn(line, "-@:+!|"))
		writer_note(writer, "ExecStart: the prefix of '%s' is left out", line);
	line += strspn(line, "-@:+!|");
	if (!unit_split(line, &words))
		writer_note(writer, "ExecStart=%s: a quote does not end", line);
	else
		write_words(writer, &words);
	writer_words_free(&words);
}

static void write_unit_service_rlimits(struct writer *writer, struct section *service)
{
	struct exec_words words = {0};

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		const char *value = unit_service_last(service, limits[i].setting);
		char text[80], *at = text;

		if (!value)
			continue;
		snprintf(text, sizeof(text), "%s=%.60s", limits[i].limit, value);
		/* systemd writes "infinity". */
		while ((at = strstr(at, "infinity"))) {
			char rest[80];

			snprintf(rest, sizeof(rest), "unlimited%s", at + strlen("infinity"));
			snprintf(at, sizeof(text) - (size_t)(at - text), "%s", rest);
			at += strlen("unlimited");
			if (at > text + sizeof(text) - 1)
				break;
		}
		exec_words_add(&words, text);
	}
	writer_list(writer, "rlimit", &words);
	writer_words_free(&words);
}

static void write_unit_service_addresses(
	struct writer *writer, struct section *service, const char *name, const char *key)
{
	struct exec_words words = {0}, prefixes = {0};

	split_all(writer, service, name, &words);
	for (size_t i = 0; i < words.count; i++) {
		size_t n = 0, count = sizeof(names_of_networks) / sizeof(*names_of_networks);

		while (n < count && strcmp(names_of_networks[n].word, words.list[i]) != 0)
			n++;
		if (n == count) {
			exec_words_add(&prefixes, words.list[i]);
			continue;
		}
		exec_words_add(&prefixes, names_of_networks[n].prefixes[0]);
		exec_words_add(&prefixes, names_of_networks[n].prefixes[1]);
	}
	writer_list(writer, key, &prefixes);
	writer_words_free(&words);
	writer_words_free(&prefixes);
}

static void write_directory(struct writer *writer, struct section *service)
{
	const char *directory = unit_service_last(service, "WorkingDirectory");

	if (!directory)
		return;
	if (*directory == '-')
		writer_note(writer, "WorkingDirectory: must be there, in spite of the '-'");
	writer_key(writer, "chdir", directory + (*directory == '-'));
}

static void write_times(struct writer *writer, struct section *service)
{
	char text[32];

	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		const char *value = unit_service_last(service, times[i].setting);
		uint64_t ms;

		if (!value)
			continue;
		if (!unit_time(value, &ms)) {
			writer_note(writer, "%s=%s: not a time", times[i].setting, value);
			continue;
		}
		snprintf(text, sizeof(text), "%llums", (unsigned long long)ms);
		writer_key(writer, times[i].key, text);
	}
}

static void write_streams(struct writer *writer, struct section *service, bool per_connection)
{
	const char *input = unit_service_last(service, "StandardInput"),
		   *error = unit_service_last(service, "StandardError");

	if (per_connection && (!input || strcmp(input, "socket") != 0))
		writer_note(writer,
			"without StandardInput=socket the program expects its connection on descriptor 3, and gets it on 0 and 1");
	if (error && (!strcmp(error, "socket") || !strcmp(error, "null")))
		writer_key(writer, "stderr", error);
}

void systemd_service_write(struct writer *writer, struct section *service, bool per_connection)
{
	write_unit_service_command(writer, service);
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		const char *value = unit_service_last(service, values[i].setting);

		if (value)
			writer_key(writer, values[i].key, value);
	}
	write_list(writer, service, "SupplementaryGroups", "groups");
	write_list(writer, service, "Environment", "env");
	write_list(writer, service, "PassEnvironment", "pass-env");
	write_unit_service_rlimits(writer, service);
	write_directory(writer, service);
	write_times(writer, service);
	write_streams(writer, service, per_connection);
	if (per_connection) {
		write_unit_service_addresses(writer, service, "IPAddressAllow", "allow-from");
		write_unit_service_addresses(writer, service, "IPAddressDeny", "deny-from");
	}
	for (size_t i = 0; i < sizeof(silent) / sizeof(*silent); i++)
		section_find(service, silent[i]);
	for (size_t i = 0; i < service->count; i++) {
		if (!service->entries[i].used)
			writer_note(
				writer, "[Service] %s: not translated", service->entries[i].name);
	}
}
