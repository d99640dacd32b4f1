// SPDX-License-Identifier: BSD-2-Clause
// Listeners by service, and one short conversation per client.
#include "daemon/control/getsocks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/cleanup.h"
#include "common/socket_file.h"
#include "daemon/log.h"

/* HAProxy takes as many descriptors from one message (MAX_SEND_FD), and acknowledges each. */
#define MOST_IN_A_MESSAGE 252
#define MOST_SOCKETS	  1024

/* What is told of each: no namespace, no interface, no options. */
#define ABOUT_EACH 6

static const struct timeval patience = {.tv_sec = 5};

/* How long accepting rests when the machine is out of descriptors or memory. */
static const struct timeval rest = {.tv_usec = 200 * 1000};

struct listener {
	struct getsocks *getsocks;
	uint32_t service;
	char *path;
	int fd;
	struct event *acceptable;
	struct event *resume; /* pending while accepting rests for want of descriptors */
	struct listener *next;
	struct stat file; /* at the path when it was bound; st_ino 0: it was not */
};

struct client {
	struct getsocks *getsocks;
	uint32_t service;
	struct peer peer;
	int fd;
	struct event *readable;
	char asked[64];
	size_t length;
	int *sockets; /* to be sent */
	size_t count, sent;
	struct client *next;
};

struct getsocks {
	struct event_base *base;
	struct claims *claims;
	const struct config *config;
	struct listener *listeners;
	struct client *clients;
};

struct getsocks *getsocks_new(struct event_base *base, struct claims *claims)
{
	struct getsocks *getsocks = calloc(1, sizeof(*getsocks));

	if (getsocks)
		*getsocks = (struct getsocks){.base = base, .claims = claims};
	return getsocks;
}

static void close_client(struct client *client)
{
	struct client **link = &client->getsocks->clients;

	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
	claims_release(client->getsocks->claims, &client->peer);
	peer_fini(&client->peer);
	if (client->readable)
		event_free(client->readable);
	for (size_t i = 0; i < client->count; i++)
		close(client->sockets[i]);
	free(client->sockets);
	cleanup_close_fd(&client->fd);
	free(client);
}

/* Claims one socket for the client. It has to be where HAProxy will look for it. */
static void add_socket(struct client *client, const struct config_service *service,
	const struct coverage_bind *bind)
{
	int *list = reallocarray(client->sockets, client->count + 1, sizeof(*list));
	char text[ADDR_TEXT_SIZE];
	struct issued_socket issued;
	struct err err;

	if (!list)
		return;
	client->sockets = list;
	addr_endpoint_format(&bind->endpoint, text);
	if (claims_claim(
		    client->getsocks->claims, service, &client->peer, bind, false, &issued, &err)) {
		log_warning("service '%s': _getsocks: %s", service->name, err.text);
		return;
	}
	if (!addr_equal(&issued.bound.addr, &bind->endpoint.addr)) {
		log_warning(
			"service '%s': _getsocks cannot give %s, which is not the service's alone; claim it by 'socketbox run'",
			service->name, text);
		close(issued.fd);
		return;
	}
	list[client->count++] = issued.fd;
}

static void collect_getsocks(struct client *client, const struct config_service *service)
{
	cleanup_free struct wire_endpoint *endpoints = NULL;
	size_t count = 0;

	if (coverage_endpoints(service, &endpoints, &count))
		return;
	for (size_t e = 0; e < count; e++) {
		const struct wire_endpoint *endpoint = &endpoints[e];
		struct coverage_bind bind = {.protocol = IPPROTO_TCP};
		uint32_t first = endpoint->port_first, last = endpoint->port_last;

		memcpy(bind.endpoint.addr.bytes, endpoint->address, sizeof(endpoint->address));
		bind.family = addr_is_v4(&bind.endpoint.addr) ? 4 : 6;
		if (endpoint->protocol != IPPROTO_TCP || endpoint->prefix_length != 128)
			continue;
		if (endpoint->target_port)
			first = last = endpoint->target_port;
		for (uint32_t port = first; port <= last && client->count < MOST_SOCKETS; port++) {
			bind.endpoint.port = (uint16_t)port;
			add_socket(client, service, &bind);
		}
	}
}

/* Sends the next sockets; the client acknowledges before there are more. */
static int send_some(struct client *client)
{
	size_t count = client->count - client->sent;
	char about[MOST_IN_A_MESSAGE * ABOUT_EACH] = {0};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(MOST_IN_A_MESSAGE * sizeof(int))];
	} control = {0};
	struct iovec data = {.iov_base = about};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control};

	if (count > MOST_IN_A_MESSAGE)
		count = MOST_IN_A_MESSAGE;
	data.iov_len = count * ABOUT_EACH;
	message.msg_controllen = CMSG_SPACE(count * sizeof(int));
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(&control.header), client->sockets + client->sent, count * sizeof(int));
	if (sendmsg(client->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return -errno;
	client->sent += count;
	return 0;
}

static int answer_getsocks(struct client *client)
{
	const struct config *config = client->getsocks->config;
	const struct config_service *service = config_service_by_id(config, client->service);
	int32_t count;

	if (service)
		collect_getsocks(client, service);
	count = (int32_t)client->count;
	if (send(client->fd, &count, sizeof(count), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return -errno;
	return count ? send_some(client) : 1;
}

/* Nonzero: the conversation is over. */
static int converse_getsocks(struct client *client)
{
	char ack[16];
	ssize_t got;

	if (client->count) {
		got = recv(client->fd, ack, sizeof(ack), MSG_DONTWAIT);
		if (got < 0)
			return errno != EAGAIN;
		return !got || client->sent == client->count || send_some(client);
	}
	got = recv(client->fd, client->asked + client->length,
		sizeof(client->asked) - 1 - client->length, MSG_DONTWAIT);
	if (got <= 0)
		return got == 0 || errno != EAGAIN;
	client->length += (size_t)got;
	if (strstr(client->asked, "_getsocks"))
		return answer_getsocks(client);
	return client->length == sizeof(client->asked) - 1;
}

static void on_getsocks_readable(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	if (what & EV_TIMEOUT || converse_getsocks(context))
		close_client(context);
}

static bool may_claim(struct client *client)
{
	const struct config_service *service =
		config_service_by_id(client->getsocks->config, client->service);

	return service && peer_may_claim(&client->peer, service);
}

static void on_getsocks_acceptable(evutil_socket_t listening, short what, void *context)
{
	struct listener *listener = context;
	cleanup_close int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct client *client = fd < 0 ? NULL : calloc(1, sizeof(*client));
	struct err err;

	(void)what;
	/* A client that could not be accepted would be there again at once. */
	if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
		event_del(listener->acceptable);
		evtimer_add(listener->resume, &rest);
	}
	if (!client)
		return;
	client->getsocks = listener->getsocks;
	client->service = listener->service;
	client->fd = take_fd(&fd);
	client->next = listener->getsocks->clients;
	listener->getsocks->clients = client;
	client->readable = event_new(listener->getsocks->base, client->fd, EV_READ | EV_PERSIST,
		on_getsocks_readable, client);
	if (peer_read(client->fd, &client->peer, &err) || !may_claim(client) || !client->readable ||
		event_add(client->readable, &patience)) {
		log_debug("%s: a client that may not have the sockets", listener->path);
		close_client(client);
	}
}

static void on_getsocks_resume(evutil_socket_t fd, short what, void *context)
{
	struct listener *listener = context;

	(void)fd;
	(void)what;
	if (event_add(listener->acceptable, NULL))
		evtimer_add(listener->resume, &rest);
}

/* What has taken the place of the listener's file stays. */
static void remove_own_file(const struct listener *listener)
{
	struct stat file;

	if (listener->file.st_ino && !lstat(listener->path, &file) &&
		file.st_ino == listener->file.st_ino && file.st_dev == listener->file.st_dev)
		unlink(listener->path);
}

/* Removes the socket of an earlier daemon: one that nobody has open. A datagram socket tells, which
 * no listener sees: ECONNREFUSED, where a live one of another type is EPROTOTYPE. */
static int clear_getsocks_path(const char *path, struct err *err)
{
	cleanup_close int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	cleanup_close int file_fd = -1;
	struct stat file;
	int result;

	if (probe < 0)
		return err_errno(err, -errno, "socket");
	file_fd = socket_file_refer(path, &file);
	if (file_fd == -ENOENT)
		return 0;
	if (file_fd < 0)
		return err_errno(err, file_fd,
			"%s is not a socket of socketboxd's; remove it, or name another path with 'getsocks'",
			path);
	result = socket_file_connect(probe, file_fd);
	if (result != -ECONNREFUSED)
		return err_set(err, -EADDRINUSE,
			"another program listens at %s; stop it, or name another path with 'getsocks'",
			path);
	if (unlink(path) && errno != ENOENT)
		return err_errno(err, -errno, "removing the stale socket %s", path);
	return 0;
}

static void close_getsocks_listener(struct listener *listener)
{
	if (listener->acceptable)
		event_free(listener->acceptable);
	if (listener->resume)
		event_free(listener->resume);
	remove_own_file(listener);
	cleanup_close_fd(&listener->fd);
	free(listener->path);
	free(listener);
}

static int listen_getsocks_at(struct listener *listener, struct err *err)
{
	struct sockaddr_un address;
	int result = channel_address(listener->path, "'getsocks'", &address, err);

	if (result)
		return result;
	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0)
		return err_errno(err, -errno, "socket");
	result = clear_getsocks_path(listener->path, err);
	if (result)
		return result;
	/* Everyone may connect: credentials decide to whom sockets are given. */
	result = socket_file_bind(listener->fd, &address, 0666);
	if (result)
		return err_errno(err, result, "listening at %s", listener->path);
	if (lstat(listener->path, &listener->file))
		listener->file = (struct stat){0};
	if (listen(listener->fd, SOMAXCONN))
		return err_errno(err, -errno, "listening at %s", listener->path);
	listener->acceptable = event_new(listener->getsocks->base, listener->fd,
		EV_READ | EV_PERSIST, on_getsocks_acceptable, listener);
	listener->resume = evtimer_new(listener->getsocks->base, on_getsocks_resume, listener);
	if (!listener->acceptable || !listener->resume || event_add(listener->acceptable, NULL))
		return err_errno(err, -ENOMEM, "listening at %s", listener->path);
	return 0;
}

static void open_getsocks_listener(struct getsocks *getsocks, const struct config_service *service)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	struct err err;

	if (!listener || !(listener->path = strdup(service->getsocks))) {
		free(listener);
		return;
	}
	listener->getsocks = getsocks;
	listener->service = service->id;
	listener->fd = -1;
	if (listen_getsocks_at(listener, &err)) {
		log_error("service '%s': %s", service->name, err.text);
		close_getsocks_listener(listener);
		return;
	}
	listener->next = getsocks->listeners;
	getsocks->listeners = listener;
}

static bool is_open(const struct getsocks *getsocks, const struct config_service *service)
{
	for (struct listener *listener = getsocks->listeners; listener; listener = listener->next) {
		if (listener->service == service->id && !strcmp(listener->path, service->getsocks))
			return true;
	}
	return false;
}

static bool is_wanted(const struct listener *listener, const struct config *config)
{
	const struct config_service *service = config_service_by_id(config, listener->service);

	return service && service->getsocks && !strcmp(service->getsocks, listener->path);
}

void getsocks_configure(struct getsocks *getsocks, const struct config *config)
{
	struct listener **link = &getsocks->listeners;

	getsocks->config = config;
	while (*link) {
		struct listener *listener = *link;

		if (is_wanted(listener, config)) {
			link = &listener->next;
			continue;
		}
		*link = listener->next;
		close_getsocks_listener(listener);
	}
	for (size_t s = 0; s < config->service_count; s++) {
		if (config->services[s].getsocks && !is_open(getsocks, &config->services[s]))
			open_getsocks_listener(getsocks, &config->services[s]);
	}
}

void getsocks_free(struct getsocks *getsocks)
{
	if (!getsocks)
		return;
	while (getsocks->clients)
		close_client(getsocks->clients);
	while (getsocks->listeners) {
		struct listener *listener = getsocks->listeners;

		getsocks->listeners = listener->next;
		close_getsocks_listener(listener);
	}
	free(getsocks);
}
