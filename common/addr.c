// SPDX-License-Identifier: BSD-2-Clause
// Parses, prints and compares addresses, prefixes and endpoints.
#include "common/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool addr_is_v4(const struct addr *addr)
{
	return !memcmp(addr->bytes, v4_mapped, sizeof(v4_mapped));
}

int addr_family(const struct addr *addr)
{
	return addr_is_v4(addr) ? AF_INET : AF_INET6;
}

bool addr_is_loopback(const struct addr *addr)
{
	static const struct addr v6_loopback = {.bytes = {[15] = 1}};

	if (addr_is_v4(addr))
		return addr->bytes[12] == 127;
	return addr_equal(addr, &v6_loopback);
}

bool addr_is_wildcard(const struct addr *addr)
{
	static const uint8_t zero[16];

	if (addr_is_v4(addr))
		return !memcmp(addr->bytes + 12, zero, 4);
	return !memcmp(addr->bytes, zero, 16);
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return !memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

/* True if text is an address of either family. */
static bool parse_addr(const char *text, struct addr *out)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		memcpy(out->bytes, v4_mapped, sizeof(v4_mapped));
		memcpy(out->bytes + 12, &v4, 4);
		return true;
	}
	return inet_pton(AF_INET6, text, out->bytes) == 1;
}

int addr_parse(const char *text, struct addr *out, struct err *err)
{
	if (parse_addr(text, out))
		return 0;
	return err_set(err, -EINVAL,
		"'%s' is not an IP address (write 192.0.2.1 or 2001:db8::1; names are not looked up)",
		text);
}

/* Clears the bits of addr past length; true if there were any. */
static bool clear_host_bits(struct addr *addr, unsigned length)
{
	bool any = false;

	for (unsigned bit = length; bit < 128; bit++) {
		uint8_t mask = (uint8_t)(0x80 >> (bit % 8));

		any |= addr->bytes[bit / 8] & mask;
		addr->bytes[bit / 8] &= (uint8_t)~mask;
	}
	return any;
}

int addr_prefix_parse(const char *text, struct addr_prefix *out, struct err *err)
{
	struct addr_prefix prefix = {.length = 128};
	char host[ADDR_TEXT_SIZE], meant[ADDR_TEXT_SIZE], *end;
	const char *slash = strchr(text, '/');
	size_t host_length = slash ? (size_t)(slash - text) : strlen(text);
	unsigned long length;

	if (host_length >= sizeof(host))
		return err_set(err, -EINVAL, "'%s' is too long for an IP address or prefix", text);
	memcpy(host, text, host_length);
	host[host_length] = '\0';
	if (!parse_addr(host, &prefix.addr))
		return err_set(err, -EINVAL,
			"'%s' is not an IP address or prefix (write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/64)",
			text);
	prefix.family = (uint8_t)addr_family(&prefix.addr);
	if (slash && prefix.family == AF_INET && strchr(host, ':'))
		return err_set(err, -EINVAL,
			"'%s' mixes an IPv6 form with IPv4; write an IPv4 prefix, such as 192.0.2.0/24",
			text);
	if (slash) {
		unsigned most = prefix.family == AF_INET ? 32 : 128;

		errno = 0;
		length = strtoul(slash + 1, &end, 10);
		if (slash[1] < '0' || slash[1] > '9' || *end || errno || length > most)
			return err_set(err, -EINVAL,
				"'%s': the prefix length after '/' must be a number from 0 to %u",
				text, most);
		prefix.length = (uint8_t)(length + 128 - most);
	}
	if (clear_host_bits(&prefix.addr, prefix.length))
		return err_set(err, -EINVAL,
			"'%s' has bits set past its prefix length; did you mean %s?", text,
			addr_prefix_format(&prefix, meant));
	*out = prefix;
	return 0;
}

static bool same_bits(const struct addr *a, const struct addr *b, unsigned length)
{
	unsigned whole = length / 8, rest = length % 8;

	if (memcmp(a->bytes, b->bytes, whole) != 0)
		return false;
	return !rest || !((a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest));
}

bool addr_prefix_contains(const struct addr_prefix *prefix, const struct addr *addr)
{
	if (prefix->family && prefix->family != addr_family(addr))
		return false;
	return same_bits(&prefix->addr, addr, prefix->length);
}

bool addr_prefix_overlaps(const struct addr_prefix *a, const struct addr_prefix *b)
{
	if (a->family && b->family && a->family != b->family)
		return false;
	return same_bits(&a->addr, &b->addr, a->length < b->length ? a->length : b->length);
}

const char *addr_format(const struct addr *addr, char *text)
{
	if (addr_is_v4(addr))
		inet_ntop(AF_INET, addr->bytes + 12, text, ADDR_TEXT_SIZE);
	else
		inet_ntop(AF_INET6, addr->bytes, text, ADDR_TEXT_SIZE);
	return text;
}

const char *addr_prefix_format(const struct addr_prefix *prefix, char *text)
{
	unsigned most = prefix->family == AF_INET ? 32 : 128;
	size_t used;

	if (!prefix->family)
		return strcpy(text, "any");
	addr_format(&prefix->addr, text);
	used = strlen(text);
	if (prefix->length < 128)
		snprintf(text + used, ADDR_TEXT_SIZE - used, "/%u", prefix->length + most - 128);
	return text;
}

const char *addr_endpoint_format(const struct addr_endpoint *endpoint, char *text)
{
	char host[ADDR_TEXT_SIZE];

	addr_format(&endpoint->addr, host);
	snprintf(text, ADDR_TEXT_SIZE, addr_is_v4(&endpoint->addr) ? "%.46s:%u" : "[%.46s]:%u",
		host, endpoint->port);
	return text;
}

socklen_t addr_to_sockaddr(
	const struct addr_endpoint *endpoint, int domain, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof(*out));
	if (domain == AF_INET) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)out;

		v4->sin_family = AF_INET;
		v4->sin_port = htons(endpoint->port);
		memcpy(&v4->sin_addr, endpoint->addr.bytes + 12, 4);
		return sizeof(*v4);
	}
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(endpoint->port);
	memcpy(&v6->sin6_addr, endpoint->addr.bytes, 16);
	return sizeof(*v6);
}

int addr_from_sockaddr(
	const struct sockaddr_storage *from, socklen_t length, struct addr_endpoint *out)
{
	if (length < sizeof(from->ss_family))
		return -EINVAL;
	if (from->ss_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;

		if (length < sizeof(*v4))
			return -EINVAL;
		memcpy(out->addr.bytes, v4_mapped, sizeof(v4_mapped));
		memcpy(out->addr.bytes + 12, &v4->sin_addr, 4);
		out->port = ntohs(v4->sin_port);
		return 0;
	}
	if (from->ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;

		if (length < offsetof(struct sockaddr_in6, sin6_scope_id)) /* RFC 2133 length */
			return -EINVAL;
		memcpy(out->addr.bytes, &v6->sin6_addr, 16);
		out->port = ntohs(v6->sin6_port);
		return 0;
	}
	return -EAFNOSUPPORT;
}
