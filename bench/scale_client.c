// SPDX-License-Identifier: BSD-2-Clause
// Asks a daemon that has many services, claims or routes, in batches of a few, and prints as JSON
// what each operation costs. The last ones, whose sockets are not held, are claimed and released
// again and again; the others are claimed once, and held.
//   scale_client claims CONTROL PID SERVICES SECONDS STALL
//   scale_client connections CONTROL PID SERVICES SECONDS STALL
// SECONDS: for each kind of operation; STALL: how many seconds an answer may take.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/daemon_meter.h"
#include "bench/scale_requests.h"
#include "common/cleanup.h"
#include "common/control_client.h"
#include "common/handoff_message.h"

#define BATCH	    10u
#define ROUNDS	    20u
#define DEATHS	    3u	 /* of a batch: each may be a turn of its own */
#define CONNECTIONS 300u /* in a sample */

enum operation { CLAIM, EXPLAIN, DEATH, RELEASE, NATIVE, RELOAD, STATUS, ACCEPTED, OPERATIONS };

struct scale {
	struct daemon_meter daemon;
	const char *control;
	unsigned services, claimed;
	int seconds, stall_s;
	double held_s; /* what it took to claim what is held */
	int connections[BATCH], sockets[BATCH];
	struct meter meters[OPERATIONS];
};

/* The service that has this place in the batch. */
static unsigned service_of(const struct scale *scale, unsigned place)
{
	return scale->services - BATCH + place;
}

/* Handoff has no services that are held, so the batch is taken from all over. */
static unsigned spread_service_of(const struct scale *scale, unsigned place)
{
	return (unsigned)((unsigned long)place * (scale->services - 1) / (BATCH - 1));
}

static int greet_daemon(const struct scale *scale, unsigned service, int *fd_out, struct err *err)
{
	char name[WIRE_NAME_SIZE];

	snprintf(name, sizeof(name), "s%u", service);
	return daemon_meter_greet(scale->control, name, scale->stall_s, fd_out, err);
}

static double seconds_since(uint64_t start)
{
	return (double)(meter_clock(CLOCK_MONOTONIC) - start) / 1e9;
}

/* Claims what is to be held, as long as there is time. */
static int hold_claims(struct scale *scale, double budget_s, struct err *err)
{
	uint64_t start = meter_clock(CLOCK_MONOTONIC);
	int result = 0;

	while (!result && scale->claimed < scale->services - BATCH &&
		seconds_since(start) < budget_s) {
		cleanup_close int connection = -1;
		cleanup_close int fd = -1;

		result = greet_daemon(scale, scale->claimed, &connection, err);
		if (!result)
			result = scale_claim(connection, scale->claimed, &fd, err);
		scale->claimed += !result;
	}
	scale->held_s = seconds_since(start);
	return result;
}

/* What a measurement returns that got this error: 1 for an answer that took too long. */
static int note_stall(struct scale *scale, enum operation operation, int result)
{
	if (result != -EAGAIN)
		return result;
	daemon_meter_stall(&scale->daemon, &scale->meters[operation]);
	return 1;
}

static int measure_claims(struct scale *scale, struct err *err)
{
	for (unsigned i = 0; i < BATCH; i++) {
		int result = greet_daemon(scale, service_of(scale, i), &scale->connections[i], err);

		if (result)
			return result;
	}
	daemon_meter_begin(&scale->daemon);
	for (unsigned i = 0; i < BATCH; i++) {
		int result = scale_claim(
			scale->connections[i], service_of(scale, i), &scale->sockets[i], err);

		if (result)
			return result;
	}
	daemon_meter_end(&scale->daemon, &scale->meters[CLAIM], BATCH);
	return 0;
}

/* That what was claimed is served, or the numbers would be of something else. */
static int check_claims(struct scale *scale, struct err *err)
{
	for (unsigned i = 0; i < BATCH; i++) {
		cleanup_close int client = -1;
		int result = scale_connect(service_of(scale, i), &client);

		if (result)
			return err_errno(err, result, "connecting to a claimed socket");
	}
	return 0;
}

static int measure_explains(struct scale *scale, struct err *err)
{
	daemon_meter_begin(&scale->daemon);
	for (unsigned i = 0; i < BATCH; i++) {
		int result =
			scale_explain(scale->daemon.connection, spread_service_of(scale, i), err);

		if (result)
			return note_stall(scale, EXPLAIN, result);
	}
	daemon_meter_end(&scale->daemon, &scale->meters[EXPLAIN], BATCH);
	return 0;
}

/* A holder that shuts its listening socket down. */
static int measure_deaths(struct scale *scale, struct err *err)
{
	for (unsigned i = 0; i < DEATHS; i++) {
		int result;

		daemon_meter_begin(&scale->daemon);
		shutdown(scale->sockets[i], SHUT_RDWR);
		result = daemon_meter_ping(&scale->daemon, err);
		if (result)
			return note_stall(scale, DEATH, result);
		daemon_meter_end(&scale->daemon, &scale->meters[DEATH], 1);
	}
	return 0;
}

static int measure_releases(struct scale *scale, struct err *err)
{
	int result;

	daemon_meter_begin(&scale->daemon);
	for (unsigned i = 0; i < BATCH; i++) {
		cleanup_close_fd(&scale->connections[i]);
		cleanup_close_fd(&scale->sockets[i]);
	}
	result = daemon_meter_ping(&scale->daemon, err);
	if (result)
		return note_stall(scale, RELEASE, result);
	daemon_meter_end(&scale->daemon, &scale->meters[RELEASE], BATCH);
	return 0;
}

/* What a program does without socketbox, for a ratio. */
static int measure_natives(struct scale *scale, struct err *err)
{
	struct meter *meter = &scale->meters[NATIVE];
	uint64_t wall_ns = meter_clock(CLOCK_MONOTONIC);
	uint64_t cpu_ns = meter_clock(CLOCK_THREAD_CPUTIME_ID);

	for (unsigned i = 0; i < BATCH; i++) {
		int result = scale_bind_native(service_of(scale, i), &scale->sockets[i]);

		if (result)
			return err_errno(err, result, "a native bind");
	}
	cpu_ns = meter_clock(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
	wall_ns = meter_clock(CLOCK_MONOTONIC) - wall_ns;
	meter->cpu_us[meter->samples] = (double)cpu_ns / 1e3 / BATCH;
	meter->wall_us[meter->samples++] = (double)wall_ns / 1e3 / BATCH;
	meter->count += BATCH;
	for (unsigned i = 0; i < BATCH; i++)
		cleanup_close_fd(&scale->sockets[i]);
	return 0;
}

static int measure_whole(
	struct scale *scale, enum operation operation, enum wire_type type, struct err *err)
{
	uint64_t start = meter_clock(CLOCK_MONOTONIC);
	struct meter *meter = &scale->meters[operation];

	while (meter->samples < 5 && (!meter->samples || seconds_since(start) < scale->seconds)) {
		struct wire_header request = control_client_header(type, sizeof(request));
		int result;

		daemon_meter_begin(&scale->daemon);
		result = scale_ask(scale->daemon.connection, &request, err);
		if (result)
			return note_stall(scale, operation, result);
		daemon_meter_end(&scale->daemon, meter, 1);
	}
	return 0;
}

typedef int measure_function(struct scale *scale, struct err *err);

/* In turns, so that a busy spell of the machine hits all of them. 1: the daemon has stalled. */
static int measure_rounds(
	struct scale *scale, measure_function *const *measures, size_t count, struct err *err)
{
	uint64_t start = meter_clock(CLOCK_MONOTONIC);

	for (unsigned round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < count; i++) {
			int result = measures[i](scale, err);

			if (result)
				return result;
		}
		if (round >= 2 && seconds_since(start) > scale->seconds)
			return 0;
	}
	return 0;
}

#define LENGTH(list) (sizeof(list) / sizeof(*(list)))

/* What may stall the daemon comes last. */
static int run_claims(struct scale *scale, struct err *err)
{
	static measure_function *const quick[] = {
		measure_claims, check_claims, measure_explains, measure_releases, measure_natives};
	static measure_function *const deaths[] = {
		measure_claims, measure_deaths, measure_releases};
	int result = hold_claims(scale, scale->stall_s, err);

	if (!result)
		result = measure_rounds(scale, quick, LENGTH(quick), err);
	if (!result)
		result = measure_whole(scale, RELOAD, WIRE_RELOAD, err);
	if (!result)
		result = measure_rounds(scale, deaths, LENGTH(deaths), err);
	if (!result)
		result = measure_whole(scale, STATUS, WIRE_STATUS, err);
	return result;
}

/* The services of the batch get their connections on these sockets. */
static int open_receivers(struct scale *scale, struct err *err)
{
	for (unsigned i = 0; i < BATCH; i++) {
		struct wire_receive receive = {
			.header = control_client_header(WIRE_RECEIVE, sizeof(receive)),
			.socket_type = SOCK_SEQPACKET,
		};
		struct wire_header answer;
		int result = greet_daemon(
			scale, spread_service_of(scale, i), &scale->connections[i], err);

		if (!result)
			result = control_client_ask(scale->connections[i], &receive, -1,
				WIRE_RECEIVING, &answer, sizeof(answer), &scale->sockets[i], err);
		if (result)
			return result;
	}
	return 0;
}

static int exchange_connection(struct scale *scale, unsigned place, struct err *err)
{
	cleanup_close int client = -1;
	cleanup_close int server = -1;
	int result = scale_connect(spread_service_of(scale, place), &client);

	if (result)
		return err_errno(err, result, "connecting to a service");
	result = handoff_recv(scale->sockets[place], MSG_CMSG_CLOEXEC, &server);
	return result ? err_errno(err, result, "receiving a connection") : 0;
}

static int run_connections(struct scale *scale, struct err *err)
{
	uint64_t start = meter_clock(CLOCK_MONOTONIC);
	int result = open_receivers(scale, err);

	for (unsigned round = 0; !result && round < METER_SAMPLES &&
				 (round < 3 || seconds_since(start) < 2 * scale->seconds);
		round++) {
		daemon_meter_begin(&scale->daemon);
		for (unsigned i = 0; !result && i < CONNECTIONS; i++)
			result = exchange_connection(scale, i % BATCH, err);
		daemon_meter_end(&scale->daemon, &scale->meters[ACCEPTED], CONNECTIONS);
	}
	return result;
}

static void print_scale(const struct scale *scale)
{
	printf("{\"services\": %u, \"claims\": %u, \"held_s\": %.2f", scale->services,
		scale->claimed + BATCH, scale->held_s);
	for (size_t i = 0; i < OPERATIONS; i++) {
		printf(", ");
		meter_print(&scale->meters[i]);
	}
	printf("}\n");
}

int main(int argc, char **argv)
{
	static const char *const names[OPERATIONS] = {
		"claim", "explain", "death", "release", "native", "reload", "status", "accepted"};
	struct scale scale = {0};
	struct err err;
	int result;

	if (argc != 7 || atoi(argv[4]) < (int)BATCH) {
		fprintf(stderr,
			"usage: scale_client claims|connections CONTROL PID SERVICES SECONDS STALL\n");
		return 2;
	}
	scale.control = argv[2];
	scale.services = (unsigned)atoi(argv[4]);
	scale.seconds = atoi(argv[5]);
	scale.stall_s = atoi(argv[6]);
	for (size_t i = 0; i < OPERATIONS; i++)
		scale.meters[i] = (struct meter){.name = names[i]};
	for (unsigned i = 0; i < BATCH; i++)
		scale.connections[i] = scale.sockets[i] = -1;
	result = daemon_meter_open(
		&scale.daemon, atoi(argv[3]), scale.control, "s0", scale.stall_s, &err);
	if (!result && !strcmp(argv[1], "claims"))
		result = run_claims(&scale, &err);
	else if (!result)
		result = run_connections(&scale, &err);
	if (result < 0)
		fprintf(stderr, "scale_client: %s\n", err.text);
	else
		print_scale(&scale);
	return result < 0 ? 1 : 0;
}
