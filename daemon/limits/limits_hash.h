/* SPDX-License-Identifier: BSD-2-Clause */
/* uthash with keys that strangers choose: a seeded SipHash-2-4, and ENOMEM told instead of exit().
 * After HASH_ADD, hh.tbl is NULL if there was no memory. */
#ifndef SOCKETBOX_DAEMON_LIMITS_HASH_H
#define SOCKETBOX_DAEMON_LIMITS_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Thread-safe after the first call. */
uint64_t limits_hash(const void *data, size_t length);

#define HASH_NONFATAL_OOM		1
#define HASH_FUNCTION(key, length, out) ((out) = (unsigned)limits_hash((key), (length)))

#include <uthash.h>

#endif
