/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * daemon/engine.h without the kernel: remembers what it is told. Unlike the kernel's map it does
 * not see sockets being closed; the fuzzer says so.
 */
#ifndef SOCKETBOX_TESTS_FAKE_ENGINE_H
#define SOCKETBOX_TESTS_FAKE_ENGINE_H

#include "daemon/engine.h"

struct engine *fake_engine_new(void);

/* Back to what it was before it steered anything; the table stays. */
void fake_engine_forget(struct engine *engine);

/* The last holder of one of the steered sockets closes it; `pick` says of which. */
void fake_engine_lose(struct engine *engine, unsigned pick);

/* The call after `calls` more that can fail does. */
void fake_engine_fail(struct engine *engine, unsigned calls);

#endif
