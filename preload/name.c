// SPDX-License-Identifier: BSD-2-Clause
// Writes addresses into file names (27 bytes in base64url) and reads them back.
#include "preload/name.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "preload/real.h"

#define PREFIX	     "/.sb-"
#define PREFIX_SIZE  5
#define PACKED_SIZE  27
#define ENCODED_SIZE 36
#define MARK	     0xa5 /* the first byte; the next version has another */

enum { FLAG_V6 = 1, FLAG_V6ONLY = 2, FLAG_REUSEPORT = 4 };

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode_name(const uint8_t packed[PACKED_SIZE], char *text)
{
	for (unsigned i = 0; i < PACKED_SIZE; i += 3) {
		unsigned bits = packed[i] * 65536u + packed[i + 1] * 256u + packed[i + 2];

		for (unsigned shift = 24; shift; shift -= 6)
			*text++ = letters[bits >> (shift - 6) & 63];
	}
}

static bool decode_name(const char *text, uint8_t packed[PACKED_SIZE])
{
	for (unsigned i = 0; i < PACKED_SIZE; i += 3) {
		unsigned bits = 0;

		for (unsigned n = 0; n < 4; n++) {
			const char *letter = *text ? strchr(letters, *text++) : NULL;

			if (!letter)
				return false;
			bits = bits * 64 + (unsigned)(letter - letters);
		}
		packed[i] = (uint8_t)(bits >> 16);
		packed[i + 1] = (uint8_t)(bits >> 8);
		packed[i + 2] = (uint8_t)bits;
	}
	return true;
}

int name_encode(const struct name *name, const char *path, struct sockaddr_un *out)
{
	const char *slash = strrchr(path, '/');
	size_t directory = slash ? (size_t)(slash - path) : 1;
	uint8_t packed[PACKED_SIZE] = {MARK};

	if (directory + PREFIX_SIZE + ENCODED_SIZE >= sizeof(out->sun_path))
		return -ENAMETOOLONG;
	packed[1] = (uint8_t)((name->family == AF_INET6 ? FLAG_V6 : 0) |
			      (name->v6only ? FLAG_V6ONLY : 0) |
			      (name->reuseport ? FLAG_REUSEPORT : 0));
	packed[2] = (uint8_t)(name->endpoint.port >> 8);
	packed[3] = (uint8_t)name->endpoint.port;
	memcpy(packed + 4, name->endpoint.addr.bytes, 16);
	memcpy(packed + 20, &name->process, sizeof(name->process));
	packed[24] = (uint8_t)(name->fd >> 16);
	packed[25] = (uint8_t)(name->fd >> 8);
	packed[26] = (uint8_t)name->fd;
	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(out->sun_path, slash ? path : ".", directory);
	memcpy(out->sun_path + directory, PREFIX, PREFIX_SIZE);
	encode_name(packed, out->sun_path + directory + PREFIX_SIZE);
	return 0;
}

bool name_decode(const struct sockaddr_un *address, socklen_t length, struct name *out)
{
	size_t start = offsetof(struct sockaddr_un, sun_path);
	size_t size = length > start ? strnlen(address->sun_path, length - start) : 0;
	const char *text = address->sun_path + size - ENCODED_SIZE;
	uint8_t packed[PACKED_SIZE];

	if (address->sun_family != AF_UNIX || size < PREFIX_SIZE + ENCODED_SIZE ||
		memcmp(text - PREFIX_SIZE, PREFIX, PREFIX_SIZE) != 0 ||
		!decode_name(text, packed) || packed[0] != MARK)
		return false;
	*out = (struct name){
		.family = packed[1] & FLAG_V6 ? AF_INET6 : AF_INET,
		.v6only = packed[1] & FLAG_V6ONLY,
		.reuseport = packed[1] & FLAG_REUSEPORT,
		.endpoint.port = (uint16_t)(packed[2] * 256 + packed[3]),
		.fd = packed[24] * 65536 + packed[25] * 256 + packed[26],
	};
	memcpy(out->endpoint.addr.bytes, packed + 4, 16);
	memcpy(&out->process, packed + 20, sizeof(out->process));
	return true;
}

bool name_of(int fd, struct name *out)
{
	struct sockaddr_un address = {0};
	socklen_t length = sizeof(address);
	int saved = errno;
	bool found = !real_get()->getsockname(fd, (struct sockaddr *)&address, &length) &&
		     name_decode(&address, length, out);

	errno = saved;
	return found;
}
