/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The answer to WIRE_STATUS, written piece by piece: with many services and routes it takes longer
 * than the event loop may be kept from others. Services and routes are written in the order of the
 * configuration; a reload meanwhile begins the text anew. One thread only.
 */
#ifndef SOCKETBOX_DAEMON_CONTROL_STATUS_WRITER_H
#define SOCKETBOX_DAEMON_CONTROL_STATUS_WRITER_H

#include <stdint.h>

#include "common/err.h"
#include "daemon/state.h"

struct status_writer;

/* state is not owned and outlives the object. -ENOMEM, -EMFILE, -ENFILE. */
int status_writer_new(struct daemon_state *state, struct status_writer **out, struct err *err);

/* Writes until the thread has used budget_ns of processor time (one service or route more at the
 * most), or all is written. Returns 1 while there is more to write, 0 when all is; -EAGAIN if
 * reloads keep coming, -ENOMEM, or the errno of write(2). */
int status_writer_step(struct status_writer *writer, uint64_t budget_ns, struct err *err);

/* After the last step: the file with the text, not sealed yet, is the caller's; *size is its
 * length in bytes. */
int status_writer_take(struct status_writer *writer, uint64_t *size);

void status_writer_free(struct status_writer *writer); /* NULL is allowed */

#endif
