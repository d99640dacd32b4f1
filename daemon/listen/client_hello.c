// SPDX-License-Identifier: BSD-2-Clause
// A cursor over the handshake message that hides where one record ends and the next begins, and
// the descent to the name on it.
#include "daemon/listen/client_hello.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define RECORD_HEADER	   5
#define RECORD_HANDSHAKE   22
#define RECORD_MAX	   16384
#define HANDSHAKE_HELLO	   1
#define EXTENSION_NAME	   0
#define NAME_TYPE_HOST	   0
#define VERSION_AND_RANDOM 34

/* Why reading stopped. */
enum stop { GOING, SHORT, BROKEN };

struct cursor {
	const uint8_t *data;
	size_t length, at; /* of what was received, records and all */
	size_t record_end; /* where the record at hand ends, received or not */
	size_t left;	   /* of the handshake message */
	enum stop stop;
};

/* A record of the handshake must begin at the cursor. */
static void open_record(struct cursor *cursor)
{
	const uint8_t *header = cursor->data + cursor->at;
	size_t have = cursor->length - cursor->at, size;

	/* Judged byte by byte: what is no TLS is known from its first. */
	if ((have > 0 && header[0] != RECORD_HANDSHAKE) || (have > 1 && header[1] != 3)) {
		cursor->stop = BROKEN;
		return;
	}
	if (have < RECORD_HEADER) {
		cursor->stop = SHORT;
		return;
	}
	size = (size_t)header[3] << 8 | header[4];
	if (!size || size > RECORD_MAX) {
		cursor->stop = BROKEN;
		return;
	}
	cursor->at += RECORD_HEADER;
	cursor->record_end = cursor->at + size;
}

static uint8_t next_byte(struct cursor *cursor)
{
	if (cursor->stop == GOING && !cursor->left)
		cursor->stop = BROKEN;
	if (cursor->stop == GOING && cursor->at == cursor->record_end)
		open_record(cursor);
	if (cursor->stop == GOING && cursor->at == cursor->length)
		cursor->stop = SHORT;
	if (cursor->stop != GOING)
		return 0;
	cursor->left--;
	return cursor->data[cursor->at++];
}

static uint32_t next_number(struct cursor *cursor, int bytes)
{
	uint32_t number = 0;

	while (bytes--)
		number = number << 8 | next_byte(cursor);
	return number;
}

static void skip_hello(struct cursor *cursor, size_t bytes)
{
	while (bytes-- && cursor->stop == GOING)
		next_byte(cursor);
}

/* Reads a name of `size` bytes; false if it is no host name. */
static bool read_hello_name(struct cursor *cursor, size_t size, char name[NAMES_MAX_LENGTH + 1])
{
	char text[NAMES_MAX_LENGTH + 1];

	if (!size || size > NAMES_MAX_LENGTH) {
		skip_hello(cursor, size);
		return false;
	}
	for (size_t i = 0; i < size; i++)
		text[i] = (char)tolower(next_byte(cursor));
	text[size] = '\0';
	if (cursor->stop != GOING || strlen(text) != size || names_check(text, NULL) ||
		text[0] == '*')
		return false;
	memcpy(name, text, size + 1);
	return true;
}

/* The list of the server name extension: there is one host name in it at most. */
static enum client_hello read_names(
	struct cursor *cursor, size_t size, char name[NAMES_MAX_LENGTH + 1])
{
	size_t list = next_number(cursor, 2);

	if (cursor->stop == GOING && list + 2 != size)
		return CLIENT_HELLO_OTHER;
	while (list >= 3 && cursor->stop == GOING) {
		uint8_t type = next_byte(cursor);
		size_t length = next_number(cursor, 2);

		if (cursor->stop != GOING || length > list - 3)
			break;
		if (type == NAME_TYPE_HOST)
			return read_hello_name(cursor, length, name) ? CLIENT_HELLO_NAMED
			       : cursor->stop == SHORT		     ? CLIENT_HELLO_MORE
								     : CLIENT_HELLO_PLAIN;
		skip_hello(cursor, length);
		list -= 3 + length;
	}
	return cursor->stop == SHORT ? CLIENT_HELLO_MORE : CLIENT_HELLO_OTHER;
}

static enum client_hello read_extensions(struct cursor *cursor, char name[NAMES_MAX_LENGTH + 1])
{
	size_t left;

	/* A hello without extensions ends here. */
	if (cursor->stop == GOING && !cursor->left)
		return CLIENT_HELLO_PLAIN;
	left = next_number(cursor, 2);
	while (left >= 4 && cursor->stop == GOING) {
		uint32_t type = next_number(cursor, 2);
		size_t size = next_number(cursor, 2);

		if (cursor->stop == GOING && size > left - 4)
			return CLIENT_HELLO_OTHER;
		if (cursor->stop == GOING && type == EXTENSION_NAME)
			return read_names(cursor, size, name);
		skip_hello(cursor, size);
		left -= 4 + size;
	}
	if (cursor->stop != GOING)
		return cursor->stop == SHORT ? CLIENT_HELLO_MORE : CLIENT_HELLO_OTHER;
	return left ? CLIENT_HELLO_OTHER : CLIENT_HELLO_PLAIN;
}

enum client_hello client_hello_read(
	const uint8_t *data, size_t length, char name[NAMES_MAX_LENGTH + 1])
{
	struct cursor cursor = {.data = data, .length = length, .left = 4};
	uint8_t type = next_byte(&cursor);
	size_t size;

	if (cursor.stop == GOING && type != HANDSHAKE_HELLO)
		return CLIENT_HELLO_OTHER;
	size = next_number(&cursor, 3);
	if (cursor.stop == GOING && size > CLIENT_HELLO_MAX)
		return CLIENT_HELLO_OTHER;
	cursor.left = cursor.stop == GOING ? size : 0;
	skip_hello(&cursor, VERSION_AND_RANDOM);
	skip_hello(&cursor, next_byte(&cursor));      /* session */
	skip_hello(&cursor, next_number(&cursor, 2)); /* cipher suites */
	skip_hello(&cursor, next_byte(&cursor));      /* compression methods */
	if (cursor.stop == BROKEN)
		return CLIENT_HELLO_OTHER;
	if (cursor.stop == SHORT)
		return length >= CLIENT_HELLO_BUFFER ? CLIENT_HELLO_OTHER : CLIENT_HELLO_MORE;
	return read_extensions(&cursor, name);
}
