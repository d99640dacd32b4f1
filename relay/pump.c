// SPDX-License-Identifier: BSD-2-Clause
// Pumps: two flows between two sockets. A flow copies, which is quickest for small messages, until
// a read fills its buffer; then it splices, until little comes.
#include "relay/pump.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/pipes.h"

#define BUFFER_SIZE   (64 * 1024)
#define SPLICE_MOST   (1024 * 1024)
#define SPLICE_LITTLE (16 * 1024)
#define ROUNDS	      4 /* of reading before other connections get their turn */

struct pump_hub {
	struct event_base *base;
	struct pipes pipes;
	struct pump_counts counts;
	uint8_t buffer[BUFFER_SIZE]; /* empty between calls */
};

struct side {
	struct pump *pump;
	int fd;
	/* A socket that has sent its end can still fail, and the other has to hear of it; but it is
	 * readable for ever then, so after_end waits for changes (edges) only. libevent takes no
	 * edges and levels for one descriptor at a time, hence never beside `write`, which sees
	 * faults too. */
	struct event read, write, after_end;
	bool reading, writing, ending; /* which of them are added */
};

/* One direction. What was read and not yet written is in `rest` or in the pipe, never in both, and
 * nothing is read while there is any. */
struct flow {
	struct side *from, *to;
	uint8_t *rest;
	size_t rest_at, rest_length;
	struct pipe_pair *pipe;
	size_t piped;
	bool bulk;	/* splices */
	bool no_splice; /* from cannot */
	bool ended;	/* from has sent its end */
	bool shut;	/* which to was told */
	uint64_t *total;
};

struct pump {
	struct pump_hub *hub;
	struct side client, backend;
	struct flow out, in; /* to the backend, and from it */
	struct event idle;
	uint32_t idle_timeout_ms;
	struct timeval moved; /* when a byte last did */
	void (*ended)(void *context, enum pump_end end);
	void *context;
};

struct pump_hub *pump_hub_new(struct event_base *base, unsigned most_pipes)
{
	struct pump_hub *hub = calloc(1, sizeof(*hub));

	if (!hub)
		return NULL;
	hub->base = base;
	hub->pipes.most = most_pipes;
	return hub;
}

void pump_hub_free(struct pump_hub *hub)
{
	if (hub)
		pipes_trim(&hub->pipes);
	free(hub);
}

struct pump_counts pump_hub_counts(const struct pump_hub *hub)
{
	struct pump_counts counts = hub->counts;

	counts.pipes = hub->pipes.count;
	return counts;
}

bool pump_hub_trim(struct pump_hub *hub)
{
	return pipes_trim(&hub->pipes);
}

void pump_reset_socket(int fd)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

static bool holds_bytes(const struct flow *flow)
{
	return flow->rest_length || flow->piped;
}

static void free_flow(struct pump_hub *hub, struct flow *flow)
{
	free(flow->rest);
	if (flow->pipe)
		pipes_give(&hub->pipes, flow->pipe, !flow->piped);
}

static void watch(struct event *event, bool *added, bool wanted)
{
	if (*added == wanted)
		return;
	/* Adding fails for want of memory alone; the other socket's events and the idle timeout are
	 * left then. */
	if (wanted)
		event_add(event, NULL);
	else
		event_del(event);
	*added = wanted;
}

static void watch_side(struct side *side, bool read, bool write, bool after_end)
{
	if (!after_end)
		watch(&side->after_end, &side->ending, false);
	watch(&side->read, &side->reading, read);
	watch(&side->write, &side->writing, write);
	watch(&side->after_end, &side->ending, after_end);
}

static void free_pump(struct pump *pump, bool reset)
{
	int fds[] = {pump->client.fd, pump->backend.fd};

	watch_side(&pump->client, false, false, false);
	watch_side(&pump->backend, false, false, false);
	if (pump->idle_timeout_ms)
		event_del(&pump->idle);
	free_flow(pump->hub, &pump->out);
	free_flow(pump->hub, &pump->in);
	for (size_t i = 0; i < 2; i++) {
		if (reset)
			pump_reset_socket(fds[i]);
		else
			close(fds[i]);
	}
	free(pump);
}

void pump_stop(struct pump *pump)
{
	free_pump(pump, true);
}

static void end(struct pump *pump, enum pump_end how)
{
	void (*ended)(void *context, enum pump_end end) = pump->ended;
	void *context = pump->context;

	free_pump(pump, how != PUMP_FINISHED);
	ended(context, how);
}

static void count(struct flow *flow, size_t length)
{
	struct pump *pump = flow->from->pump;

	*flow->total += length;
	if (pump->idle_timeout_ms)
		event_base_gettimeofday_cached(pump->hub->base, &pump->moved);
}

/* Keeps what a socket did not take. */
static int keep(struct flow *flow, const uint8_t *data, size_t length)
{
	flow->rest = malloc(length);
	if (!flow->rest)
		return -ENOMEM;
	memcpy(flow->rest, data, length);
	flow->rest_at = 0;
	flow->rest_length = length;
	return 0;
}

/* Sends, and keeps the rest. */
static int deliver(struct flow *flow, const uint8_t *data, size_t length)
{
	ssize_t sent = send(flow->to->fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		sent = 0;
	}
	count(flow, (size_t)sent);
	if ((size_t)sent == length)
		return 0;
	return keep(flow, data + sent, length - (size_t)sent);
}

static int push_rest(struct flow *flow)
{
	ssize_t sent = send(flow->to->fd, flow->rest + flow->rest_at, flow->rest_length,
		MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	count(flow, (size_t)sent);
	flow->rest_at += (size_t)sent;
	flow->rest_length -= (size_t)sent;
	if (!flow->rest_length) {
		free(flow->rest);
		flow->rest = NULL;
	}
	return 0;
}

/* Every kind of socket takes what is spliced into it: the kernel copies where it has to. */
static int push_pipe(struct flow *flow)
{
	while (flow->piped) {
		ssize_t sent = splice(flow->pipe->read, NULL, flow->to->fd, NULL, flow->piped,
			SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? 0 : -errno;
		count(flow, (size_t)sent);
		flow->piped -= (size_t)sent;
	}
	return 0;
}

static int push(struct flow *flow)
{
	int result = flow->rest_length ? push_rest(flow) : push_pipe(flow);

	if (flow->pipe && !flow->piped) {
		pipes_give(&flow->from->pump->hub->pipes, flow->pipe, true);
		flow->pipe = NULL;
	}
	return result;
}

/* These two return 1 if there may be more to read, 0 if not, or -errno. */
static int pull_copy(struct flow *flow)
{
	struct pump_hub *hub = flow->from->pump->hub;
	ssize_t got = recv(flow->from->fd, hub->buffer, sizeof(hub->buffer), MSG_DONTWAIT);
	int result;

	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (!got) {
		flow->ended = true;
		return 0;
	}
	result = deliver(flow, hub->buffer, (size_t)got);
	if (result || (size_t)got < sizeof(hub->buffer))
		return result;
	flow->bulk = !flow->no_splice;
	return 1;
}

static int pull_splice(struct flow *flow)
{
	ssize_t got;

	flow->pipe = pipes_take(&flow->from->pump->hub->pipes);
	if (!flow->pipe) {
		flow->bulk = false;
		return 1;
	}
	got = splice(flow->from->fd, NULL, flow->pipe->write, NULL, SPLICE_MOST,
		SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (got < 0 && errno == EINVAL) {
		flow->no_splice = true;
		flow->bulk = false;
		return 1;
	}
	if (got < 0 && errno != EAGAIN && errno != EINTR)
		return -errno;
	if (!got)
		flow->ended = true;
	if (got < SPLICE_LITTLE)
		flow->bulk = false;
	if (got > 0)
		flow->piped = (size_t)got;
	return got > 0 && flow->bulk;
}

static const struct flow *opposite(const struct flow *flow)
{
	const struct pump *pump = flow->from->pump;

	return flow == &pump->out ? &pump->in : &pump->out;
}

/* Moves what can be moved. */
static int run(struct flow *flow)
{
	int result = push(flow), more = 1;

	for (int round = 0; !result && more && round < ROUNDS; round++) {
		if (holds_bytes(flow) || flow->ended)
			break;
		more = flow->bulk ? pull_splice(flow) : pull_copy(flow);
		result = more < 0 ? more : push(flow);
	}
	if (result || !flow->ended || flow->shut || holds_bytes(flow))
		return result;
	flow->shut = true;
	/* Where both directions have ended, closing says so by itself. */
	if (!opposite(flow)->shut && shutdown(flow->to->fd, SHUT_WR))
		return -errno;
	return 0;
}

/* Waits for what each socket is to do next. */
static void settle(struct pump *pump)
{
	bool to_client = holds_bytes(&pump->in), to_backend = holds_bytes(&pump->out);

	watch_side(&pump->client, !pump->out.ended && !to_backend, to_client,
		pump->out.ended && !to_client);
	watch_side(&pump->backend, !pump->in.ended && !to_client, to_backend,
		pump->in.ended && !to_backend);
}

/* Runs a flow. The pump may be gone afterwards. */
static void turn(struct pump *pump, struct flow *flow)
{
	if (run(flow))
		end(pump, PUMP_RESET);
	else if (pump->out.shut && pump->in.shut)
		end(pump, PUMP_FINISHED);
	else
		settle(pump);
}

static void on_read(evutil_socket_t fd, short what, void *context)
{
	struct side *side = context;
	struct pump *pump = side->pump;

	(void)fd;
	(void)what;
	turn(pump, side == &pump->client ? &pump->out : &pump->in);
}

static void on_write(evutil_socket_t fd, short what, void *context)
{
	struct side *side = context;
	struct pump *pump = side->pump;

	(void)fd;
	(void)what;
	turn(pump, side == &pump->client ? &pump->in : &pump->out);
}

static void on_after_end(evutil_socket_t fd, short what, void *context)
{
	struct side *side = context;
	socklen_t length = sizeof(int);
	int error = 0;

	(void)what;
	if (!getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) && error)
		end(side->pump, PUMP_RESET);
}

static struct timeval to_timeval(int64_t ms)
{
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

/* The timer is not moved with each byte; when it fires it looks at what is left. */
static void on_idle(evutil_socket_t fd, short what, void *context)
{
	struct pump *pump = context;
	struct timeval now, since, left;
	int64_t left_ms;

	(void)fd;
	(void)what;
	event_base_gettimeofday_cached(pump->hub->base, &now);
	evutil_timersub(&now, &pump->moved, &since);
	left_ms = (int64_t)pump->idle_timeout_ms -
		  ((int64_t)since.tv_sec * 1000 + since.tv_usec / 1000);
	/* A clock that was set back must not make a connection immortal. */
	if (left_ms > pump->idle_timeout_ms) {
		pump->moved = now;
		left_ms = pump->idle_timeout_ms;
	}
	left = to_timeval(left_ms);
	if (left_ms <= 0 || event_add(&pump->idle, &left))
		end(pump, PUMP_IDLE);
}

static void assign(struct pump *pump, struct side *side, int fd)
{
	struct event_base *base = pump->hub->base;

	side->pump = pump;
	side->fd = fd;
	event_assign(&side->read, base, fd, EV_READ | EV_PERSIST, on_read, side);
	event_assign(&side->write, base, fd, EV_WRITE | EV_PERSIST, on_write, side);
	event_assign(&side->after_end, base, fd, EV_READ | EV_ET | EV_PERSIST, on_after_end, side);
}

static int start_idle(struct pump *pump)
{
	struct timeval timeout = to_timeval(pump->idle_timeout_ms);

	if (!pump->idle_timeout_ms)
		return 0;
	evtimer_assign(&pump->idle, pump->hub->base, on_idle, pump);
	event_base_gettimeofday_cached(pump->hub->base, &pump->moved);
	return event_add(&pump->idle, &timeout) ? -ENOMEM : 0;
}

int pump_start(struct pump_hub *hub, const struct pump_request *request, struct pump **out,
	struct err *err)
{
	struct pump *pump = calloc(1, sizeof(*pump));
	int result = 0;

	if (!pump)
		return err_errno(err, -ENOMEM, "a new connection");
	pump->hub = hub;
	pump->idle_timeout_ms = request->idle_timeout_ms;
	pump->ended = request->ended;
	pump->context = request->context;
	assign(pump, &pump->client, request->client);
	assign(pump, &pump->backend, request->backend);
	pump->out = (struct flow){
		.from = &pump->client, .to = &pump->backend, .total = &hub->counts.to_backends};
	pump->in = (struct flow){
		.from = &pump->backend, .to = &pump->client, .total = &hub->counts.to_clients};
	if (request->first_length)
		result = deliver(&pump->out, request->first, request->first_length);
	if (!result)
		result = start_idle(pump);
	if (result) {
		free_flow(hub, &pump->out);
		free(pump);
		return err_errno(err, result, "sending the first octets");
	}
	settle(pump);
	*out = pump;
	return 0;
}
