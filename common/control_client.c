// SPDX-License-Identifier: BSD-2-Clause
// Asks the daemon, and takes its answer apart.
#include "common/control_client.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/channel.h"
#include "common/cleanup.h"

int control_client_connect(const char *path, int *fd_out, struct err *err)
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

struct wire_header control_client_header(enum wire_type type, size_t size)
{
	static atomic_uint requests;

	return (struct wire_header){
		.magic = WIRE_MAGIC,
		.version = WIRE_VERSION,
		.type = (uint16_t)type,
		.length = (uint32_t)size,
		.request = atomic_fetch_add(&requests, 1) + 1,
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

static ssize_t receive_control(int connection, void *message, size_t size, int *fd, struct err *err)
{
	ssize_t length = channel_receive(connection, message, size, fd, 0);

	if (!length || length == -ECONNRESET)
		return err_set(err, -EPIPE, "socketboxd has closed the connection");
	return length < 0 ? err_errno(err, (int)length, "waiting for socketboxd's answer") : length;
}

int control_client_ask(int connection, const void *request, int send_fd, enum wire_type answer_type,
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
	length = receive_control(connection, &message, sizeof(message), &fd, err);
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
