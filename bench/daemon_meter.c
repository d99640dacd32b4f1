// SPDX-License-Identifier: BSD-2-Clause
// Reads the clocks of the daemon's event loop from outside (schedstat of its thread), and its turns
// from the control socket.
#include "bench/daemon_meter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/control_client.h"

uint64_t meter_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool read_proc(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	cleanup_fclose FILE *file = NULL;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)pid, (int)pid, name);
	file = fopen(path, "re");
	return file && fgets(text, (int)size, file);
}

/* The scheduler's account is brought up to date when the thread goes to sleep. */
static uint64_t read_sleepers_cpu(pid_t pid)
{
	uint64_t before = UINT64_MAX, now = 0;
	char text[512], *state;

	for (;;) {
		if (!read_proc(pid, "schedstat", text, sizeof(text)))
			return now;
		now = strtoull(text, NULL, 10);
		if (!read_proc(pid, "stat", text, sizeof(text)))
			return now;
		state = strrchr(text, ')');
		if (state && state[2] == 'S' && now == before)
			return now;
		before = state && state[2] == 'S' ? now : UINT64_MAX;
		usleep(500);
	}
}

/* -errno where the daemon does not know the message, or does not answer. */
static int take_turns(struct daemon_meter *daemon, double *wall_ms, double *cpu_ms, struct err *err)
{
	struct wire_header request = control_client_header(WIRE_TURNS, sizeof(request));
	struct wire_text answer;
	cleanup_close int fd = -1;
	char text[512] = "";
	const char *wall, *cpu;
	int result = control_client_ask(
		daemon->connection, &request, -1, WIRE_TEXT, &answer, sizeof(answer), &fd, err);

	if (result)
		return result;
	if (pread(fd, text, sizeof(text) - 1, 0) < 0)
		return -errno;
	wall = strstr(text, "\"longest_ms\":");
	cpu = strstr(text, "\"longest_cpu_ms\":");
	if (!wall || !cpu)
		return -EPROTO;
	*wall_ms = strtod(strchr(wall, ':') + 1, NULL);
	*cpu_ms = strtod(strchr(cpu, ':') + 1, NULL);
	return 0;
}

int daemon_meter_greet(
	const char *control, const char *service, int stall_s, int *fd_out, struct err *err)
{
	const struct timeval patience = {.tv_sec = stall_s};
	struct wire_hello hello = {.header = control_client_header(WIRE_HELLO, sizeof(hello))};
	struct wire_welcome welcome;
	cleanup_close int fd = -1;
	cleanup_close int file = -1;
	int result = control_client_connect(control, &fd, err);

	if (result)
		return result;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		return err_errno(err, -errno, "SO_RCVTIMEO");
	snprintf(hello.service, sizeof(hello.service), "%s", service);
	result = control_client_ask(
		fd, &hello, -1, WIRE_WELCOME, &welcome, sizeof(welcome), &file, err);
	if (!result)
		*fd_out = take_fd(&fd);
	return result;
}

int daemon_meter_open(struct daemon_meter *daemon, pid_t pid, const char *control,
	const char *service, int stall_s, struct err *err)
{
	*daemon = (struct daemon_meter){.pid = pid, .connection = -1};
	return daemon_meter_greet(control, service, stall_s, &daemon->connection, err);
}

int daemon_meter_ping(struct daemon_meter *daemon, struct err *err)
{
	double wall_ms, cpu_ms;
	int result = take_turns(daemon, &wall_ms, &cpu_ms, err);

	/* To refuse is to answer. */
	return result == -EAGAIN || result == -EPIPE ? result : 0;
}

void daemon_meter_begin(struct daemon_meter *daemon)
{
	struct err ignored;

	daemon_meter_ping(daemon, &ignored);
	daemon->cpu_ns = read_sleepers_cpu(daemon->pid);
	daemon->wall_ns = meter_clock(CLOCK_MONOTONIC);
}

void daemon_meter_end(struct daemon_meter *daemon, struct meter *meter, size_t operations)
{
	uint64_t wall_ns = meter_clock(CLOCK_MONOTONIC) - daemon->wall_ns;
	uint64_t cpu_ns = read_sleepers_cpu(daemon->pid) - daemon->cpu_ns;
	double wall_ms = -1, cpu_ms = -1;
	struct err ignored;

	if (!operations || meter->samples == METER_SAMPLES)
		return;
	meter->cpu_us[meter->samples] = (double)cpu_ns / 1e3 / (double)operations;
	meter->wall_us[meter->samples++] = (double)wall_ns / 1e3 / (double)operations;
	meter->count += operations;
	take_turns(daemon, &wall_ms, &cpu_ms, &ignored);
	if (wall_ms > meter->turn_ms)
		meter->turn_ms = wall_ms;
	if (cpu_ms > meter->turn_cpu_ms)
		meter->turn_cpu_ms = cpu_ms;
}

void daemon_meter_stall(struct daemon_meter *daemon, struct meter *meter)
{
	meter->stalled = true;
	meter->wall_us[0] = (double)(meter_clock(CLOCK_MONOTONIC) - daemon->wall_ns) / 1e3;
}

static int compare_doubles(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return left < right ? -1 : left > right;
}

double meter_median(const double *list, size_t count)
{
	double sorted[METER_SAMPLES];

	memcpy(sorted, list, count * sizeof(*list));
	qsort(sorted, count, sizeof(*sorted), compare_doubles);
	return count % 2 ? sorted[count / 2]
	       : count	 ? (sorted[count / 2] + sorted[count / 2 - 1]) / 2
			 : 0;
}

void meter_print(const struct meter *meter)
{
	size_t samples = meter->stalled ? 1 : meter->samples;

	if (!samples) {
		printf("\"%s\": null", meter->name);
		return;
	}
	printf("\"%s\": {\"wall_us\": %.2f, \"count\": %zu, \"stalled\": %s", meter->name,
		meter_median(meter->wall_us, samples), meter->count,
		meter->stalled ? "true" : "false");
	if (meter->samples)
		printf(", \"cpu_us\": %.2f", meter_median(meter->cpu_us, meter->samples));
	if (meter->turn_ms > 0)
		printf(", \"turn_ms\": %.3f, \"turn_cpu_ms\": %.3f", meter->turn_ms,
			meter->turn_cpu_ms);
	printf("}");
}
