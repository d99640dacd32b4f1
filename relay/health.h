/* SPDX-License-Identifier: BSD-2-Clause */
/* Backends and what is known of them: which one is next, and which ones are skipped. */
#ifndef SOCKETBOX_RELAY_HEALTH_H
#define SOCKETBOX_RELAY_HEALTH_H

#include "relay/relay_settings.h"

struct health {
	int64_t skip_until_ms;
	unsigned failures; /* in a row */
	bool probed;	   /* one connection tries it now, after its time of being skipped */
	uint64_t connections;
};

/* Settings in force, shared by the connections that were begun under them. */
struct backend_set {
	unsigned references;
	struct relay_settings settings;
	struct health *health; /* by backend */
	size_t next;
};

/* One bit for each backend. */
struct tried {
	uint8_t bits[RELAY_MOST_BACKENDS / 8];
};

/* A backends with one reference; keeps the health of backends that `former` (or NULL) has too. NULL
 * out of memory. */
struct backend_set *backend_set_new(
	const struct relay_settings *settings, const struct backend_set *former);
struct backend_set *backend_set_get(struct backend_set *backends);
void backend_set_put(struct backend_set *backends); /* NULL is allowed */

/*
 * The backend to try next: in turns, those that are not skipped first; then the others, since a
 * client that would be turned away loses nothing by it. It is marked in *tried. A backend whose
 * time of being skipped is over is tried by one connection before it gets its turns again. -1: all
 * have been tried.
 */
int backend_set_choose(struct backend_set *backends, struct tried *tried, int64_t now_ms);

/* A backend could not be connected to; returns how long it is skipped, in milliseconds. Failures of
 * connections that were under way when it was first found to fail count once. */
uint32_t backend_set_failed(struct backend_set *backends, int backend, int64_t now_ms);
/* It could. True if it had failed before. */
bool backend_set_succeeded(struct backend_set *backends, int backend);

#endif
