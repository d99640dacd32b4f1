/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random configurations and packets for the tests that hold the matchers to each other, and the
 * scan that they are all measured against. Small pools of addresses and ports make overlaps common.
 */
#ifndef SOCKETBOX_TESTS_RANDOM_CONFIG_H
#define SOCKETBOX_TESTS_RANDOM_CONFIG_H

#include "daemon/config/config.h"
#include "daemon/routes/route_table.h"

/* A configuration of up to `routes` routes and a few services; the same seed gives the same one.
 * Freed with random_config_free. */
struct config *random_config(unsigned seed, size_t routes);
void random_config_free(struct config *config);

/* A packet that is likely to meet some of the routes. */
struct table_packet random_packet(unsigned *seed);

/* The first route that matches, found by looking at every route and element; or MATCH_NONE. */
uint32_t naive_find(const struct config *config, const struct table_packet *packet);

#endif
