/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes imported services as YAML. What is written is tried on settings first, so that the result
 * can be loaded; what cannot be translated becomes a comment and a warning.
 */
#ifndef SOCKETBOX_CLI_IMPORT_WRITER_H
#define SOCKETBOX_CLI_IMPORT_WRITER_H

#include <stdio.h>

#include "exec/exec_settings.h"

/* A service in the making. */
struct writer_service {
	char name[64];
	FILE *keys, *notes;
	char *key_text, *note_text;
	size_t key_size, note_size; /* kept by the streams */
	struct exec_settings *tried;
};

struct writer {
	const char *file; /* for warnings */
	FILE *warnings, *services, *routes;
	char *service_text, *route_text;
	size_t service_size, route_size;
	struct exec_words names;	  /* of services that were written */
	struct exec_words routes_written; /* no two of them may be the same */
	struct writer_service service;
};

/* -ENOMEM. writer_end prints all to out, unless that is NULL, and frees. */
int writer_begin(struct writer *writer, const char *file, FILE *warnings, struct err *err);
void writer_end(struct writer *writer, FILE *out);

/* Begins a service. The name is made into one that a service can have and that no other has. */
int writer_service(struct writer *writer, const char *name, struct err *err);

/* Writes it with its routes; as comments alone if it has no command, or if `dropped` is said. */
void writer_service_end(struct writer *writer, const struct exec_words *routes, bool dropped);

/* Gives one of exec's keys its value or values; a note where it is not a valid one. */
void writer_key(struct writer *writer, const char *key, const char *value);
void writer_list(struct writer *writer, const char *key, const struct exec_words *values);

/* Says in a comment and a warning what is not translated; of the service, or of the whole file. */
void writer_note(struct writer *writer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void writer_warn(struct writer *writer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Adds {to, port, protocol} to routes; to NULL: any address. The service's name is added later. */
int writer_route(struct exec_words *routes, const char *to, unsigned port, bool udp);

void writer_words_free(struct exec_words *words);

#endif
