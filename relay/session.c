// SPDX-License-Identifier: BSD-2-Clause
// Two flows between two sockets, and the events that they wait for.
#include "relay/session.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "relay/direction.h"

struct pump_hub {
	struct event_base *base;
	struct pump_counts counts;
	struct flow_shared shared;
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

struct pump {
	struct pump_hub *hub;
	struct side client, backend;
	struct flow out, in; /* to the backend, and from it */
	struct event idle;
	uint32_t idle_timeout_ms;
	int64_t moved_ms; /* when a byte last did; CLOCK_MONOTONIC_COARSE */
	void (*ended)(void *context, enum pump_end end);
	void *context;
};

struct pump_hub *pump_hub_new(struct event_base *base, unsigned most_pipes)
{
	struct pump_hub *hub = calloc(1, sizeof(*hub));

	if (!hub)
		return NULL;
	hub->base = base;
	hub->shared.pipes.most = most_pipes;
	return hub;
}

void pump_hub_free(struct pump_hub *hub)
{
	if (hub)
		pipes_trim(&hub->shared.pipes);
	free(hub);
}

struct pump_counts pump_hub_counts(const struct pump_hub *hub)
{
	struct pump_counts counts = hub->counts;

	counts.pipes = hub->shared.pipes.count;
	return counts;
}

bool pump_hub_trim(struct pump_hub *hub)
{
	return pipes_trim(&hub->shared.pipes);
}

void pump_reset_socket(int fd)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

/* False for want of memory. */
static bool watch(struct event *event, bool *added, bool wanted)
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
		watch(&side->after_end, &side->ending, false);
	return watch(&side->read, &side->reading, read) &&
	       watch(&side->write, &side->writing, write) &&
	       watch(&side->after_end, &side->ending, after_end);
}

/* Waits for what each socket is to do next. False for want of memory: what is not watched would
 * stay for ever. */
static bool settle(struct pump *pump)
{
	bool to_client = flow_holds(&pump->in), to_backend = flow_holds(&pump->out);

	return watch_side(&pump->client, !pump->out.ended && !to_backend, to_client,
		       pump->out.ended && !to_client) &&
	       watch_side(&pump->backend, !pump->in.ended && !to_client, to_backend,
		       pump->in.ended && !to_backend);
}

static void stop_watching(struct pump *pump)
{
	watch_side(&pump->client, false, false, false);
	watch_side(&pump->backend, false, false, false);
	if (pump->idle_timeout_ms)
		event_del(&pump->idle);
}

/* Leaves the sockets alone. */
static void dissolve(struct pump *pump)
{
	stop_watching(pump);
	flow_fini(&pump->out);
	flow_fini(&pump->in);
	free(pump);
}

static void free_pump(struct pump *pump, bool reset)
{
	int fds[] = {pump->client.fd, pump->backend.fd};

	dissolve(pump);
	for (size_t i = 0; i < 2; i++) {
		if (reset)
			pump_reset_socket(fds[i]);
		else
			close(fds[i]);
	}
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

/* The wall clock may jump; this one costs a few nanoseconds and is exact to a tick. */
static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Notes what a flow has moved. */
static void account(struct pump *pump, uint64_t *total, uint64_t octets)
{
	if (!octets)
		return;
	*total += octets;
	if (pump->idle_timeout_ms)
		pump->moved_ms = now_ms();
}

/* Runs a flow. The pump may be gone afterwards. */
static void turn(struct pump *pump, struct flow *flow)
{
	struct pump_counts *counts = &pump->hub->counts;
	uint64_t before = flow->octets;
	int result = flow_run(flow);

	account(pump, flow == &pump->out ? &counts->to_backends : &counts->to_clients,
		flow->octets - before);
	if (result)
		end(pump, PUMP_RESET);
	else if (pump->out.shut && pump->in.shut)
		end(pump, PUMP_FINISHED);
	else if (!settle(pump))
		end(pump, PUMP_RESET);
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
	int64_t left_ms = pump->moved_ms + pump->idle_timeout_ms - now_ms();
	struct timeval left = to_timeval(left_ms);

	(void)fd;
	(void)what;
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
	pump->moved_ms = now_ms();
	return event_add(&pump->idle, &timeout) ? -ENOMEM : 0;
}

/* In pump_kept.ended. */
enum { OUT_ENDED = 1, OUT_SHUT = 2, IN_ENDED = 4, IN_SHUT = 8 };

static unsigned ends(const struct pump *pump)
{
	return (pump->out.ended ? OUT_ENDED : 0u) | (pump->out.shut ? OUT_SHUT : 0u) |
	       (pump->in.ended ? IN_ENDED : 0u) | (pump->in.shut ? IN_SHUT : 0u);
}

int pump_keep(struct pump *pump, struct pump_kept *out)
{
	int result;

	*out = (struct pump_kept){
		.client = pump->client.fd,
		.backend = pump->backend.fd,
		.to_backend = -1,
		.to_client = -1,
		.ended = ends(pump),
	};
	result = flow_keep(&pump->out, &out->to_backend);
	if (!result)
		result = flow_keep(&pump->in, &out->to_client);
	if (result) {
		cleanup_close_fd(&out->to_backend);
		free_pump(pump, true);
		return result;
	}
	dissolve(pump);
	return 0;
}

static int resume(struct pump *pump, const struct pump_kept *kept)
{
	int out = 0, in = 0;

	pump->out.ended = kept->ended & OUT_ENDED;
	pump->out.shut = kept->ended & OUT_SHUT;
	pump->in.ended = kept->ended & IN_ENDED;
	pump->in.shut = kept->ended & IN_SHUT;
	if (kept->to_backend >= 0)
		out = flow_resume(&pump->out, kept->to_backend);
	if (kept->to_client >= 0)
		in = flow_resume(&pump->in, kept->to_client);
	return out ? out : in;
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
	pump->out = (struct flow){.shared = &hub->shared,
		.opposite = &pump->in,
		.from = request->client,
		.to = request->backend};
	pump->in = (struct flow){.shared = &hub->shared,
		.opposite = &pump->out,
		.from = request->backend,
		.to = request->client};
	if (request->kept)
		result = resume(pump, request->kept);
	else if (request->first_length)
		result = flow_put(&pump->out, request->first, request->first_length);
	if (!result)
		result = start_idle(pump);
	if (!result && !settle(pump))
		result = -ENOMEM;
	if (result) {
		dissolve(pump);
		return err_errno(err, result, "starting to relay");
	}
	hub->counts.to_backends += pump->out.octets;
	*out = pump;
	return 0;
}
