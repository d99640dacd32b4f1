// SPDX-License-Identifier: BSD-2-Clause
// Reads control messages, finds who carries them out, and sends the answers. A malformed message is
// answered with what is wrong with it; nothing of it is carried out.
#include "daemon/control/requests.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "common/channel.h"
#include "common/cleanup.h"
#include "daemon/control/requests_private.h"
#include "daemon/control/status_writer.h"
#include "daemon/log.h"

/* How long a status is written in one turn of the event loop, in processor time. */
#define STATUS_TURN_NS 3000000u

struct wire_header requests_header(
	const struct request *request, enum wire_type type, size_t length)
{
	return (struct wire_header){
		.magic = WIRE_MAGIC,
		.version = WIRE_VERSION,
		.type = (uint16_t)type,
		.length = (uint32_t)length,
		.request = request->message.header.request,
	};
}

void requests_answer(struct request *request, const void *message, size_t length, int fd)
{
	int result = channel_send(request->peer->fd, message, length, fd, MSG_DONTWAIT);

	if (!result)
		return;
	request->lost = true;
	log_debug("peer %d: an answer cannot be sent: %s", (int)request->peer->credentials.pid,
		strerror(-result));
}

static void reply_error(struct request *request, const struct err *err)
{
	struct wire_error error = {
		.header = requests_header(request, WIRE_ERROR, sizeof(error)),
		.code = -err->code,
	};

	snprintf(error.text, sizeof(error.text), "%s", err->text);
	requests_answer(request, &error, sizeof(error), -1);
}

/* Makes the file one that its reader can trust. */
static int seal_answer(struct request *request, int fd, struct err *err)
{
	bool trusted = peer_may_manage(&request->peer->credentials);
	int seals = F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL | (trusted ? F_SEAL_SHRINK : 0);

	if (lseek(fd, 0, SEEK_SET) || fcntl(fd, F_ADD_SEALS, seals))
		return err_errno(err, -errno, "sealing an answer");
	if (request->peer->account)
		account_gave(request->peer->account, fd);
	return 0;
}

int requests_make_file(
	struct request *request, const void *data, size_t size, int *fd_out, struct err *err)
{
	cleanup_close int fd = memfd_create("socketbox", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t done = 0;
	int result;

	if (fd < 0)
		return err_errno(err, -errno, "memfd_create");
	while (done < size) {
		ssize_t written = write(fd, (const char *)data + done, size - done);

		if (written < 0)
			return err_errno(err, -errno, "writing an answer");
		done += (size_t)written;
	}
	result = seal_answer(request, fd, err);
	if (!result)
		*fd_out = take_fd(&fd);
	return result;
}

int requests_reply_text(struct request *request, const char *text, size_t size, struct err *err)
{
	struct wire_text reply = {
		.header = requests_header(request, WIRE_TEXT, sizeof(reply)),
		.size = size,
	};
	cleanup_close int fd = -1;
	int result = requests_make_file(request, text, size, &fd, err);

	if (!result)
		requests_answer(request, &reply, sizeof(reply), fd);
	return result;
}

struct text {
	char *data;
	size_t size, room;
	bool lacks; /* a part, for want of memory */
};

static int append_request(const char *part, size_t size, void *context)
{
	struct text *text = context;

	if (size > text->room - text->size) {
		size_t room = 2 * text->room + size + 1024;
		char *data = realloc(text->data, room);

		if (!data) {
			text->lacks = true;
			return -1;
		}
		text->data = data;
		text->room = room;
	}
	memcpy(text->data + text->size, part, size);
	text->size += size;
	return 0;
}

/* Not by json_dumps, which (as of jansson 2.14) leaves keys out when it has no memory for them. */
int requests_reply_json(struct request *request, json_t *object, struct err *err)
{
	struct text text = {0};
	int result;

	if (!object || json_dump_callback(object, append_request, &text, JSON_COMPACT) ||
		text.lacks)
		result = err_errno(err, -ENOMEM, "writing an answer");
	else
		result = requests_reply_text(request, text.data, text.size, err);
	json_decref(object);
	free(text.data);
	return result;
}

static const struct {
	enum wire_type type;
	size_t length;
	bool takes_fd;
	int (*serve)(struct request *request, struct err *err);
} kinds[] = {
	{WIRE_HELLO, sizeof(struct wire_hello), false, requests_hello},
	{WIRE_CLAIM, sizeof(struct wire_claim), false, requests_claim},
	{WIRE_REGISTER, sizeof(struct wire_claim), true, requests_claim},
	{WIRE_STATUS, sizeof(struct wire_header), false, requests_status},
	{WIRE_EXPLAIN, sizeof(struct wire_explain), false, requests_explain},
	{WIRE_RELOAD, sizeof(struct wire_header), false, requests_reload},
	{WIRE_DESTINATION, sizeof(struct wire_header), false, requests_destination},
	{WIRE_RECEIVE, sizeof(struct wire_receive), false, requests_receive},
	{WIRE_DRAIN, sizeof(struct wire_drain), false, requests_drain},
	{WIRE_TURNS, sizeof(struct wire_header), false, requests_turns},
};

static int dispatch_request(struct request *request, size_t length, struct err *err)
{
	const struct wire_header *header = &request->message.header;

	if (length < sizeof(*header) || header->magic != WIRE_MAGIC)
		return err_set(
			err, -EPROTO, "this is no message of the socketbox control protocol");
	if (header->version != WIRE_VERSION)
		return err_set(err, -EPROTONOSUPPORT,
			"protocol version %u is not spoken here, only %u; are socketboxd and socketbox of the same release?",
			header->version, WIRE_VERSION);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (kinds[i].type != header->type)
			continue;
		if (length != kinds[i].length || header->length != length)
			return err_set(err, -EMSGSIZE,
				"a message of type %u has %zu bytes, not %zu (its header says %u)",
				header->type, kinds[i].length, length, header->length);
		if (request->fd >= 0 && !kinds[i].takes_fd)
			return err_set(err, -EBADMSG,
				"no descriptor goes with a message of type %u", header->type);
		return kinds[i].serve(request, err);
	}
	return err_set(err, -EBADRQC, "message type %u is unknown", header->type);
}

int requests_serve(struct daemon_state *state, struct requests_peer *peer)
{
	struct request request = {.state = state, .peer = peer, .fd = -1};
	ssize_t length = channel_receive(peer->fd, &request.message, sizeof(request.message),
		&request.fd, MSG_DONTWAIT | MSG_TRUNC);
	struct err err;
	int result;

	if (length == -EAGAIN)
		return 0;
	if (length <= 0) {
		/* An empty message may carry a descriptor too. */
		cleanup_close_fd(&request.fd);
		return 1;
	}
	result = dispatch_request(&request, (size_t)length, &err);
	cleanup_close_fd(&request.fd);
	if (!result)
		return request.lost;
	log_debug("peer %d of user %u: %s", (int)peer->credentials.pid,
		(unsigned)peer->credentials.uid, err.text);
	reply_error(&request, &err);
	return request.lost || result == -EPROTO;
}

static int answer_status(struct request *request, struct err *err)
{
	struct wire_text reply = {.header = requests_header(request, WIRE_TEXT, sizeof(reply))};
	cleanup_close int fd = status_writer_take(request->peer->status, &reply.size);
	int result = seal_answer(request, fd, err);

	if (!result)
		requests_answer(request, &reply, sizeof(reply), fd);
	return result;
}

int requests_continue(struct daemon_state *state, struct requests_peer *peer)
{
	struct request request = {
		.state = state,
		.peer = peer,
		.message.header.request = peer->status_request,
		.fd = -1,
	};
	struct err err;
	int result = 0;

	if (!peer->status)
		result = status_writer_new(state, &peer->status, &err);
	if (!result)
		result = status_writer_step(peer->status, STATUS_TURN_NS, &err);
	if (result > 0)
		return 0;
	if (!result)
		result = answer_status(&request, &err);
	if (result)
		reply_error(&request, &err);
	requests_abandon(peer);
	return request.lost;
}

void requests_abandon(struct requests_peer *peer)
{
	status_writer_free(peer->status);
	peer->status = NULL;
	peer->asks_status = false;
}
