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

static void inherit(struct plan *plan, const struct plan *former)
{
	for (size_t i = 0; i < plan->settings.backend_count; i++) {
		for (size_t j = 0; j < former->settings.backend_count; j++) {
			if (same_backend(
				    &plan->settings.backends[i], &former->settings.backends[j]))
				plan->health[i] = former->health[j];
		}
	}
}

struct plan *plan_new(const struct relay_settings *settings, const struct plan *former)
{
	struct plan *plan = calloc(1, sizeof(*plan));

	if (!plan)
		return NULL;
	plan->health = calloc(settings->backend_count, sizeof(*plan->health));
	if (!plan->health || relay_settings_copy(settings, &plan->settings)) {
		free(plan->health);
		free(plan);
		return NULL;
	}
	plan->references = 1;
	if (former)
		inherit(plan, former);
	return plan;
}

struct plan *plan_get(struct plan *plan)
{
	plan->references++;
	return plan;
}

void plan_put(struct plan *plan)
{
	if (!plan || --plan->references)
		return;
	relay_settings_fini(&plan->settings);
	free(plan->health);
	free(plan);
}

static bool is_tried(const struct tried *tried, size_t backend)
{
	return tried->bits[backend / 8] >> (backend % 8) & 1;
}

/* Keeps others away until the outcome is known. */
static void probe(const struct plan *plan, struct health *health, int64_t now_ms)
{
	uint32_t timeout = plan->settings.connect_timeout_ms;

	health->probed = true;
	health->skip_until_ms = now_ms + (timeout > SKIP_FIRST_MS ? timeout : SKIP_FIRST_MS);
}

int plan_choose(struct plan *plan, struct tried *tried, int64_t now_ms)
{
	size_t count = plan->settings.backend_count;
	int chosen = -1;

	for (size_t i = 0; i < count; i++) {
		size_t backend = (plan->next + i) % count;
		const struct health *health = &plan->health[backend];

		if (is_tried(tried, backend))
			continue;
		if (health->skip_until_ms <= now_ms) {
			chosen = (int)backend;
			break;
		}
		if (chosen < 0 ||
			health->skip_until_ms < plan->health[(size_t)chosen].skip_until_ms)
			chosen = (int)backend;
	}
	if (chosen < 0)
		return -1;
	tried->bits[chosen / 8] |= (uint8_t)(1 << (chosen % 8));
	plan->next = ((size_t)chosen + 1) % count;
	if (plan->health[chosen].failures && plan->health[chosen].skip_until_ms <= now_ms)
		probe(plan, &plan->health[chosen], now_ms);
	return chosen;
}

uint32_t plan_failed(struct plan *plan, int backend, int64_t now_ms)
{
	struct health *health = &plan->health[backend];
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

bool plan_succeeded(struct plan *plan, int backend)
{
	struct health *health = &plan->health[backend];
	bool had_failed = health->failures > 0;

	health->connections++;
	health->failures = 0;
	health->probed = false;
	health->skip_until_ms = 0;
	return had_failed;
}
