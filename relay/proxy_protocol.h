/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PROXY protocol, versions 1 and 2 (HAProxy's doc/proxy-protocol.txt): the header that a relay
 * puts before a connection's bytes to tell whose connection it is. Pure: buffers in, buffers out.
 */
#ifndef SOCKETBOX_RELAY_PROXY_PROTOCOL_H
#define SOCKETBOX_RELAY_PROXY_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/addr.h"
#include "common/err.h"

enum proxy_version { PROXY_NONE, PROXY_V1, PROXY_V2 };

#define PROXY_ENCODED_MOST 107	/* bytes that proxy_encode writes at most */
#define PROXY_PARSED_MOST  4096 /* bytes of a header, TLVs included, that proxy_parse accepts */

struct proxy_header {
	enum proxy_version version;
	/* False for LOCAL, UNKNOWN, and what is no TCP over IP: the connection's own addresses
	 * hold. */
	bool proxied;
	struct addr_endpoint source, destination; /* the client, and where it connected to */
};

/*
 * Writes a header into out (PROXY_ENCODED_MOST bytes) and returns its length; 0 for PROXY_NONE.
 * source and destination may both be NULL: LOCAL (v2), UNKNOWN (v1). Where only one of them is
 * IPv4, both are written as IPv6, the IPv4 one as ::ffff:a.b.c.d.
 */
size_t proxy_encode(enum proxy_version version, const struct addr_endpoint *source,
	const struct addr_endpoint *destination, uint8_t *out);

/*
 * Parses the header at the beginning of data, which may be any number of bytes of a stream.
 * Returns the header's length once all of it is there; 0 where more is needed, and *needed then is
 * the least length, counted from the beginning, that can make a difference; or -EPROTO, with the
 * reason, for what is not a header. *out and *needed are untouched otherwise.
 *
 * Of the TLVs of a v2 header all are skipped but the checksum (PP2_TYPE_CRC32C), which must be
 * right if it is there.
 */
ssize_t proxy_parse(
	const void *data, size_t length, struct proxy_header *out, size_t *needed, struct err *err);

#endif
