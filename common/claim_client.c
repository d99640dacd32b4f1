// SPDX-License-Identifier: BSD-2-Clause
// Claims sockets, and remembers them for a restarted daemon.
#include "common/claim_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "common/cleanup.h"
#include "common/control_client.h"

/* A daemon that does not answer for so long counts as away; binds wait for it meanwhile. */
static const struct timeval patience = {.tv_sec = 10};

static int read_endpoints(struct claim_client *client, int file, size_t count, struct err *err)
{
	struct wire_endpoint *endpoints = calloc(count + 1, sizeof(*endpoints));
	size_t size = count * sizeof(*endpoints), done = 0;

	if (!endpoints)
		return err_errno(err, -ENOMEM, "reading the service's endpoints");
	while (done < size) {
		ssize_t got = pread(file, (char *)endpoints + done, size - done, (off_t)done);

		if (got <= 0) {
			free(endpoints);
			return err_set(err, -EPROTO, "the service's endpoints cannot be read");
		}
		done += (size_t)got;
	}
	free(client->endpoints);
	client->endpoints = endpoints;
	client->endpoint_count = count;
	return 0;
}

static int greet_claim_client(struct claim_client *client, struct err *err)
{
	struct wire_hello hello = {.header = control_client_header(WIRE_HELLO, sizeof(hello))};
	struct wire_welcome welcome;
	cleanup_close int fd = -1;
	cleanup_close int file = -1;
	int result = control_client_connect(client->path, &fd, err);

	if (result)
		return result;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	strcpy(hello.service, client->service);
	result = control_client_ask(
		fd, &hello, -1, WIRE_WELCOME, &welcome, sizeof(welcome), &file, err);
	if (!result)
		result = read_endpoints(client, file, welcome.endpoint_count, err);
	if (!result)
		client->fd = take_fd(&fd);
	return result;
}

int claim_client_open(
	struct claim_client *client, const char *path, const char *service, struct err *err)
{
	*client = (struct claim_client){.path = path, .service = service, .fd = -1};
	if (strlen(service) >= WIRE_NAME_SIZE)
		return err_set(err, -EINVAL, "'%s' is too long for a service's name", service);
	return greet_claim_client(client, err);
}

void claim_client_close(struct claim_client *client)
{
	for (size_t i = 0; i < client->claim_count; i++)
		cleanup_close_fd(&client->claims[i].fd);
	free(client->claims);
	free(client->endpoints);
	cleanup_close_fd(&client->fd);
}

static bool same_claim_client_bind(
	const struct claim_client_bind *a, const struct claim_client_bind *b)
{
	return a->protocol == b->protocol && a->family == b->family && a->v6only == b->v6only &&
	       a->endpoint.port == b->endpoint.port &&
	       addr_equal(&a->endpoint.addr, &b->endpoint.addr);
}

bool claim_client_was_issued(
	const struct claim_client *client, uint64_t cookie, const struct claim_client_bind *bind)
{
	for (size_t i = 0; cookie && i < CLAIM_CLIENT_ISSUED; i++) {
		const struct claim_client_bind *given = &client->issued[i].bind;

		/* A socket that the daemon has bound to one IPv6 address is IPv6-only since. */
		if (client->issued[i].cookie == cookie && given->protocol == bind->protocol &&
			given->endpoint.port == bind->endpoint.port &&
			addr_equal(&given->endpoint.addr, &bind->endpoint.addr))
			return true;
	}
	return false;
}

int claim_client_copy(const struct claim_client *client, const struct claim_client_bind *bind)
{
	for (size_t i = 0; i < client->claim_count; i++) {
		if (same_claim_client_bind(&client->claims[i].bind, bind))
			return client->claims[i].fd;
	}
	return -1;
}

/* Remembers a claim; it takes the place of an earlier one of the same bind. */
static int remember_claim_client(
	struct claim_client *client, const struct claim_client_bind *bind, int fd)
{
	struct claim_client_claim *claim = NULL;
	cleanup_close int copy = -1;

	if (!bind->reuseport) {
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (copy < 0)
			return -errno;
	}
	for (size_t i = 0; i < client->claim_count; i++) {
		if (same_claim_client_bind(&client->claims[i].bind, bind))
			claim = &client->claims[i];
	}
	if (!claim) {
		struct claim_client_claim *list =
			reallocarray(client->claims, client->claim_count + 1, sizeof(*list));

		if (!list)
			return -ENOMEM;
		client->claims = list;
		claim = &list[client->claim_count++];
		claim->fd = -1;
	}
	cleanup_close_fd(&claim->fd);
	*claim = (struct claim_client_claim){.bind = *bind, .fd = take_fd(&copy)};
	return 0;
}

static void record_issued(
	struct claim_client *client, const struct claim_client_bind *bind, uint64_t cookie)
{
	client->issued[client->next_issued] = (struct claim_client_issued){cookie, *bind};
	client->next_issued = (client->next_issued + 1) % CLAIM_CLIENT_ISSUED;
}

static void fill_request(
	struct wire_claim *request, enum wire_type type, const struct claim_client_bind *bind)
{
	*request = (struct wire_claim){
		.header = control_client_header(type, sizeof(*request)),
		.port = bind->endpoint.port,
		.family = bind->family,
		.protocol = bind->protocol,
		.flags = (bind->v6only ? WIRE_CLAIM_V6ONLY : 0u) |
			 (bind->reuseport ? WIRE_CLAIM_REUSEPORT : 0u),
	};
	memcpy(request->address, bind->endpoint.addr.bytes, sizeof(request->address));
}

/* What means that there is no daemon at the other end, rather than that it refuses. */
static bool is_claim_client_away(int result)
{
	return result == -EPIPE || result == -EPROTO || result == -EAGAIN || result == -ECONNRESET;
}

int claim_client_claim(struct claim_client *client, const struct claim_client_bind *bind,
	int *fd_out, bool *granted, struct err *err)
{
	struct wire_claim request;
	struct wire_claimed answer;
	cleanup_close int fd = -1;
	int result;

	if (client->fd < 0)
		return err_set(err, -EPIPE, "socketboxd is away");
	fill_request(&request, WIRE_CLAIM, bind);
	/* No grant is for all addresses. */
	if (!addr_is_wildcard(&bind->endpoint.addr))
		request.flags |= WIRE_CLAIM_GRANTS;
	result = control_client_ask(
		client->fd, &request, -1, WIRE_CLAIMED, &answer, sizeof(answer), &fd, err);
	if (is_claim_client_away(result)) {
		cleanup_close_fd(&client->fd);
		return -EPIPE;
	}
	if (!bind->endpoint.port)
		client->ungranted = result == -ENOENT;
	if (result)
		return result;
	if (fd < 0)
		result = -EPROTO;
	else if (!answer.granted)
		result = remember_claim_client(client, bind, fd);
	if (result)
		return err_errno(err, result, "taking the socket from socketboxd");
	record_issued(client, bind, answer.cookie);
	*granted = answer.granted;
	*fd_out = take_fd(&fd);
	return 0;
}

int claim_client_restore(struct claim_client *client,
	void (*refused)(const struct claim_client_claim *claim, const struct err *err),
	struct err *err)
{
	int result = greet_claim_client(client, err), count = 0;

	if (is_claim_client_away(result) || result == -ENOENT || result == -ECONNREFUSED)
		return -EPIPE;
	for (size_t i = 0; !result && i < client->claim_count; i++) {
		const struct claim_client_claim *claim = &client->claims[i];
		struct wire_claim request;
		struct wire_claimed answer;
		int none = -1;

		fill_request(&request, WIRE_REGISTER, &claim->bind);
		result = control_client_ask(client->fd, &request, claim->fd, WIRE_CLAIMED, &answer,
			sizeof(answer), &none, err);
		if (!result)
			continue;
		if (is_claim_client_away(result)) {
			cleanup_close_fd(&client->fd);
			return -EPIPE;
		}
		if (refused)
			refused(claim, err);
		count++;
		result = 0;
	}
	return result ? result : count;
}
