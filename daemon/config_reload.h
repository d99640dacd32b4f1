/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A reload: one transaction over a table of the daemon's parts. Each part prepares what the new
 * configuration needs beside what runs; if one cannot, those that have prepared abandon it, and the
 * old configuration goes on in every part. If all can, all commit, which cannot fail.
 */
#ifndef SOCKETBOX_DAEMON_CONFIG_RELOAD_H
#define SOCKETBOX_DAEMON_CONFIG_RELOAD_H

#include "daemon/state.h"

/* Reads the configuration and puts it in force, or changes nothing. Returns 0 or a negative errno
 * with at least one error among the diagnostics, which the caller frees either way. */
int config_reload(struct daemon_state *state, struct diagnostics *diagnostics);

/* Has the engine decide by the configuration and the drains in force. On failure it goes on with
 * what it has. */
int config_reload_table(struct daemon_state *state, const struct config *config, struct err *err);

/* Takes sockets out of the engine's map that the configuration does not serve: those of programs of
 * an earlier configuration, or left by an earlier daemon. */
void config_reload_reconcile(struct daemon_state *state);

#endif
