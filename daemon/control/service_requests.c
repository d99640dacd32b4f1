// SPDX-License-Identifier: BSD-2-Clause
// What services and their launchers ask for: sockets, and handed connections.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "daemon/control/requests_private.h"
#include "daemon/deliver/handoff_delivery.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

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

int requests_hello(struct request *request, struct err *err)
{
	struct wire_welcome reply = {
		.header = requests_header(request, WIRE_WELCOME, sizeof(reply))};
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
	result = coverage_endpoints(service, &endpoints, &count);
	if (result)
		return err_errno(err, result, "listing the endpoints of '%s'", name);
	result = requests_make_file(request, endpoints, count * sizeof(*endpoints), &fd, err);
	if (result)
		return result;
	reply.hold_ms = service->hold_ms;
	reply.endpoint_count = (uint32_t)count;
	strcpy(request->peer->service, service->name);
	requests_answer(request, &reply, sizeof(reply), fd);
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
static int give_request(struct request *request, const struct config_service *service,
	const struct coverage_bind *bind, struct issued_socket *issued, bool *granted,
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
		*issued = (struct issued_socket){
			.fd = socket.fd, .cookie = socket.cookie, .bound = socket.bound};
	if (result == -ENOENT && bind->endpoint.port)
		result = claims_claim(request->state->claims, service, &request->peer->credentials,
			bind, claim->flags & WIRE_CLAIM_REUSEPORT, issued, err);
	if (result == -ENOENT)
		grants_refuse(grants, service, bind, err);
	return result;
}

int requests_claim(struct request *request, struct err *err)
{
	const struct wire_claim *claim = &request->message.claim;
	bool registers = claim->header.type == WIRE_REGISTER, granted = false;
	bool reuseport = claim->flags & WIRE_CLAIM_REUSEPORT;
	const struct config_service *service;
	struct coverage_bind bind = {0};
	struct issued_socket issued;
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
			&request->peer->credentials, &bind, request->fd, &issued, err);
	else
		result = give_request(request, service, &bind, &issued, &granted, err);
	if (result)
		return result;
	struct wire_claimed reply = {
		.header = requests_header(request, WIRE_CLAIMED, sizeof(reply)),
		.cookie = issued.cookie,
		.bound_port = issued.bound.port,
		.shared = issued.shared,
		.granted = granted,
	};
	memcpy(reply.bound_address, issued.bound.addr.bytes, sizeof(reply.bound_address));
	requests_answer(request, &reply, sizeof(reply), issued.fd);
	cleanup_close_fd(&issued.fd);
	return 0;
}

/* Opens a way on which the service's connections come; it lasts as long as its other end. */
int requests_receive(struct request *request, struct err *err)
{
	struct wire_header reply = requests_header(request, WIRE_RECEIVING, sizeof(reply));
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
		requests_answer(request, &reply, sizeof(reply), theirs);
	return result;
}

int requests_destination(struct request *request, struct err *err)
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
	return requests_reply_text(
		request, service->handoff->path, strlen(service->handoff->path), err);
}
