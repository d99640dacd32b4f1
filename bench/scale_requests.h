/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the benchmark by size asks of services s0, s1, ...: the n-th is reached at 2001:db8:1::n+1,
 * port 80. All return 0 or a negative errno; -EAGAIN is an answer that took too long.
 */
#ifndef SOCKETBOX_BENCH_SCALE_REQUESTS_H
#define SOCKETBOX_BENCH_SCALE_REQUESTS_H

#include "common/err.h"

/* The service's socket, over a connection that has greeted as it; *fd is the caller's. */
int scale_claim(int connection, unsigned service, int *fd, struct err *err);

/* A request that is answered by a text, which is not looked at. */
int scale_ask(int connection, const void *request, struct err *err);
int scale_explain(int connection, unsigned service, struct err *err);

/* A listener at the service's address, as a program opens it without socketbox. */
int scale_bind_native(unsigned service, int *fd);

/* A connection as a client opens it. A reset ends it, so that its port is free at once. */
int scale_connect(unsigned service, int *fd);

#endif
