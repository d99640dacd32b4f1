// SPDX-License-Identifier: BSD-2-Clause
// Writes and reads PROXY protocol headers.
#include "relay/proxy_protocol.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define V1_START     "PROXY "
#define V1_LEAST     15	 /* "PROXY UNKNOWN\r\n" */
#define V1_MOST	     107 /* with its CRLF */
#define V2_SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V2_FIXED     16

enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21 };
enum { UNSPECIFIED = 0x00, TCP4 = 0x11, UDP4 = 0x12, TCP6 = 0x21, UDP6 = 0x22 };
enum { UNIX_STREAM = 0x31, UNIX_DATAGRAM = 0x32 };
enum { TLV_HEAD = 3, TLV_CRC32C = 0x03 };

static const uint8_t signature[12] = V2_SIGNATURE;

static uint16_t get_u16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void put_u16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* addr_format writes IPv4 for a mapped address, which in a TCP6 line would be a fault. */
static const char *format_v6(const struct addr *addr, char *text)
{
	inet_ntop(AF_INET6, addr->bytes, text, ADDR_TEXT_SIZE);
	return text;
}

static size_t encode_v1(const struct addr_endpoint *source, const struct addr_endpoint *destination,
	bool v4, uint8_t *out)
{
	char from[ADDR_TEXT_SIZE], to[ADDR_TEXT_SIZE], line[V1_MOST + 1];
	int length;

	if (!source)
		length = snprintf(line, sizeof(line), "PROXY UNKNOWN\r\n");
	else
		length = snprintf(line, sizeof(line), "PROXY %s %s %s %u %u\r\n",
			v4 ? "TCP4" : "TCP6",
			v4 ? addr_format(&source->addr, from) : format_v6(&source->addr, from),
			v4 ? addr_format(&destination->addr, to)
			   : format_v6(&destination->addr, to),
			source->port, destination->port);
	memcpy(out, line, (size_t)length);
	return (size_t)length;
}

static size_t encode_v2(const struct addr_endpoint *source, const struct addr_endpoint *destination,
	bool v4, uint8_t *out)
{
	size_t size = v4 ? 4 : 16, body = source ? 2 * size + 4 : 0;

	memcpy(out, signature, sizeof(signature));
	out[12] = source ? COMMAND_PROXY : COMMAND_LOCAL;
	out[13] = !source ? UNSPECIFIED : v4 ? TCP4 : TCP6;
	put_u16(out + 14, (uint16_t)body);
	if (source) {
		memcpy(out + V2_FIXED, source->addr.bytes + 16 - size, size);
		memcpy(out + V2_FIXED + size, destination->addr.bytes + 16 - size, size);
		put_u16(out + V2_FIXED + 2 * size, source->port);
		put_u16(out + V2_FIXED + 2 * size + 2, destination->port);
	}
	return V2_FIXED + body;
}

size_t proxy_encode(enum proxy_version version, const struct addr_endpoint *source,
	const struct addr_endpoint *destination, uint8_t *out)
{
	bool known = source && destination;
	bool v4 = known && addr_is_v4(&source->addr) && addr_is_v4(&destination->addr);

	if (version == PROXY_V1)
		return encode_v1(known ? source : NULL, destination, v4, out);
	if (version == PROXY_V2)
		return encode_v2(known ? source : NULL, destination, v4, out);
	return 0;
}

/* Takes the word before the next space, or the end, out of the line. */
static bool next_proxy_header_word(char **line, const char **word)
{
	char *start = *line, *space;

	if (!start)
		return false;
	space = strchr(start, ' ');
	if (space)
		*space = '\0';
	*word = start;
	*line = space ? space + 1 : NULL;
	return *start != '\0';
}

/* A decimal number without leading zeros. */
static bool parse_proxy_header_port(const char *text, uint16_t *out)
{
	unsigned port = 0;

	if (!text[0] || strlen(text) > 5 || (text[0] == '0' && text[1]))
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		port = port * 10 + (unsigned)(*text - '0');
	}
	*out = (uint16_t)port;
	return port <= 65535;
}

static bool parse_address(const char *text, int family, struct addr *out)
{
	*out = (struct addr){0};
	if (family == AF_INET)
		out->bytes[10] = out->bytes[11] = 0xff;
	return inet_pton(family, text, out->bytes + (family == AF_INET ? 12 : 0)) == 1;
}

/* The line after "PROXY ", without its CRLF. */
static int parse_line(char *line, struct proxy_header *out, struct err *err)
{
	const char *word, *source, *destination, *source_port, *destination_port;
	int family;

	if (!next_proxy_header_word(&line, &word))
		return err_set(err, -EPROTO, "a PROXY v1 header without a protocol");
	if (!strcmp(word, "UNKNOWN"))
		return 0; /* the rest must be ignored */
	if (strcmp(word, "TCP4") != 0 && strcmp(word, "TCP6") != 0)
		return err_set(err, -EPROTO,
			"a PROXY v1 header whose protocol is not TCP4, TCP6 or UNKNOWN");
	family = word[3] == '4' ? AF_INET : AF_INET6;
	if (!next_proxy_header_word(&line, &source) ||
		!next_proxy_header_word(&line, &destination) ||
		!next_proxy_header_word(&line, &source_port) ||
		!next_proxy_header_word(&line, &destination_port) || line)
		return err_set(err, -EPROTO,
			"a PROXY v1 header without two addresses and two ports, single spaces between");
	if (!parse_address(source, family, &out->source.addr) ||
		!parse_address(destination, family, &out->destination.addr))
		return err_set(
			err, -EPROTO, "a PROXY v1 header whose addresses are not of its protocol");
	if (!parse_proxy_header_port(source_port, &out->source.port) ||
		!parse_proxy_header_port(destination_port, &out->destination.port))
		return err_set(err, -EPROTO,
			"a PROXY v1 header whose ports are not numbers from 0 to 65535");
	out->proxied = true;
	return 0;
}

static ssize_t parse_v1(const uint8_t *data, size_t length, struct proxy_header *out,
	size_t *needed, struct err *err)
{
	struct proxy_header header = {.version = PROXY_V1};
	size_t seen = length < V1_MOST ? length : V1_MOST, end = 0;
	char line[V1_MOST + 1] = "";
	int result;

	while (end < seen && data[end] != '\r' && data[end] != '\n' && data[end])
		end++;
	if (end < seen && data[end] != '\r')
		return err_set(err, -EPROTO, "a PROXY v1 header that does not end with CRLF");
	if (end + 1 < seen && data[end + 1] != '\n')
		return err_set(err, -EPROTO, "a PROXY v1 header with a CR before its end");
	if (end + 2 > V1_MOST)
		return err_set(err, -EPROTO, "a PROXY v1 header of more than %d bytes", V1_MOST);
	if (end + 2 > seen) {
		*needed = end + 2 < V1_LEAST ? V1_LEAST : end + 2;
		return 0;
	}
	memcpy(line, data, end);
	line[end] = '\0';
	result = parse_line(line + strlen(V1_START), &header, err);
	if (result)
		return result;
	*out = header;
	return (ssize_t)end + 2;
}

/* CRC-32C (RFC 4960, appendix B), with the four bytes at `blank` counted as zero. */
static uint32_t checksum_proxy_header(const uint8_t *data, size_t length, size_t blank)
{
	uint32_t crc = 0xffffffffu;

	for (size_t i = 0; i < length; i++) {
		crc ^= i >= blank && i < blank + 4 ? 0 : data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

/* The TLVs from `at` to the header's end. */
static int check_tlvs(const uint8_t *data, size_t at, size_t length, struct err *err)
{
	while (at < length) {
		size_t size, value = at + TLV_HEAD;

		if (length - at < TLV_HEAD || length - value < get_u16(data + at + 1))
			return err_set(err, -EPROTO,
				"a PROXY v2 header with a TLV that is longer than the header");
		size = get_u16(data + at + 1);
		if (data[at] == TLV_CRC32C) {
			if (size != 4)
				return err_set(err, -EPROTO,
					"a PROXY v2 header with a checksum of %zu bytes", size);
			if (checksum_proxy_header(data, length, value) !=
				((uint32_t)get_u16(data + value) << 16 | get_u16(data + value + 2)))
				return err_set(
					err, -EPROTO, "a PROXY v2 header with a wrong checksum");
		}
		at = value + size;
	}
	return 0;
}

/* The bytes that the addresses take, or -1 for a family that the protocol does not have. */
static int address_size(uint8_t family)
{
	switch (family) {
	case UNSPECIFIED:
		return 0;
	case TCP4:
	case UDP4:
		return 12;
	case TCP6:
	case UDP6:
		return 36;
	case UNIX_STREAM:
	case UNIX_DATAGRAM:
		return 216;
	default:
		return -1;
	}
}

static void get_addresses(const uint8_t *at, bool v4, struct proxy_header *out)
{
	size_t size = v4 ? 4 : 16;

	if (v4) {
		out->source.addr = out->destination.addr =
			(struct addr){.bytes = {[10] = 0xff, [11] = 0xff}};
	}
	memcpy(out->source.addr.bytes + 16 - size, at, size);
	memcpy(out->destination.addr.bytes + 16 - size, at + size, size);
	out->source.port = get_u16(at + 2 * size);
	out->destination.port = get_u16(at + 2 * size + 2);
}

static ssize_t parse_v2(const uint8_t *data, size_t length, struct proxy_header *out,
	size_t *needed, struct err *err)
{
	struct proxy_header header = {.version = PROXY_V2};
	size_t whole;
	int size, result;

	if (length > 12 && data[12] != COMMAND_LOCAL && data[12] != COMMAND_PROXY)
		return err_set(err, -EPROTO,
			"a PROXY v2 header whose version and command are 0x%02x, neither 0x20 nor 0x21",
			data[12]);
	if (length < V2_FIXED) {
		*needed = V2_FIXED;
		return 0;
	}
	whole = V2_FIXED + (size_t)get_u16(data + 14);
	if (whole > PROXY_PARSED_MOST)
		return err_set(err, -EPROTO, "a PROXY v2 header of %zu bytes; %d are accepted",
			whole, PROXY_PARSED_MOST);
	size = address_size(data[13]);
	/* A LOCAL header's family means nothing, and its body is skipped whatever it is. */
	if (data[12] == COMMAND_LOCAL)
		size = 0;
	if (size < 0)
		return err_set(err, -EPROTO,
			"a PROXY v2 header whose family and protocol are 0x%02x, which is none",
			data[13]);
	if (whole < V2_FIXED + (size_t)size)
		return err_set(err, -EPROTO,
			"a PROXY v2 header of %zu bytes, too short for its addresses", whole);
	if (length < whole) {
		*needed = whole;
		return 0;
	}
	if (data[12] == COMMAND_PROXY) {
		result = check_tlvs(data, V2_FIXED + (size_t)size, whole, err);
		if (result)
			return result;
		header.proxied = data[13] == TCP4 || data[13] == TCP6;
		if (header.proxied)
			get_addresses(data + V2_FIXED, data[13] == TCP4, &header);
	}
	*out = header;
	return (ssize_t)whole;
}

ssize_t proxy_parse(
	const void *data, size_t length, struct proxy_header *out, size_t *needed, struct err *err)
{
	size_t v1 = strlen(V1_START), v2 = sizeof(signature);

	if (!length) {
		*needed = V1_LEAST;
		return 0;
	}
	if (!memcmp(data, signature, length < v2 ? length : v2))
		return parse_v2(data, length, out, needed, err);
	if (!memcmp(data, V1_START, length < v1 ? length : v1))
		return parse_v1(data, length, out, needed, err);
	return err_set(
		err, -EPROTO, "no PROXY header: it begins with 0x%02x", *(const uint8_t *)data);
}
