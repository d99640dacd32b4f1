// SPDX-License-Identifier: BSD-2-Clause
// Talks to the daemon.
#include "cli/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/channel.h"
#include "common/cleanup.h"

const char *control_path(const char *option)
{
	const char *environment = getenv("SOCKETBOX_CONTROL");

	if (option)
		return option;
	return environment && *environment ? environment : WIRE_DEFAULT_PATH;
}

int control_connect(const char *path, int *fd_out, struct err *err)
{
	cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	int result;

	if (fd < 0)
		return err_errno(err, -errno, "socket");
	result = channel_address(path, "the control path", &address, err);
	if (result)
		return result;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		if (errno == ENOENT || errno == ECONNREFUSED)
			return err_set(err, -errno,
				"socketboxd does not answer on %s; start it, or name its control socket with --control",
				path);
		return err_errno(err, -errno, "connecting to socketboxd on %s", path);
	}
	*fd_out = take_fd(&fd);
	return 0;
}

struct wire_header control_header(enum wire_type type, size_t size)
{
	static uint32_t requests;

	return (struct wire_header){
		.magic = WIRE_MAGIC,
		.version = WIRE_VERSION,
		.type = (uint16_t)type,
		.length = (uint32_t)size,
		.request = ++requests,
	};
}

static int send_request(int connection, const void *request, int fd, struct err *err)
{
	const struct wire_header *header = request;
	int result = channel_send(connection, request, header->length, fd, 0);

	if (result == -EPIPE || result == -ECONNRESET)
		return err_set(err, -EPIPE, "socketboxd has closed the connection");
	return result ? err_errno(err, result, "asking socketboxd") : 0;
}

static ssize_t receive(int connection, void *message, size_t size, int *fd, struct err *err)
{
	ssize_t length = channel_receive(connection, message, size, fd, 0);

	if (!length || length == -ECONNRESET)
		return err_set(err, -EPIPE, "socketboxd has closed the connection");
	return length < 0 ? err_errno(err, (int)length, "waiting for socketboxd's answer") : length;
}

int control_ask(int connection, const void *request, int send_fd, enum wire_type answer_type,
	void *answer, size_t answer_size, int *fd_out, struct err *err)
{
	const struct wire_header *asked = request;
	cleanup_close int fd = -1;
	union {
		struct wire_header header;
		struct wire_error error;
	} message;
	ssize_t length;
	int result = send_request(connection, request, send_fd, err);

	if (result)
		return result;
	length = receive(connection, &message, sizeof(message), &fd, err);
	if (length < 0)
		return (int)length;
	if ((size_t)length < sizeof(message.header) || message.header.magic != WIRE_MAGIC ||
		message.header.request != asked->request)
		return err_set(
			err, -EPROTO, "what answers is not socketboxd, or of another version");
	if (message.header.type == WIRE_ERROR && (size_t)length == sizeof(message.error)) {
		message.error.text[WIRE_TEXT_SIZE - 1] = '\0';
		return err_set(err, message.error.code > 0 ? -message.error.code : -EPROTO, "%s",
			message.error.text);
	}
	if (message.header.type != answer_type || (size_t)length != answer_size)
		return err_set(err, -EPROTO,
			"socketboxd answered with a message of type %u; are both of the same release?",
			message.header.type);
	memcpy(answer, &message, answer_size);
	*fd_out = take_fd(&fd);
	return 0;
}

int control_ask_json(const char *path, const void *request, json_t **out, struct err *err)
{
	cleanup_close int connection = -1;
	cleanup_close int fd = -1;
	struct wire_text answer;
	json_error_t fault;
	json_t *object;
	int result = control_connect(path, &connection, err);

	if (!result)
		result = control_ask(
			connection, request, -1, WIRE_TEXT, &answer, sizeof(answer), &fd, err);
	if (result)
		return result;
	object = json_loadfd(fd, 0, &fault);
	if (!object)
		return err_set(err, -EPROTO, "socketboxd's answer cannot be read: %s", fault.text);
	*out = object;
	return 0;
}

const char *control_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

json_int_t control_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

int control_options(int argc, char **argv, const char **path, bool *json, struct err *err)
{
	const char *option = NULL;
	int kept = 0;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--control") && i + 1 < argc)
			option = argv[++i];
		else if (!strcmp(argv[i], "--json") && json)
			*json = true;
		else if (argv[i][0] == '-')
			return err_set(err, -EINVAL, "unknown option '%s', or its value is missing",
				argv[i]);
		else
			argv[kept++] = argv[i];
	}
	*path = control_path(option);
	return kept;
}
