/* SPDX-License-Identifier: BSD-2-Clause */
/* The way from a connection and a backend to a socket that is being connected. */
#ifndef SOCKETBOX_RELAY_CONNECT_H
#define SOCKETBOX_RELAY_CONNECT_H

#include "relay/relay_settings.h"

/* Where to connect, and from where. */
struct connect_target {
	struct sockaddr_storage address, source;
	socklen_t address_length, source_length; /* source_length 0: the host's choice */
};

/*
 * Works out the target for a client's connection, by the backend's kind and the settings' source.
 * local and remote may be NULL (the connection has no IP addresses), which rules out mappings. Any
 * failure means that this connection must be refused, but -EMFILE and the like, which pass.
 */
int connect_target(const struct relay_settings *settings, const struct relay_backend *backend,
	const struct addr_endpoint *local, const struct addr_endpoint *remote,
	struct connect_target *out, struct err *err);

/* Begins to connect; *fd, non-blocking, is the caller's. 0 if it is connected already, 1 if it will
 * become writable once it is, or fails; -EAGAIN where a Unix socket's backlog is full. */
int connect_begin(const struct connect_target *target, int *fd, struct err *err);

/* How the connecting of a writable socket has ended: 0 or -errno. */
int connect_result(int fd);

#endif
