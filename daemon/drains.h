/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which services are being drained: they get nothing new, while what waits for them is served and
 * what is established goes on. Each drain begins an generation. A connection that the daemon
 * accepted bears the one in which it came, by which it is known for old or new when it is judged.
 *
 * Drains outlive the daemon by the fdstore, which keeps an empty file for each.
 */
#ifndef SOCKETBOX_DAEMON_DRAINS_H
#define SOCKETBOX_DAEMON_DRAINS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/config/config.h"
#include "daemon/fdstore/fdstore.h"

struct drain;
struct drains;

/* Goes on with the drains of an earlier daemon. The fdstore stays the caller's and may be NULL.
 * NULL out of memory. */
struct drains *drains_new(struct fdstore *fdstore);
void drains_free(struct drains *drains); /* NULL is allowed */

/* Forgets the drains of services that the configuration does not have. */
void drains_configure(struct drains *drains, const struct config *config);

/* Takes what the earlier daemon's drains were kept by; after the first drains_configure. */
void drains_restore(struct drains *drains);

/* The service must not be among them. -ENOMEM, -EMFILE, -ENFILE. */
int drains_begin(struct drains *drains, uint32_t service, struct err *err);

/* Takes the drain of the service, which must have one, out of them: it has ended, unless it is put
 * back. */
struct drain *drains_take(struct drains *drains, uint32_t service);
void drains_put_back(struct drains *drains, struct drain *drain);
void drains_drop(struct drains *drains, struct drain *drain);

bool drains_has(const struct drains *drains, uint32_t service);

/* The generation now; before the first drain, and for what an earlier daemon accepted, it is 0. */
uint32_t drains_generation(const struct drains *drains);

/* The first generation in which the service gets nothing; UINT32_MAX where it is not being drained.
 */
uint32_t drains_begun(const struct drains *drains, uint32_t service);

#endif
