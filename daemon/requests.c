// SPDX-License-Identifier: BSD-2-Clause
// Reads, checks and answers control messages. A malformed message is answered with what is wrong
// with it; nothing of it is carried out.
#include "daemon/requests.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "common/channel.h"
#include "common/cleanup.h"
#include "daemon/deliver/handoff.h"
#include "daemon/log.h"
#include "daemon/report.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* Every message that a peer may send. */
union message {
	struct wire_header header;
	struct wire_hello hello;
	struct wire_claim claim;
	struct wire_explain explain;
	struct wire_receive receive;
	struct wire_drain drain;
	char bytes[256];
};

struct request {
	struct daemon_state *state;
	struct requests_peer *peer;
	union message message;
	int fd;	   /* what came with it, or -1 */
	bool lost; /* the answer could not be sent */
};

static struct wire_header reply_header(
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

/* A peer that does not read its answers is not waited for. Where one is lost, for want of memory
 * too, the connection is closed, so that nobody waits for it. */
static void answer(struct request *request, const void *message, size_t length, int fd)
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
		.header = reply_header(request, WIRE_ERROR, sizeof(error)),
		.code = -err->code,
	};

	snprintf(error.text, sizeof(error.text), "%s", err->text);
	answer(request, &error, sizeof(error), -1);
}

/* A sealed file with these contents: any size, and the reader can trust it not to change. */
static int make_file(const void *data, size_t size, int *fd_out, struct err *err)
{
	cleanup_close int fd = memfd_create("socketbox", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t done = 0;

	if (fd < 0)
		return err_errno(err, -errno, "memfd_create");
	while (done < size) {
		ssize_t written = write(fd, (const char *)data + done, size - done);

		if (written < 0)
			return err_errno(err, -errno, "writing an answer");
		done += (size_t)written;
	}
	if (lseek(fd, 0, SEEK_SET) ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL))
		return err_errno(err, -errno, "sealing an answer");
	*fd_out = take_fd(&fd);
	return 0;
}

static int reply_text(struct request *request, const char *text, size_t size, struct err *err)
{
	struct wire_text reply = {
		.header = reply_header(request, WIRE_TEXT, sizeof(reply)),
		.size = size,
	};
	cleanup_close int fd = -1;
	int result = make_file(text, size, &fd, err);

	if (!result)
		answer(request, &reply, sizeof(reply), fd);
	return result;
}

struct text {
	char *data;
	size_t size, room;
	bool lacks; /* a part, for want of memory */
};

static int append(const char *part, size_t size, void *context)
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

/* Answers with the JSON object, which it frees. Not with json_dumps, which (as of jansson 2.14)
 * leaves keys out when it has no memory for them. */
static int reply_json(struct request *request, json_t *object, struct err *err)
{
	struct text text = {0};
	int result;

	if (!object || json_dump_callback(object, append, &text, JSON_COMPACT) || text.lacks)
		result = err_errno(err, -ENOMEM, "writing an answer");
	else
		result = reply_text(request, text.data, text.size, err);
	json_decref(object);
	free(text.data);
	return result;
}

static int find_service(const struct request *request, const char *name,
	const struct config_service **out, struct err *err)
{
	*out = config_service_find(request->state->config, name);
	if (!*out)
		return err_set(err, -ESRCH,
			"there is no service '%s' in %s; add it under 'services:' and run 'socketbox reload'",
			name, request->state->config_path);
	if (!peer_may_claim(&request->peer->credentials, *out))
		return err_set(err, -EACCES,
			"user %u may not claim service '%s'; allow it with 'allow: {user: %u}' in %s:%u",
			(unsigned)request->peer->credentials.uid, name,
			(unsigned)request->peer->credentials.uid, (*out)->place.file,
			(*out)->place.line);
	return 0;
}

static int serve_hello(struct request *request, struct err *err)
{
	struct wire_welcome reply = {.header = reply_header(request, WIRE_WELCOME, sizeof(reply))};
	const char *name = request->message.hello.service;
	cleanup_free struct wire_endpoint *endpoints = NULL;
	const struct config_service *service;
	cleanup_close int fd = -1;
	size_t count = 0;
	int result;

	if (!memchr(name, '\0', WIRE_NAME_SIZE))
		return err_set(err, -EINVAL, "the service name has no NUL within %d bytes",
			WIRE_NAME_SIZE);
	if (request->peer->service[0] && strcmp(request->peer->service, name) != 0)
		return err_set(err, -EISCONN,
			"this connection is service '%s' already; open another one",
			request->peer->service);
	result = find_service(request, name, &service, err);
	if (result)
		return result;
	result = coverage_endpoints(request->state->config, service, &endpoints, &count);
	if (result)
		return err_errno(err, result, "listing the endpoints of '%s'", name);
	result = make_file(endpoints, count * sizeof(*endpoints), &fd, err);
	if (result)
		return result;
	reply.hold_ms = service->hold_ms;
	reply.endpoint_count = (uint32_t)count;
	strcpy(request->peer->service, service->name);
	answer(request, &reply, sizeof(reply), fd);
	return 0;
}

/* Checks the numbers of a claim and says what it asks for. */
static int read_claim(const struct wire_claim *claim, struct coverage_bind *bind, struct err *err)
{
	struct addr address;

	memcpy(address.bytes, claim->address, sizeof(address.bytes));
	if (claim->family != 4 && claim->family != 6)
		return err_set(err, -EINVAL, "family is %u, not 4 or 6", claim->family);
	if (claim->protocol != IPPROTO_TCP && claim->protocol != IPPROTO_UDP &&
		claim->protocol != IPPROTO_MPTCP)
		return err_set(err, -EPROTONOSUPPORT,
			"protocol is %u, not TCP (6), UDP (17) or MPTCP (262)", claim->protocol);
	if (!claim->port && !(claim->flags & WIRE_CLAIM_GRANTS))
		return err_set(err, -EINVAL, "port is 0; a claim names its port");
	if (claim->flags &
		~(uint32_t)(WIRE_CLAIM_V6ONLY | WIRE_CLAIM_REUSEPORT | WIRE_CLAIM_GRANTS))
		return err_set(err, -EINVAL, "flags 0x%x are unknown", claim->flags);
	if (claim->family == 4 && !addr_is_v4(&address))
		return err_set(err, -EINVAL, "family is 4, but the address is not ::ffff:a.b.c.d");
	*bind = (struct coverage_bind){
		/* The kernel cannot steer to MPTCP sockets; programs that ask for one take TCP. */
		.protocol = claim->protocol == IPPROTO_UDP ? IPPROTO_UDP : IPPROTO_TCP,
		.family = claim->family,
		.v6only = claim->family == 6 && claim->flags & WIRE_CLAIM_V6ONLY,
		.endpoint = {.addr = address, .port = claim->port},
	};
	return 0;
}

/* Gives what a grant allows if the peer would take that, and else what routes do. */
static int give(struct request *request, const struct config_service *service,
	const struct coverage_bind *bind, struct claims_grant *grant, bool *granted,
	struct err *err)
{
	const struct wire_claim *claim = &request->message.claim;
	struct grants *grants = request->state->grants;
	struct grants_socket socket;
	int result = -ENOENT;

	if (claim->flags & WIRE_CLAIM_GRANTS)
		result = grants_give(grants, service, bind, &socket, err);
	*granted = !result;
	if (*granted)
		*grant = (struct claims_grant){
			.fd = socket.fd, .cookie = socket.cookie, .bound = socket.bound};
	if (result == -ENOENT && bind->endpoint.port)
		result = claims_claim(request->state->claims, service, &request->peer->credentials,
			bind, claim->flags & WIRE_CLAIM_REUSEPORT, grant, err);
	if (result == -ENOENT)
		grants_refuse(grants, service, bind, err);
	return result;
}

static int serve_claim(struct request *request, struct err *err)
{
	const struct wire_claim *claim = &request->message.claim;
	bool registers = claim->header.type == WIRE_REGISTER, granted = false;
	bool reuseport = claim->flags & WIRE_CLAIM_REUSEPORT;
	const struct config_service *service;
	struct coverage_bind bind = {0};
	struct claims_grant grant;
	int result;

	if (!request->peer->service[0])
		return err_set(err, -ENOTCONN, "say which service this is first (HELLO)");
	if (registers && (request->fd < 0) != reuseport)
		return err_set(err, -EBADF,
			reuseport ? "a group is registered without its socket"
				  : "the socket to register is missing");
	if (registers && claim->flags & WIRE_CLAIM_GRANTS)
		return err_set(err, -EINVAL, "what was given under a grant is not registered");
	result = read_claim(claim, &bind, err);
	if (!result)
		result = find_service(request, request->peer->service, &service, err);
	if (result)
		return result;
	if (registers)
		result = claims_register(request->state->claims, service,
			&request->peer->credentials, &bind, request->fd, &grant, err);
	else
		result = give(request, service, &bind, &grant, &granted, err);
	if (result)
		return result;
	struct wire_claimed reply = {
		.header = reply_header(request, WIRE_CLAIMED, sizeof(reply)),
		.cookie = grant.cookie,
		.bound_port = grant.bound.port,
		.shared = grant.shared,
		.granted = granted,
	};
	memcpy(reply.bound_address, grant.bound.addr.bytes, sizeof(reply.bound_address));
	answer(request, &reply, sizeof(reply), grant.fd);
	cleanup_close_fd(&grant.fd);
	return 0;
}

/* Opens a way on which the service's connections come; it lasts as long as its other end. */
static int serve_receive(struct request *request, struct err *err)
{
	struct wire_header reply = reply_header(request, WIRE_RECEIVING, sizeof(reply));
	uint32_t type = request->message.receive.socket_type;
	const struct config_service *service;
	cleanup_close int ours = -1;
	cleanup_close int theirs = -1;
	int pair[2], result;

	if (!request->peer->service[0])
		return err_set(err, -ENOTCONN, "say which service this is first (HELLO)");
	if (type != SOCK_STREAM && type != SOCK_DGRAM && type != SOCK_SEQPACKET)
		return err_set(err, -EINVAL,
			"socket type is %u, not SOCK_STREAM (1), SOCK_DGRAM (2) or SOCK_SEQPACKET (5)",
			type);
	result = find_service(request, request->peer->service, &service, err);
	if (result)
		return result;
	if (socketpair(AF_UNIX, (int)type | SOCK_CLOEXEC, 0, pair))
		return err_errno(err, -errno, "socketpair");
	ours = pair[0];
	theirs = pair[1];
	if (fcntl(ours, F_SETFL, O_NONBLOCK))
		return err_errno(err, -errno, "O_NONBLOCK");
	result = handoff_open(deliveries_find(request->state->deliveries, service->id), &ours, err);
	if (!result)
		answer(request, &reply, sizeof(reply), theirs);
	return result;
}

static int serve_status(struct request *request, struct err *err)
{
	return reply_json(request, report_status(request->state), err);
}

static int serve_explain(struct request *request, struct err *err)
{
	const struct wire_explain *explain = &request->message.explain;
	struct table_packet packet = {
		.protocol = (uint8_t)explain->protocol,
		.local.port = explain->local_port,
		.remote.port = explain->remote_port,
	};
	json_t *object;

	if (explain->protocol != IPPROTO_TCP && explain->protocol != IPPROTO_UDP)
		return err_set(err, -EPROTONOSUPPORT, "protocol is %u, not TCP (6) or UDP (17)",
			explain->protocol);
	memcpy(packet.local.addr.bytes, explain->local, sizeof(explain->local));
	memcpy(packet.remote.addr.bytes, explain->remote, sizeof(explain->remote));
	if (addr_is_v4(&packet.local.addr) != addr_is_v4(&packet.remote.addr))
		return err_set(
			err, -EINVAL, "the local and remote addresses are of different families");
	object = report_explain(request->state, &packet, err);
	return object ? reply_json(request, object, err) : err->code;
}

static int serve_reload(struct request *request, struct err *err)
{
	struct complaints complaints = {0};
	int result;

	if (!peer_may_manage(&request->peer->credentials))
		return err_set(err, -EACCES, "only root and the daemon's own user may reload it");
	result = state_load(request->state, &complaints);
	for (size_t i = 0; i < complaints.count; i++)
		log_warning("%s", complaints.lines[i]);
	log_info(result ? "reload refused: the old configuration stays in force" : "reloaded");
	result = reply_json(request, report_reload(result, &complaints), err);
	complaints_fini(&complaints);
	return result;
}

/* To begin twice, or to end twice, changes nothing. */
static int drain(struct request *request, const struct config_service *service, uint32_t action,
	bool *changed, struct err *err)
{
	bool drained = drains_has(request->state->drains, service->id);
	int result;

	*changed = action != WIRE_DRAIN_ASK && drained != (action == WIRE_DRAIN_BEGIN);
	if (!*changed)
		return 0;
	result = drained ? state_end_drain(request->state, service, err)
			 : state_drain(request->state, service, err);
	if (!result)
		log_info(drained ? "service '%s' is in use again"
				 : "service '%s' is being drained: new connections are refused",
			service->name);
	return result;
}

static int serve_drain(struct request *request, struct err *err)
{
	const struct wire_drain *asked = &request->message.drain;
	const struct config_service *service;
	bool changed;
	int result;

	if (!memchr(asked->service, '\0', WIRE_NAME_SIZE))
		return err_set(err, -EINVAL, "the service name has no NUL within %d bytes",
			WIRE_NAME_SIZE);
	if (asked->action > WIRE_DRAIN_END)
		return err_set(err, -EINVAL,
			"action is %u, not to ask (0), to begin (1) or to end (2)", asked->action);
	if (!peer_may_manage(&request->peer->credentials))
		return err_set(
			err, -EACCES, "only root and the daemon's own user may drain services");
	service = config_service_find(request->state->config, asked->service);
	if (!service)
		return err_set(err, -ESRCH,
			"there is no service '%s' in %s; 'socketbox status' lists them",
			asked->service, request->state->config_path);
	result = drain(request, service, asked->action, &changed, err);
	if (result)
		return result;
	return reply_json(request, report_drain(request->state, service, changed), err);
}

static int serve_destination(struct request *request, struct err *err)
{
	const struct config_service *service;
	int result;

	if (!request->peer->service[0])
		return err_set(err, -ENOTCONN, "say which service this is first (HELLO)");
	result = find_service(request, request->peer->service, &service, err);
	if (result)
		return result;
	if (!service->handoff || !service->handoff->path)
		return err_set(err, -ENOENT,
			"service '%s' has no handoff delivery with a path; add 'handoff: {path: ...}' in %s:%u",
			service->name, service->place.file, service->place.line);
	return reply_text(request, service->handoff->path, strlen(service->handoff->path), err);
}

static const struct {
	enum wire_type type;
	size_t length;
	bool takes_fd;
	int (*serve)(struct request *request, struct err *err);
} kinds[] = {
	{WIRE_HELLO, sizeof(struct wire_hello), false, serve_hello},
	{WIRE_CLAIM, sizeof(struct wire_claim), false, serve_claim},
	{WIRE_REGISTER, sizeof(struct wire_claim), true, serve_claim},
	{WIRE_STATUS, sizeof(struct wire_header), false, serve_status},
	{WIRE_EXPLAIN, sizeof(struct wire_explain), false, serve_explain},
	{WIRE_RELOAD, sizeof(struct wire_header), false, serve_reload},
	{WIRE_DESTINATION, sizeof(struct wire_header), false, serve_destination},
	{WIRE_RECEIVE, sizeof(struct wire_receive), false, serve_receive},
	{WIRE_DRAIN, sizeof(struct wire_drain), false, serve_drain},
};

static int dispatch(struct request *request, size_t length, struct err *err)
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
	result = dispatch(&request, (size_t)length, &err);
	cleanup_close_fd(&request.fd);
	if (!result)
		return request.lost;
	log_debug("peer %d of user %u: %s", (int)peer->credentials.pid,
		(unsigned)peer->credentials.uid, err.text);
	reply_error(&request, &err);
	return request.lost || result == -EPROTO;
}
