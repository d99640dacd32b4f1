// SPDX-License-Identifier: BSD-2-Clause
// Talks to the daemon.
#include "cli/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

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
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_errno(err, -errno, "socket");
	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, -ENAMETOOLONG,
			"the control path %s has more than %zu characters", path,
			sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
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
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec data = {.iov_base = (void *)request, .iov_len = header->length};
	struct msghdr envelope = {.msg_iov = &data, .msg_iovlen = 1};

	if (fd >= 0) {
		envelope.msg_control = &control;
		envelope.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	while (sendmsg(connection, &envelope, MSG_NOSIGNAL) < 0) {
		if (errno == EINTR)
			continue;
		return errno == EPIPE || errno == ECONNRESET
			       ? err_set(err, -EPIPE, "socketboxd has closed the connection")
			       : err_errno(err, -errno, "asking socketboxd");
	}
	return 0;
}

/* Receives one message of at most size bytes, and the first descriptor that comes with it. */
static ssize_t receive(int connection, void *message, size_t size, int *fd, struct err *err)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec data = {.iov_base = message, .iov_len = size};
	struct msghdr envelope = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *item;
	ssize_t length;

	do {
		length = recvmsg(connection, &envelope, MSG_CMSG_CLOEXEC);
	} while (length < 0 && errno == EINTR);
	if (length < 0 && errno != ECONNRESET)
		return err_errno(err, -errno, "waiting for socketboxd's answer");
	if (length <= 0)
		return err_set(err, -EPIPE, "socketboxd has closed the connection");
	item = CMSG_FIRSTHDR(&envelope);
	if (item && item->cmsg_level == SOL_SOCKET && item->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(item), sizeof(*fd));
	return length;
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
