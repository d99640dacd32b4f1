// SPDX-License-Identifier: BSD-2-Clause
// A cursor over the configuration and a file in memory.
#include "daemon/control/status_writer.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/control/report.h"

/* So often a reload may begin the text anew. */
#define MOST_RESTARTS 8u

/* The text is written in pieces of this size. */
#define BUFFER_SIZE 16384u

enum status_part { PART_WHOLE, PART_SERVICES, PART_ROUTES, PART_END };

struct status_writer {
	struct daemon_state *state;
	int fd;
	uint64_t size; /* bytes in fd */
	enum status_part part;
	size_t next;	  /* the service or route that is written next */
	unsigned reloads; /* state->reloads when the text was begun */
	unsigned restarts;
	size_t used; /* bytes in buffer */
	char buffer[BUFFER_SIZE];
};

static uint64_t thread_cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int status_writer_new(struct daemon_state *state, struct status_writer **out, struct err *err)
{
	struct status_writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return err_errno(err, -ENOMEM, "writing a status");
	writer->state = state;
	writer->reloads = state->reloads;
	writer->fd = memfd_create("socketbox", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (writer->fd < 0) {
		int code = -errno;

		free(writer);
		return err_errno(err, code, "writing a status: memfd_create");
	}
	*out = writer;
	return 0;
}

static int flush_status(struct status_writer *writer)
{
	size_t done = 0;

	while (done < writer->used) {
		ssize_t written = write(writer->fd, writer->buffer + done, writer->used - done);

		if (written < 0)
			return -errno;
		done += (size_t)written;
	}
	writer->size += done;
	writer->used = 0;
	return 0;
}

/* For json_dump_callback, which fails where this returns nonzero. */
static int append_status(const char *text, size_t size, void *context)
{
	struct status_writer *writer = context;

	while (size) {
		size_t fits = BUFFER_SIZE - writer->used;

		if (fits > size)
			fits = size;
		memcpy(writer->buffer + writer->used, text, fits);
		writer->used += fits;
		text += fits;
		size -= fits;
		if (writer->used == BUFFER_SIZE && flush_status(writer))
			return -1;
	}
	return 0;
}

static int append_text(struct status_writer *writer, const char *text)
{
	return append_status(text, strlen(text), writer) ? -ENOMEM : 0;
}

/* Takes the object, which is NULL out of memory. */
static int append_object(struct status_writer *writer, json_t *object, size_t flags)
{
	int result =
		object && !json_dump_callback(object, append_status, writer, flags) ? 0 : -ENOMEM;

	json_decref(object);
	return result;
}

/* {"member": ..., "services": [ */
static int write_whole(struct status_writer *writer)
{
	int result = append_text(writer, "{");

	if (!result)
		result = append_object(
			writer, report_whole(writer->state), JSON_COMPACT | JSON_EMBED);
	writer->part = PART_SERVICES;
	writer->next = 0;
	return result ? result : append_text(writer, ",\"services\":[");
}

static int write_service(struct status_writer *writer)
{
	const struct config *config = writer->state->config;
	int result = 0;

	if (writer->next == config->service_count) {
		writer->part = PART_ROUTES;
		writer->next = 0;
		return append_text(writer, "],\"routes\":[");
	}
	if (writer->next)
		result = append_text(writer, ",");
	if (result)
		return result;
	return append_object(writer,
		report_service(writer->state, &config->services[writer->next++]), JSON_COMPACT);
}

static int write_route(struct status_writer *writer)
{
	int result = 0;

	if (writer->next == writer->state->config->route_count) {
		writer->part = PART_END;
		result = append_text(writer, "]}");
		return result ? result : flush_status(writer);
	}
	if (writer->next)
		result = append_text(writer, ",");
	if (result)
		return result;
	return append_object(
		writer, report_route(writer->state, (uint32_t)writer->next++), JSON_COMPACT);
}

static int write_piece(struct status_writer *writer)
{
	switch (writer->part) {
	case PART_WHOLE:
		return write_whole(writer);
	case PART_SERVICES:
		return write_service(writer);
	case PART_ROUTES:
		return write_route(writer);
	case PART_END:
		break;
	}
	return 0;
}

/* What is written tells of a configuration that is gone. */
static int restart_after_reload(struct status_writer *writer, struct err *err)
{
	if (writer->reloads == writer->state->reloads)
		return 0;
	if (writer->restarts++ == MOST_RESTARTS)
		return err_set(err, -EAGAIN,
			"the configuration is reloaded again and again; ask for the status later");
	if (ftruncate(writer->fd, 0) || lseek(writer->fd, 0, SEEK_SET))
		return err_errno(err, -errno, "writing a status");
	writer->reloads = writer->state->reloads;
	writer->part = PART_WHOLE;
	writer->size = 0;
	writer->used = 0;
	return 0;
}

int status_writer_step(struct status_writer *writer, uint64_t budget_ns, struct err *err)
{
	uint64_t began = thread_cpu_ns();
	int result = restart_after_reload(writer, err);

	if (result)
		return result;
	while (writer->part != PART_END) {
		result = write_piece(writer);
		if (result)
			return err_errno(err, result, "writing a status");
		if (thread_cpu_ns() - began >= budget_ns)
			break;
	}
	return writer->part != PART_END;
}

int status_writer_take(struct status_writer *writer, uint64_t *size)
{
	*size = writer->size;
	return take_fd(&writer->fd);
}

void status_writer_free(struct status_writer *writer)
{
	if (!writer)
		return;
	cleanup_close_fd(&writer->fd);
	free(writer);
}
