// SPDX-License-Identifier: BSD-2-Clause
// Connections of the control socket: their lives and limits. What messages mean is in requests.c.
#include "daemon/control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "common/channel.h"
#include "common/cleanup.h"
#include "common/socket_file.h"
#include "daemon/control/requests.h"
#include "daemon/log.h"

/* A connection that has not said whose it is by then is closed: launchers greet at once. */
static const struct timeval greeting_time = {.tv_sec = 10};

/* How long accepting rests when the machine is out of descriptors or memory. */
static const struct timeval pause_time = {.tv_usec = 200 * 1000};

/* In a flood of connections, others wait behind so many of it. Who finds no room waits in
 * connect(2).
 */
#define BACKLOG 128

struct connection {
	struct control *control;
	struct connection *next;
	struct event *readable;
	struct event *greeting;
	TAILQ_ENTRY(connection) turn; /* in control->writing while peer.status is written */
	bool waiting;		      /* readable is not watched: its user has had enough for now */
	struct requests_peer peer;
};

struct control {
	struct event_base *base;
	struct daemon_state *state;
	struct accounts *accounts;
	struct event *acceptable;
	struct event *resume;	  /* pending while accepting pauses for want of descriptors */
	bool out_of_resources;	  /* said already */
	struct connection *first; /* newest first */
	/* Those for which a status is written, in turns: one piece in each turn of the event loop.
	 */
	TAILQ_HEAD(, connection) writing;
	struct event *write_on;
	int fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

static void close_connection(struct connection *connection)
{
	struct connection **link = &connection->control->first;

	while (*link != connection)
		link = &(*link)->next;
	*link = connection->next;
	if (connection->peer.account)
		account_leave(connection->peer.account, !connection->peer.service[0]);
	claims_release(connection->control->state->claims, &connection->peer.credentials);
	if (connection->peer.asks_status)
		TAILQ_REMOVE(&connection->control->writing, connection, turn);
	requests_abandon(&connection->peer);
	peer_fini(&connection->peer.credentials);
	if (connection->readable)
		event_free(connection->readable);
	if (connection->greeting)
		event_free(connection->greeting);
	cleanup_close_fd(&connection->peer.fd);
	free(connection);
}

/* Of the processor's time, which others' share of a busy machine does not add to. */
static uint64_t spent_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void on_control_readable(evutil_socket_t fd, short what, void *context)
{
	struct connection *connection = context;
	struct requests_peer *peer = &connection->peer;
	bool silent = !peer->service[0];
	uint64_t before = spent_ns();
	int result;

	(void)fd;
	(void)what;
	if (account_must_wait(peer->account)) {
		event_del(connection->readable);
		connection->waiting = true;
		return;
	}
	result = requests_serve(connection->control->state, peer);
	account_charge(peer->account, spent_ns() - before);
	if (peer->asks_status) {
		event_del(connection->readable);
		TAILQ_INSERT_TAIL(&connection->control->writing, connection, turn);
		event_active(connection->control->write_on, EV_TIMEOUT, 0);
	}
	if (silent && peer->service[0]) {
		account_greet(peer->account);
		event_del(connection->greeting);
	}
	if (result)
		close_connection(connection);
}

/* The first whose user has time left; those before it go to the end of the queue. NULL: none among
 * the first few. */
static struct connection *choose_writing(struct control *control)
{
	for (int i = 0; i < 8; i++) {
		struct connection *first = TAILQ_FIRST(&control->writing);

		if (!first || !account_must_wait(first->peer.account))
			return first;
		TAILQ_REMOVE(&control->writing, first, turn);
		TAILQ_INSERT_TAIL(&control->writing, first, turn);
	}
	return NULL;
}

/* Goes on with one status: its user pays for each piece, and others of that user begin when it is
 * whole. Reading from the peer begins again then. */
static void on_write_on(evutil_socket_t fd, short what, void *context)
{
	/* By a timer, since an event that is made active is run before the kernel is asked what
	 * others want. */
	static const struct timeval at_once = {0}, later = {.tv_usec = 10 * 1000};
	struct control *control = context;
	struct connection *connection = choose_writing(control);
	uint64_t before = spent_ns();
	int result;

	(void)fd;
	(void)what;
	if (connection) {
		result = requests_continue(control->state, &connection->peer);
		account_charge(connection->peer.account, spent_ns() - before);
		if (!connection->peer.asks_status) {
			TAILQ_REMOVE(&control->writing, connection, turn);
			if (result || event_add(connection->readable, NULL))
				close_connection(connection);
		}
	}
	if (!TAILQ_EMPTY(&control->writing))
		evtimer_add(control->write_on, connection ? &at_once : &later);
}

/* Others may have had enough since. */
static void on_control_ready(void *context)
{
	struct control *control = context;
	struct connection *next;

	for (struct connection *connection = control->first; connection; connection = next) {
		next = connection->next;
		if (!connection->waiting || account_must_wait(connection->peer.account))
			continue;
		connection->waiting = false;
		if (event_add(connection->readable, NULL))
			close_connection(connection);
	}
}

static void on_silence(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	close_connection(context);
}

/* Where there are too many silent connections, closes the oldest one of whoever has the most. */
static void limit_silent(struct control *control, const struct account *account)
{
	const struct account *crowding = account_crowding(account);
	struct connection *oldest = NULL;

	for (struct connection *connection = control->first; crowding && connection;
		connection = connection->next) {
		if (connection->peer.account == crowding && !connection->peer.service[0])
			oldest = connection;
	}
	if (oldest)
		close_connection(oldest);
}

static int add_connection(struct control *control, int fd, struct err *err)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection) {
		close(fd);
		return err_errno(err, -ENOMEM, "a control connection");
	}
	connection->control = control;
	connection->peer.fd = fd;
	connection->next = control->first;
	control->first = connection;
	if (peer_read(fd, &connection->peer.credentials, err)) {
		close_connection(connection);
		return err->code;
	}
	connection->peer.account = account_enter(control->accounts,
		connection->peer.credentials.uid, !peer_may_manage(&connection->peer.credentials));
	connection->readable =
		event_new(control->base, fd, EV_READ | EV_PERSIST, on_control_readable, connection);
	connection->greeting = evtimer_new(control->base, on_silence, connection);
	if (!connection->peer.account || !connection->readable || !connection->greeting ||
		event_add(connection->readable, NULL) ||
		event_add(connection->greeting, &greeting_time)) {
		close_connection(connection);
		return err_errno(err, -ENOMEM, "a control connection");
	}
	limit_silent(control, connection->peer.account);
	return 0;
}

static void on_control_resume(evutil_socket_t fd, short what, void *context)
{
	struct control *control = context;

	(void)fd;
	(void)what;
	if (event_add(control->acceptable, NULL))
		evtimer_add(control->resume, &pause_time);
}

/* Told once, until it goes well again. */
static void log_control_out_of_resources(struct control *control, const char *why)
{
	if (!control->out_of_resources)
		log_warning("control connections wait: accept: %s", why);
	control->out_of_resources = true;
}

static void accept_control_one(struct control *control)
{
	struct err err;
	int fd = accept4(control->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		if (add_connection(control, fd, &err)) {
			log_control_out_of_resources(control, err.text);
			return;
		}
		if (control->out_of_resources)
			log_info("control connections are accepted again");
		control->out_of_resources = false;
		return;
	}
	if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		log_control_out_of_resources(control, strerror(errno));
		event_del(control->acceptable);
		evtimer_add(control->resume, &pause_time);
	}
}

/* Accepts one connection per call, and none for a while after many, so that a flood of them does
 * not keep others waiting. */
static void on_control_acceptable(evutil_socket_t listener, short what, void *context)
{
	struct control *control = context;
	uint64_t before = spent_ns(), rest_us;

	(void)listener;
	(void)what;
	accept_control_one(control);
	rest_us = accounts_charge_accept(control->accounts, spent_ns() - before) / 1000;
	if (!rest_us || evtimer_pending(control->resume, NULL))
		return;
	event_del(control->acceptable);
	evtimer_add(control->resume, &(struct timeval){.tv_usec = (suseconds_t)rest_us});
}

/* Removes a socket that nobody listens on any more; a live one, or another kind of file, stays. */
static int clear_path(const char *path, const struct sockaddr_un *address, struct err *err)
{
	cleanup_close int probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct stat file;

	if (probe < 0)
		return err_errno(err, -errno, "socket");
	if (lstat(path, &file))
		return errno == ENOENT ? 0 : err_errno(err, -errno, "%s", path);
	if (!S_ISSOCK(file.st_mode))
		return err_set(err, -EEXIST,
			"%s exists and is no socket; remove it or name another with --control",
			path);
	if (!connect(probe, (const struct sockaddr *)address, sizeof(*address)))
		return err_set(err, -EADDRINUSE,
			"another socketboxd answers on %s; stop it or name another path with --control",
			path);
	if (unlink(path))
		return err_errno(err, -errno, "removing the stale socket %s", path);
	return 0;
}

static int listen_control_at(struct control *control, const char *path, struct err *err)
{
	cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;
	int result;

	if (fd < 0)
		return err_errno(err, -errno, "socket");
	result = channel_address(path, "the control path", &address, err);
	if (!result)
		result = clear_path(path, &address, err);
	if (result)
		return result;
	/* Everyone may connect: who may do what is decided by credentials. */
	result = socket_file_bind(fd, &address, 0666);
	if (result)
		return err_errno(err, result, "binding the control socket %s", path);
	if (listen(fd, BACKLOG))
		return err_errno(err, -errno, "listening on %s", path);
	strcpy(control->path, path);
	control->fd = take_fd(&fd);
	return 0;
}

int control_open(struct event_base *base, struct daemon_state *state, const char *path,
	struct control **out, struct err *err)
{
	struct control *control = calloc(1, sizeof(*control));
	int result;

	if (!control)
		return err_errno(err, -ENOMEM, "the control socket");
	control->base = base;
	control->state = state;
	control->fd = -1;
	TAILQ_INIT(&control->writing);
	control->accounts = accounts_new(base, on_control_ready, control);
	result = control->accounts ? listen_control_at(control, path, err)
				   : err_errno(err, -ENOMEM, "the control socket");
	if (!result) {
		control->acceptable = event_new(
			base, control->fd, EV_READ | EV_PERSIST, on_control_acceptable, control);
		control->resume = evtimer_new(base, on_control_resume, control);
		control->write_on = evtimer_new(base, on_write_on, control);
		if (!control->acceptable || !control->resume || !control->write_on ||
			event_add(control->acceptable, NULL))
			result = err_errno(err, -ENOMEM, "the control socket");
	}
	if (result) {
		control_close(control);
		return result;
	}
	*out = control;
	return 0;
}

void control_close(struct control *control)
{
	if (!control)
		return;
	while (control->first)
		close_connection(control->first);
	if (control->acceptable)
		event_free(control->acceptable);
	if (control->resume)
		event_free(control->resume);
	if (control->write_on)
		event_free(control->write_on);
	if (control->fd >= 0)
		unlink(control->path);
	cleanup_close_fd(&control->fd);
	accounts_free(control->accounts);
	free(control);
}
