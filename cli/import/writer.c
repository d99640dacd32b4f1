// SPDX-License-Identifier: BSD-2-Clause
// Collects the text of services and routes.
#include "cli/import/writer.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

void writer_words_free(struct exec_words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->list[i]);
	free(words->list);
	*words = (struct exec_words){0};
}

/* What is on another machine there, or will be, is written all the same. */
static bool depends_on_machine(const char *key)
{
	return !strcmp(key, "user") || !strcmp(key, "group") || !strcmp(key, "groups") ||
	       !strncmp(key, "banner", strlen("banner"));
}

/* A word that YAML takes for nothing but itself. */
static bool is_plain(const char *text)
{
	return isalnum((unsigned char)text[text[0] == '/']) && strcmp(text, "null") != 0 &&
	       !text[strspn(
		       text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-")];
}

/* In double quotes where need be; what is no ASCII text is escaped. */
static void quote_yaml(FILE *out, const char *text)
{
	if (is_plain(text)) {
		fputs(text, out);
		return;
	}
	fputc('"', out);
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte == '"' || byte == '\\')
			fprintf(out, "\\%c", byte);
		else if (byte < ' ' || byte == 0x7f)
			fprintf(out, "\\x%02x", byte);
		else
			fputc(byte < 0x80 ? byte : '?', out);
	}
	fputc('"', out);
}

__attribute__((format(printf, 3, 0))) static void say(
	const struct writer *writer, FILE *out, const char *format, va_list args)
{
	char text[1024];

	vsnprintf(text, sizeof(text), format, args);
	for (char *at = text; *at; at++) {
		if ((unsigned char)*at < ' ' || (unsigned char)*at >= 0x7f)
			*at = '?';
	}
	fprintf(out, "# %s\n", text);
	fprintf(writer->warnings, "%s: warning: %s\n", writer->file, text);
}

void writer_note(struct writer *writer, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("    ", writer->service.notes);
	say(writer, writer->service.notes, format, args);
	va_end(args);
}

void writer_warn(struct writer *writer, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("  ", writer->services);
	say(writer, writer->services, format, args);
	va_end(args);
}

int writer_begin(struct writer *writer, const char *file, FILE *warnings, struct err *err)
{
	*writer = (struct writer){.file = file, .warnings = warnings};
	writer->services = open_memstream(&writer->service_text, &writer->service_size);
	writer->routes = open_memstream(&writer->route_text, &writer->route_size);
	if (writer->services && writer->routes)
		return 0;
	return err_errno(err, -ENOMEM, "importing %s", file);
}

void writer_end(struct writer *writer, FILE *out)
{
	if (writer->services)
		fclose(writer->services);
	if (writer->routes)
		fclose(writer->routes);
	if (out && writer->service_text && writer->route_text)
		fprintf(out, "# From %s\nservices:\n%s%s%s", writer->file, writer->service_text,
			writer->route_text[0] ? "routes:\n" : "", writer->route_text);
	free(writer->service_text);
	free(writer->route_text);
	writer_words_free(&writer->names);
	writer_words_free(&writer->routes_written);
}

static bool is_yaml_among(const struct exec_words *words, const char *word)
{
	for (size_t i = 0; i < words->count; i++) {
		if (!strcmp(words->list[i], word))
			return true;
	}
	return false;
}

int writer_service(struct writer *writer, const char *name, struct err *err)
{
	struct writer_service *service = &writer->service;
	char plain[56];

	snprintf(plain, sizeof(plain), "%s%.48s",
		isalnum((unsigned char)name[0]) && strcmp(name, "null") != 0 ? "" : "s-", name);
	for (char *at = plain; *at; at++) {
		if (!isalnum((unsigned char)*at) && !strchr("._-", *at))
			*at = '-';
	}
	*service = (struct writer_service){.tried = exec_settings_new()};
	snprintf(service->name, sizeof(service->name), "%s", plain);
	for (unsigned n = 2; is_yaml_among(&writer->names, service->name) && n < 1000; n++)
		snprintf(service->name, sizeof(service->name), "%s-%u", plain, n);
	service->keys = open_memstream(&service->key_text, &service->key_size);
	service->notes = open_memstream(&service->note_text, &service->note_size);
	if (!service->keys || !service->notes || !service->tried ||
		exec_words_add(&writer->names, service->name))
		return err_errno(err, -ENOMEM, "importing %s", name);
	return 0;
}

static bool works_yaml(struct writer *writer, const char *key, const char *value)
{
	struct err err;

	if (!exec_key_find(key)->set(writer->service.tried, value, &err))
		return true;
	writer_note(writer, "%s: %s", key, err.text);
	return depends_on_machine(key);
}

void writer_key(struct writer *writer, const char *key, const char *value)
{
	if (!works_yaml(writer, key, value))
		return;
	fprintf(writer->service.keys, "      %s: ", key);
	quote_yaml(writer->service.keys, value);
	fputc('\n', writer->service.keys);
}

/* NAME=VALUE words as a mapping; the last of a name counts. */
static void write_pairs(struct writer *writer, const struct exec_words *values)
{
	const char *separator = "";

	for (size_t i = 0; i < values->count; i++) {
		const char *word = values->list[i], *equals = strchr(word, '=');
		cleanup_free char *name = strndup(word, equals ? (size_t)(equals - word) : 0);
		bool again = false;

		for (size_t j = i + 1; j < values->count && equals; j++)
			again |= !strncmp(values->list[j], word, (size_t)(equals - word) + 1);
		if (!name || !equals || again)
			continue;
		fputs(separator, writer->service.keys);
		quote_yaml(writer->service.keys, name);
		fputs(": ", writer->service.keys);
		quote_yaml(writer->service.keys, equals + 1);
		separator = ", ";
	}
}

void writer_list(struct writer *writer, const char *key, const struct exec_words *values)
{
	bool pairs = exec_key_find(key)->shape == EXEC_KEY_PAIRS;
	struct exec_words good = {0};

	for (size_t i = 0; i < values->count; i++) {
		if (works_yaml(writer, key, values->list[i]))
			exec_words_add(&good, values->list[i]);
	}
	if (good.count) {
		fprintf(writer->service.keys, "      %s: %c", key, pairs ? '{' : '[');
		if (pairs)
			write_pairs(writer, &good);
		for (size_t i = 0; i < good.count && !pairs; i++) {
			fputs(i ? ", " : "", writer->service.keys);
			quote_yaml(writer->service.keys, good.list[i]);
		}
		fprintf(writer->service.keys, "%c\n", pairs ? '}' : ']');
	}
	writer_words_free(&good);
}

int writer_route(struct exec_words *routes, const char *to, unsigned port, bool udp)
{
	char text[160];

	snprintf(text, sizeof(text), "%s%s%sport: %u%s", to ? "to: \"" : "", to ? to : "",
		to ? "\", " : "", port, udp ? ", protocol: udp" : "");
	return exec_words_add(routes, text);
}

static void write_yaml_route(struct writer *writer, const char *route)
{
	if (is_yaml_among(&writer->routes_written, route)) {
		writer_note(writer, "{%s} is a route already, so it does not lead here", route);
		return;
	}
	exec_words_add(&writer->routes_written, route);
	fprintf(writer->routes, "  - {%s, service: %s}\n", route, writer->service.name);
}

void writer_service_end(struct writer *writer, const struct exec_words *routes, bool dropped)
{
	struct writer_service *service = &writer->service;
	struct err err;
	int result;

	if (!dropped && !service->tried->command.count) {
		writer_note(writer, "no program is named, so there is nothing to start");
		dropped = true;
	}
	result = dropped ? 0 : exec_settings_finish(service->tried, &err);
	if (result)
		writer_note(writer, "exec: %s", err.text);
	if (!dropped && !routes->count)
		writer_note(writer, "no route leads here; write one");
	for (size_t i = 0; i < routes->count && !dropped; i++)
		write_yaml_route(writer, routes->list[i]);
	fclose(service->keys);
	fclose(service->notes);
	fprintf(writer->services, dropped ? "  # %s: not translated\n" : "  %s:\n", service->name);
	fputs(service->note_text, writer->services);
	if (!dropped)
		fprintf(writer->services, "    exec:\n%s", service->key_text);
	free(service->key_text);
	free(service->note_text);
	exec_settings_free(service->tried);
}
