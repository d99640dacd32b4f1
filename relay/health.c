// SPDX-License-Identifier: BSD-2-Clause
// Chooses backends by turn and by health.
#include "relay/health.h"

#include <stdlib.h>
#include <string.h>

#define SKIP_FIRST_MS 1000u
#define SKIP_MOST_MS  30000u

static bool same_backend(const struct relay_backend *a, const struct relay_backend *b)
{
	char texts[2][RELAY_BACKEND_TEXT_SIZE];

	return !strcmp(relay_backend_format(a, texts[0]), relay_backend_format(b, texts[1]));
}

static void inherit_backend(struct backend_set *backends, const struct backend_set *former)
{
	for (size_t i = 0; i < backends->settings.backend_count; i++) {
		for (size_t j = 0; j < former->settings.backend_count; j++) {
			if (same_backend(
				    &backends->settings.backends[i], &former->settings.backends[j]))
				backends->health[i] = former->health[j];
		}
	}
}

struct backend_set *backend_set_new(
	const struct relay_settings *settings, const struct backend_set *former)
{
	struct backend_set *backends = calloc(1, sizeof(*backends));

	if (!backends)
		return NULL;
	backends->health = calloc(settings->backend_count, sizeof(*backends->health));
	if (!backends->health || relay_settings_copy(settings, &backends->settings)) {
		free(backends->health);
		free(backends);
		return NULL;
	}
	backends->references = 1;
	if (former)
		inherit_backend(backends, former);
	return backends;
}

struct backend_set *backend_set_get(struct backend_set *backends)
{
	backends->references++;
	return backends;
}

void backend_set_put(struct backend_set *backends)
{
	if (!backends || --backends->references)
		return;
	relay_settings_fini(&backends->settings);
	free(backends->health);
	free(backends);
}

static bool is_tried(const struct tried *tried, size_t backend)
{
	return tried->bits[backend / 8] >> (backend % 8) & 1;
}

/* Keeps others away until the outcome is known. */
static void probe_backend(const struct backend_set *backends, struct health *health, int64_t now_ms)
{
	uint32_t timeout = backends->settings.connect_timeout_ms;

	health->probed = true;
	health->skip_until_ms = now_ms + (timeout > SKIP_FIRST_MS ? timeout : SKIP_FIRST_MS);
}

int backend_set_choose(struct backend_set *backends, struct tried *tried, int64_t now_ms)
{
	size_t count = backends->settings.backend_count;
	int chosen = -1;

	for (size_t i = 0; i < count; i++) {
		size_t backend = (backends->next + i) % count;
		const struct health *health = &backends->health[backend];

		if (is_tried(tried, backend))
			continue;
		if (health->skip_until_ms <= now_ms) {
			chosen = (int)backend;
			break;
		}
		if (chosen < 0 ||
			health->skip_until_ms < backends->health[(size_t)chosen].skip_until_ms)
			chosen = (int)backend;
	}
	if (chosen < 0)
		return -1;
	tried->bits[chosen / 8] |= (uint8_t)(1 << (chosen % 8));
	backends->next = ((size_t)chosen + 1) % count;
	if (backends->health[chosen].failures && backends->health[chosen].skip_until_ms <= now_ms)
		probe_backend(backends, &backends->health[chosen], now_ms);
	return chosen;
}

uint32_t backend_set_failed(struct backend_set *backends, int backend, int64_t now_ms)
{
	struct health *health = &backends->health[backend];
	uint32_t skip = SKIP_FIRST_MS;

	if (health->failures && !health->probed && health->skip_until_ms > now_ms)
		return (uint32_t)(health->skip_until_ms - now_ms);
	for (unsigned i = 0; i < health->failures && skip < SKIP_MOST_MS; i++)
		skip *= 2;
	if (skip > SKIP_MOST_MS)
		skip = SKIP_MOST_MS;
	health->failures++;
	health->probed = false;
	health->skip_until_ms = now_ms + skip;
	return skip;
}

bool backend_set_succeeded(struct backend_set *backends, int backend)
{
	struct health *health = &backends->health[backend];
	bool had_failed = health->failures > 0;

	health->connections++;
	health->failures = 0;
	health->probed = false;
	health->skip_until_ms = 0;
	return had_failed;
}
