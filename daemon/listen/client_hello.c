// SPDX-License-Identifier: BSD-2-Clause
// Two layers: records, whose headers are taken out, and in what remains the handshake message, a
// sequence of fields. A field is a number, a text that is skipped, or the name.
#include "daemon/listen/client_hello.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define RECORD_HEADER	   5
#define RECORD_HANDSHAKE   22
#define RECORD_MAX	   16384
#define HANDSHAKE_HEADER   4
#define HANDSHAKE_HELLO	   1
#define EXTENSION_HEADER   4
#define EXTENSION_NAME	   0
#define NAME_HEADER	   3
#define NAME_TYPE_HOST	   0
#define VERSION_AND_RANDOM 34

/* In the order of RFC 8446, 4.1.2. Numbers come first, since only they have a value. */
enum field {
	FIELD_MESSAGE_TYPE,
	FIELD_MESSAGE_SIZE,
	FIELD_SESSION_SIZE,
	FIELD_SUITES_SIZE,
	FIELD_COMPRESSION_SIZE,
	FIELD_EXTENSIONS_SIZE,
	FIELD_EXTENSION_HEADER, /* its type and its size */
	FIELD_NAMES_SIZE,
	FIELD_NAME_HEADER, /* its type and its size */
	FIELD_LAST_NUMBER = FIELD_NAME_HEADER,
	FIELD_RANDOM,
	FIELD_SESSION,
	FIELD_SUITES,
	FIELD_COMPRESSION,
	FIELD_EXTENSION,
	FIELD_OTHER_NAME,
	FIELD_LONG_NAME, /* too long, or empty: no host name */
	FIELD_NAME,
};

static void begin_field(struct client_hello *hello, enum field field, uint32_t size)
{
	hello->field = (uint8_t)field;
	hello->field_left = size;
	hello->number = 0;
}

static enum client_hello_verdict begin_extension(struct client_hello *hello)
{
	if (hello->extensions_left >= EXTENSION_HEADER) {
		begin_field(hello, FIELD_EXTENSION_HEADER, EXTENSION_HEADER);
		return CLIENT_HELLO_MORE;
	}
	return hello->extensions_left ? CLIENT_HELLO_OTHER : CLIENT_HELLO_PLAIN;
}

static enum client_hello_verdict end_extension_header(struct client_hello *hello)
{
	uint32_t type = hello->number >> 16, size = hello->number & 0xffff;

	hello->extensions_left -= EXTENSION_HEADER;
	if (size > hello->extensions_left)
		return CLIENT_HELLO_OTHER;
	hello->extensions_left -= size;
	if (type == EXTENSION_NAME) {
		hello->names_left = size;
		begin_field(hello, FIELD_NAMES_SIZE, 2);
	} else {
		begin_field(hello, FIELD_EXTENSION, size);
	}
	return CLIENT_HELLO_MORE;
}

/* A list that ends without a host name is broken: RFC 6066 wants one name at least. */
static enum client_hello_verdict begin_name(struct client_hello *hello)
{
	if (hello->names_left < NAME_HEADER)
		return CLIENT_HELLO_OTHER;
	begin_field(hello, FIELD_NAME_HEADER, NAME_HEADER);
	return CLIENT_HELLO_MORE;
}

static enum client_hello_verdict end_names_size(struct client_hello *hello)
{
	/* The list fills its extension. */
	if (hello->number + 2 != hello->names_left)
		return CLIENT_HELLO_OTHER;
	hello->names_left = hello->number;
	return begin_name(hello);
}

/* There is one host name in the list at most. */
static enum client_hello_verdict end_name_header(struct client_hello *hello)
{
	uint32_t type = hello->number >> 16, size = hello->number & 0xffff;

	hello->names_left -= NAME_HEADER;
	if (size > hello->names_left)
		return CLIENT_HELLO_OTHER;
	hello->names_left -= size;
	if (type != NAME_TYPE_HOST)
		begin_field(hello, FIELD_OTHER_NAME, size);
	else if (!size || size > NAMES_MAX_LENGTH)
		begin_field(hello, FIELD_LONG_NAME, size);
	else
		begin_field(hello, FIELD_NAME, size);
	return CLIENT_HELLO_MORE;
}

static enum client_hello_verdict end_name(struct client_hello *hello)
{
	hello->name[hello->name_length] = '\0';
	if (strlen(hello->name) != hello->name_length || names_check(hello->name, NULL) ||
		hello->name[0] == '*')
		return CLIENT_HELLO_PLAIN;
	return CLIENT_HELLO_NAMED;
}

static enum client_hello_verdict end_message_size(struct client_hello *hello)
{
	if (hello->number > CLIENT_HELLO_MAX)
		return CLIENT_HELLO_OTHER;
	hello->message_left = hello->number;
	begin_field(hello, FIELD_RANDOM, VERSION_AND_RANDOM);
	return CLIENT_HELLO_MORE;
}

/* The field at hand is complete: says what that means, or begins the next. */
static enum client_hello_verdict end_field(struct client_hello *hello)
{
	switch ((enum field)hello->field) {
	case FIELD_MESSAGE_TYPE:
		if (hello->number != HANDSHAKE_HELLO)
			return CLIENT_HELLO_OTHER;
		begin_field(hello, FIELD_MESSAGE_SIZE, 3);
		break;
	case FIELD_MESSAGE_SIZE:
		return end_message_size(hello);
	case FIELD_RANDOM:
		begin_field(hello, FIELD_SESSION_SIZE, 1);
		break;
	case FIELD_SESSION_SIZE:
		begin_field(hello, FIELD_SESSION, hello->number);
		break;
	case FIELD_SESSION:
		begin_field(hello, FIELD_SUITES_SIZE, 2);
		break;
	case FIELD_SUITES_SIZE:
		begin_field(hello, FIELD_SUITES, hello->number);
		break;
	case FIELD_SUITES:
		begin_field(hello, FIELD_COMPRESSION_SIZE, 1);
		break;
	case FIELD_COMPRESSION_SIZE:
		begin_field(hello, FIELD_COMPRESSION, hello->number);
		break;
	case FIELD_COMPRESSION:
		/* A hello without extensions ends here. */
		if (!hello->message_left)
			return CLIENT_HELLO_PLAIN;
		begin_field(hello, FIELD_EXTENSIONS_SIZE, 2);
		break;
	case FIELD_EXTENSIONS_SIZE:
		hello->extensions_left = hello->number;
		return begin_extension(hello);
	case FIELD_EXTENSION_HEADER:
		return end_extension_header(hello);
	case FIELD_EXTENSION:
		return begin_extension(hello);
	case FIELD_NAMES_SIZE:
		return end_names_size(hello);
	case FIELD_NAME_HEADER:
		return end_name_header(hello);
	case FIELD_OTHER_NAME:
		return begin_name(hello);
	case FIELD_LONG_NAME:
		return CLIENT_HELLO_PLAIN;
	case FIELD_NAME:
		return end_name(hello);
	}
	return CLIENT_HELLO_MORE;
}

/* The number of bytes, of those given, that belong to the field at hand. */
static size_t feed_field(struct client_hello *hello, const uint8_t *data, size_t length)
{
	size_t size = hello->field_left < length ? hello->field_left : length;

	if (hello->field <= FIELD_LAST_NUMBER) {
		for (size_t i = 0; i < size; i++)
			hello->number = hello->number << 8 | data[i];
	} else if (hello->field == FIELD_NAME) {
		for (size_t i = 0; i < size; i++)
			hello->name[hello->name_length++] = (char)tolower(data[i]);
	}
	hello->field_left -= (uint32_t)size;
	hello->message_left -= (uint32_t)size;
	return size;
}

/* Bytes of the handshake message: how many of them were consumed before there was a verdict. */
static size_t feed_message(struct client_hello *hello, const uint8_t *data, size_t length)
{
	size_t at = 0;

	while (hello->verdict == CLIENT_HELLO_MORE) {
		if (!hello->field_left)
			hello->verdict = end_field(hello);
		else if (!hello->message_left)
			hello->verdict = CLIENT_HELLO_OTHER;
		else if (at == length)
			break;
		else
			at += feed_field(hello, data + at,
				length - at < hello->message_left ? length - at
								  : hello->message_left);
	}
	return at;
}

/* One byte of a record's header. What is no TLS is known from its first. */
static void feed_header(struct client_hello *hello, uint8_t byte)
{
	switch (hello->header_length++) {
	case 0:
		if (byte != RECORD_HANDSHAKE)
			hello->verdict = CLIENT_HELLO_OTHER;
		break;
	case 1: /* The version's higher byte, which is 3 in all of SSL 3.0 to TLS 1.3. */
		if (byte != 3)
			hello->verdict = CLIENT_HELLO_OTHER;
		break;
	case 3:
		hello->record_left = (uint32_t)byte << 8;
		break;
	case 4:
		hello->record_left |= byte;
		if (!hello->record_left || hello->record_left > RECORD_MAX)
			hello->verdict = CLIENT_HELLO_OTHER;
		break;
	}
}

void client_hello_init(struct client_hello *hello)
{
	*hello = (struct client_hello){.message_left = HANDSHAKE_HEADER};
	begin_field(hello, FIELD_MESSAGE_TYPE, 1);
}

enum client_hello_verdict client_hello_feed(
	struct client_hello *hello, const uint8_t *data, size_t length)
{
	size_t room = CLIENT_HELLO_BUFFER - hello->consumed, at = 0;

	if (length > room)
		length = room;
	while (at < length && hello->verdict == CLIENT_HELLO_MORE) {
		size_t size = length - at;

		if (hello->header_length < RECORD_HEADER) {
			feed_header(hello, data[at++]);
			continue;
		}
		size = feed_message(
			hello, data + at, size < hello->record_left ? size : hello->record_left);
		at += size;
		hello->record_left -= (uint32_t)size;
		if (!hello->record_left)
			hello->header_length = 0;
	}
	hello->consumed += (uint32_t)at;
	if (hello->verdict == CLIENT_HELLO_MORE && hello->consumed == CLIENT_HELLO_BUFFER)
		hello->verdict = CLIENT_HELLO_OTHER;
	return hello->verdict;
}

size_t client_hello_lacks(const struct client_hello *hello)
{
	if (hello->header_length < RECORD_HEADER)
		return (size_t)RECORD_HEADER - hello->header_length;
	if (hello->field_left <= hello->record_left)
		return hello->field_left;
	/* The next header says how far the next record goes. */
	return hello->record_left + RECORD_HEADER;
}
