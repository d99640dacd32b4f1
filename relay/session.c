// SPDX-License-Identifier: BSD-2-Clause
// Two directions between two sockets, and the events that they wait for.
#include "relay/session.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "relay/direction.h"

struct session_pool {
	struct event_base *base;
	struct session_counts counts;
	struct direction_shared shared;
};

struct side {
	struct session *session;
	int fd;
	/* A socket that has sent its end can still fail, and the other has to hear of it; but it is
	 * readable for ever then, so after_end waits for changes (edges) only. libevent takes no
	 * edges and levels for one descriptor at a time, hence never beside `write`, which sees
	 * faults too. */
	struct event read, write, after_end;
	bool reading, writing, ending; /* which of them are added */
};

struct session {
	struct session_pool *pool;
	struct side client, backend;
	struct direction out, in; /* to the backend, and from it */
	struct event idle;
	uint32_t idle_timeout_ms;
	int64_t moved_ms; /* when a byte last did; CLOCK_MONOTONIC_COARSE */
	void (*ended)(void *context, enum session_end end);
	void *context;
};

struct session_pool *session_pool_new(struct event_base *base, unsigned most_pipes)
{
	struct session_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->base = base;
	pool->shared.pipes.most = most_pipes;
	return pool;
}

void session_pool_free(struct session_pool *pool)
{
	if (pool)
		pipes_trim(&pool->shared.pipes);
	free(pool);
}

struct session_counts session_pool_counts(const struct session_pool *pool)
{
	struct session_counts counts = pool->counts;

	counts.pipes = pool->shared.pipes.count;
	return counts;
}

bool session_pool_trim(struct session_pool *pool)
{
	return pipes_trim(&pool->shared.pipes);
}

void session_reset_socket(int fd)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

/* False for want of memory. */
static bool watch_session(struct event *event, bool *added, bool wanted)
{
	if (*added == wanted)
		return true;
	if (!wanted)
		event_del(event);
	else if (event_add(event, NULL))
		return false;
	*added = wanted;
	return true;
}

static bool watch_side(struct side *side, bool read, bool write, bool after_end)
{
	if (!after_end)
		watch_session(&side->after_end, &side->ending, false);
	return watch_session(&side->read, &side->reading, read) &&
	       watch_session(&side->write, &side->writing, write) &&
	       watch_session(&side->after_end, &side->ending, after_end);
}

/* Waits for what each socket is to do next. False for want of memory: what is not watched would
 * stay for ever. */
static bool settle_session(struct session *session)
{
	bool to_client = direction_holds(&session->in), to_backend = direction_holds(&session->out);

	return watch_side(&session->client, !session->out.ended && !to_backend, to_client,
		       session->out.ended && !to_client) &&
	       watch_side(&session->backend, !session->in.ended && !to_client, to_backend,
		       session->in.ended && !to_backend);
}

static void stop_watching(struct session *session)
{
	watch_side(&session->client, false, false, false);
	watch_side(&session->backend, false, false, false);
	if (session->idle_timeout_ms)
		event_del(&session->idle);
}

/* Leaves the sockets alone. */
static void dissolve_session(struct session *session)
{
	stop_watching(session);
	direction_fini(&session->out);
	direction_fini(&session->in);
	free(session);
}

static void free_session(struct session *session, bool reset)
{
	int fds[] = {session->client.fd, session->backend.fd};

	dissolve_session(session);
	for (size_t i = 0; i < 2; i++) {
		if (reset)
			session_reset_socket(fds[i]);
		else
			close(fds[i]);
	}
}

void session_stop(struct session *session)
{
	free_session(session, true);
}

static void end_session(struct session *session, enum session_end how)
{
	void (*ended)(void *context, enum session_end end) = session->ended;
	void *context = session->context;

	free_session(session, how != SESSION_FINISHED);
	ended(context, how);
}

/* The wall clock may jump; this one costs a few nanoseconds and is exact to a tick. */
static int64_t now_session_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Notes what a direction has moved. */
static void account_session(struct session *session, uint64_t *total, uint64_t bytes)
{
	if (!bytes)
		return;
	*total += bytes;
	if (session->idle_timeout_ms)
		session->moved_ms = now_session_ms();
}

/* Runs a direction. The session may be gone afterwards. */
static void turn_session(struct session *session, struct direction *direction)
{
	struct session_counts *counts = &session->pool->counts;
	uint64_t before = direction->bytes;
	int result = direction_run(direction);

	account_session(session,
		direction == &session->out ? &counts->to_backends : &counts->to_clients,
		direction->bytes - before);
	if (result)
		end_session(session, SESSION_RESET);
	else if (session->out.shut && session->in.shut)
		end_session(session, SESSION_FINISHED);
	else if (!settle_session(session))
		end_session(session, SESSION_RESET);
}

static void on_read(evutil_socket_t fd, short what, void *context)
{
	struct side *side = context;
	struct session *session = side->session;

	(void)fd;
	(void)what;
	turn_session(session, side == &session->client ? &session->out : &session->in);
}

static void on_write(evutil_socket_t fd, short what, void *context)
{
	struct side *side = context;
	struct session *session = side->session;

	(void)fd;
	(void)what;
	turn_session(session, side == &session->client ? &session->in : &session->out);
}

static void on_after_end(evutil_socket_t fd, short what, void *context)
{
	struct side *side = context;
	socklen_t length = sizeof(int);
	int error = 0;

	(void)what;
	if (!getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) && error)
		end_session(side->session, SESSION_RESET);
}

static struct timeval to_timeval(int64_t ms)
{
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

/* The timer is not moved with each byte; when it fires it looks at what is left. */
static void on_idle(evutil_socket_t fd, short what, void *context)
{
	struct session *session = context;
	int64_t left_ms = session->moved_ms + session->idle_timeout_ms - now_session_ms();
	struct timeval left = to_timeval(left_ms);

	(void)fd;
	(void)what;
	if (left_ms <= 0 || event_add(&session->idle, &left))
		end_session(session, SESSION_IDLE);
}

static void assign_session(struct session *session, struct side *side, int fd)
{
	struct event_base *base = session->pool->base;

	side->session = session;
	side->fd = fd;
	event_assign(&side->read, base, fd, EV_READ | EV_PERSIST, on_read, side);
	event_assign(&side->write, base, fd, EV_WRITE | EV_PERSIST, on_write, side);
	event_assign(&side->after_end, base, fd, EV_READ | EV_ET | EV_PERSIST, on_after_end, side);
}

static int start_idle(struct session *session)
{
	struct timeval timeout = to_timeval(session->idle_timeout_ms);

	if (!session->idle_timeout_ms)
		return 0;
	evtimer_assign(&session->idle, session->pool->base, on_idle, session);
	session->moved_ms = now_session_ms();
	return event_add(&session->idle, &timeout) ? -ENOMEM : 0;
}

/* In session_saved.ended. */
enum { OUT_ENDED = 1, OUT_SHUT = 2, IN_ENDED = 4, IN_SHUT = 8 };

static unsigned ends_session(const struct session *session)
{
	return (session->out.ended ? OUT_ENDED : 0u) | (session->out.shut ? OUT_SHUT : 0u) |
	       (session->in.ended ? IN_ENDED : 0u) | (session->in.shut ? IN_SHUT : 0u);
}

int session_save(struct session *session, struct session_saved *out)
{
	int result;

	*out = (struct session_saved){
		.client = session->client.fd,
		.backend = session->backend.fd,
		.to_backend = -1,
		.to_client = -1,
		.ended = ends_session(session),
	};
	result = direction_save(&session->out, &out->to_backend);
	if (!result)
		result = direction_save(&session->in, &out->to_client);
	if (result) {
		cleanup_close_fd(&out->to_backend);
		free_session(session, true);
		return result;
	}
	dissolve_session(session);
	return 0;
}

static int resume_session(struct session *session, const struct session_saved *kept)
{
	int out = 0, in = 0;

	session->out.ended = kept->ended & OUT_ENDED;
	session->out.shut = kept->ended & OUT_SHUT;
	session->in.ended = kept->ended & IN_ENDED;
	session->in.shut = kept->ended & IN_SHUT;
	if (kept->to_backend >= 0)
		out = direction_resume(&session->out, kept->to_backend);
	if (kept->to_client >= 0)
		in = direction_resume(&session->in, kept->to_client);
	return out ? out : in;
}

int session_start(struct session_pool *pool, const struct session_request *request,
	struct session **out, struct err *err)
{
	struct session *session = calloc(1, sizeof(*session));
	int result = 0;

	if (!session)
		return err_errno(err, -ENOMEM, "a new connection");
	session->pool = pool;
	session->idle_timeout_ms = request->idle_timeout_ms;
	session->ended = request->ended;
	session->context = request->context;
	assign_session(session, &session->client, request->client);
	assign_session(session, &session->backend, request->backend);
	session->out = (struct direction){.shared = &pool->shared,
		.opposite = &session->in,
		.from = request->client,
		.to = request->backend};
	session->in = (struct direction){.shared = &pool->shared,
		.opposite = &session->out,
		.from = request->backend,
		.to = request->client};
	if (request->kept)
		result = resume_session(session, request->kept);
	else if (request->first_length)
		result = direction_put(&session->out, request->first, request->first_length);
	if (!result)
		result = start_idle(session);
	if (!result && !settle_session(session))
		result = -ENOMEM;
	if (result) {
		dissolve_session(session);
		return err_errno(err, result, "starting to relay");
	}
	pool->counts.to_backends += session->out.bytes;
	*out = session;
	return 0;
}
