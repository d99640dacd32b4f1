/* SPDX-License-Identifier: BSD-2-Clause */
/* What some operations cost the daemon: the time of its event loop, and how long others waited. */
#ifndef SOCKETBOX_BENCH_DAEMON_METER_H
#define SOCKETBOX_BENCH_DAEMON_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"

#define METER_SAMPLES 64

/* One kind of operation. A sample is the mean of those between begin and end. */
struct meter {
	const char *name;
	double cpu_us[METER_SAMPLES], wall_us[METER_SAMPLES]; /* of each operation */
	double turn_ms, turn_cpu_ms; /* the longest turn of the loop in all samples; -1: unknown */
	size_t samples, count;
	bool stalled; /* the daemon did not answer in time: then wall_us[samples] is a lower bound
		       */
};

/* The daemon that is measured. */
struct daemon_meter {
	pid_t pid;
	int connection; /* to ask for the turns */
	uint64_t cpu_ns, wall_ns;
};

/* A connection of the service, on which no answer may take longer than stall_s seconds. */
int daemon_meter_greet(
	const char *control, const char *service, int stall_s, int *fd, struct err *err);

/* Connects for the turns. It greets, since the daemon closes connections that do not. A daemon that
 * does not know the message is measured without. */
int daemon_meter_open(struct daemon_meter *daemon, pid_t pid, const char *control,
	const char *service, int stall_s, struct err *err);

void daemon_meter_begin(struct daemon_meter *daemon);

/* operations: how many there were since begin. Returns when the daemon has nothing more to do. */
void daemon_meter_end(struct daemon_meter *daemon, struct meter *meter, size_t operations);

/* The last operation was not answered in time. */
void daemon_meter_stall(struct daemon_meter *daemon, struct meter *meter);

/* A round trip, which waits for the turns before it. -EAGAIN: it took too long. */
int daemon_meter_ping(struct daemon_meter *daemon, struct err *err);

uint64_t meter_clock(clockid_t clock);
double meter_median(const double *list, size_t count);
void meter_print(const struct meter *meter); /* JSON: "name": {...} */

#endif
