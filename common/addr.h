/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IP addresses, prefixes and endpoints in the one form that the whole project uses: 16 bytes in
 * network order, IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). Pure: no name is ever looked up.
 */
#ifndef SOCKETBOX_COMMON_ADDR_H
#define SOCKETBOX_COMMON_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/err.h"

struct addr {
	uint8_t bytes[16];
};

/* All addresses whose first `length` bits are those of addr. Bits of addr past length are zero. */
struct addr_prefix {
	struct addr addr;
	uint8_t length; /* 0 to 128, counted in the 16-byte form: an IPv4 /24 is 120 */
	uint8_t family; /* AF_INET, AF_INET6, or 0: any address of either */
};

/* An address and port; port in host order. */
struct addr_endpoint {
	struct addr addr;
	uint16_t port;
};

/* Room for any address, prefix or bracketed endpoint as text. */
#define ADDR_TEXT_SIZE 64

bool addr_is_v4(const struct addr *addr);
int addr_family(const struct addr *addr);	/* AF_INET for ::ffff:0:0/96, else AF_INET6 */
bool addr_is_loopback(const struct addr *addr); /* 127.0.0.0/8 or ::1 */
bool addr_is_wildcard(const struct addr *addr); /* 0.0.0.0 or :: */
bool addr_equal(const struct addr *a, const struct addr *b);

/* Parses "192.0.2.1" or "2001:db8::1". -EINVAL with a sentence that quotes the text. */
int addr_parse(const char *text, struct addr *out, struct err *err);

/* Parses an address or "ADDRESS/LENGTH". A prefix with bits set past its length is refused, naming
 * the one that was probably meant. */
int addr_prefix_parse(const char *text, struct addr_prefix *out, struct err *err);
bool addr_prefix_contains(const struct addr_prefix *prefix, const struct addr *addr);
bool addr_prefix_overlaps(const struct addr_prefix *a, const struct addr_prefix *b);

/* These write into text (ADDR_TEXT_SIZE bytes) and return it. */
const char *addr_format(const struct addr *addr, char *text);
const char *addr_prefix_format(const struct addr_prefix *prefix, char *text);
const char *addr_endpoint_format(const struct addr_endpoint *endpoint, char *text);

/* Converts to and from what the socket calls take. addr_to_sockaddr makes an address for a socket
 * of `domain` (AF_INET or AF_INET6) and returns its length; an IPv4 wildcard for AF_INET6 becomes
 * the IPv6 one only if the caller says so by passing it. addr_from_sockaddr returns -EAFNOSUPPORT
 * for another family and -EINVAL for a length too small. */
socklen_t addr_to_sockaddr(
	const struct addr_endpoint *endpoint, int domain, struct sockaddr_storage *out);
int addr_from_sockaddr(
	const struct sockaddr_storage *from, socklen_t length, struct addr_endpoint *out);

#endif
