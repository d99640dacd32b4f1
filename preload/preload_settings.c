// SPDX-License-Identifier: BSD-2-Clause
// Reads the environment into fixed tables, and judges binds by them.
#include "preload/preload_settings.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/handoff_message.h"

#define RECORD_SIZE    128 /* of a directory file; a path is its first 108 bytes */
#define MOST_PORTS     64
#define MOST_ADDRESSES 64

struct ports {
	unsigned count;
	struct {
		uint16_t first, last;
	} ranges[MOST_PORTS];
};

static struct {
	atomic_bool read;
	bool stealth;
	char root[PATH_MAX], root2[PATH_MAX]; /* "": not set */
	char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct ports virtual_ports, any4, any6, service;
	unsigned address_count;
	struct addr_prefix addresses[MOST_ADDRESSES];
} settings;

static void copy_text(char *to, size_t size, const char *name)
{
	const char *value = getenv(name);

	to[0] = '\0';
	if (value && strlen(value) < size)
		strcpy(to, value);
}

/* One number, and where it ends; -1 if there is none. */
static long read_preload_port(const char *text, char **end)
{
	long number;

	*end = (char *)text;
	if (*text < '0' || *text > '9')
		return -1;
	number = strtol(text, end, 10);
	return number <= 65535 ? number : -1;
}

/* "80,443,8000-8100"; what cannot be read ends the list. */
static void read_preload_ports(struct ports *ports, const char *name, const char *fallback)
{
	const char *text = getenv(name);
	char *end;

	ports->count = 0;
	for (text = text ? text : fallback; ports->count < MOST_PORTS; text = end + 1) {
		long first = read_preload_port(text, &end), last = first;

		if (first >= 0 && *end == '-')
			last = read_preload_port(end + 1, &end);
		if (first < 0 || last < first || (*end && *end != ','))
			return;
		ports->ranges[ports->count].first = (uint16_t)first;
		ports->ranges[ports->count++].last = (uint16_t)last;
		if (!*end)
			return;
	}
}

static bool has_preload_port(const struct ports *ports, uint16_t port)
{
	for (unsigned i = 0; port && i < ports->count; i++) {
		if (port >= ports->ranges[i].first && port <= ports->ranges[i].last)
			return true;
	}
	return false;
}

static void read_addresses(const char *text)
{
	char one[ADDR_TEXT_SIZE];

	while (text && *text && settings.address_count < MOST_ADDRESSES) {
		size_t length = strcspn(text, ",");

		if (length < sizeof(one)) {
			memcpy(one, text, length);
			one[length] = '\0';
			if (!addr_prefix_parse(
				    one, &settings.addresses[settings.address_count], NULL))
				settings.address_count++;
		}
		text += length + (text[length] == ',');
	}
}

__attribute__((constructor)) void settings_load(void)
{
	const char *stealth = getenv("SKBOX_STEALTH_MODE");
	int saved = errno;

	settings.stealth = stealth && stealth[0] == '1';
	copy_text(settings.root, sizeof(settings.root), "SKBOX_DIRECTORY_ROOT");
	copy_text(settings.root2, sizeof(settings.root2), "SKBOX_DIRECTORY_ROOT2");
	copy_text(settings.socket, sizeof(settings.socket), "SOCKETBOX_PRELOAD_SOCKET");
	read_preload_ports(&settings.virtual_ports, "SKBOX_PORT_FILTER_IPV6", "1-1023");
	read_preload_ports(&settings.any4, "SKBOX_PORT_FILTER_WILDCARD4", "");
	read_preload_ports(&settings.any6, "SKBOX_PORT_FILTER_WILDCARD6", "");
	read_preload_ports(&settings.service, "SOCKETBOX_PRELOAD_PORTS", "");
	settings.address_count = 0;
	read_addresses(getenv("SOCKETBOX_PRELOAD_ADDRESSES"));
	errno = saved;
	atomic_store_explicit(&settings.read, true, memory_order_release);
}

/* Before the constructor has run there is one thread. */
static void ensure_read(void)
{
	if (!atomic_load_explicit(&settings.read, memory_order_acquire))
		settings_load();
}

bool settings_stealth(void)
{
	ensure_read();
	return settings.stealth;
}

static int set_preload_path(struct settings_target *target, const char *path, uint16_t port)
{
	size_t length = strlen(path);

	if (length >= sizeof(target->address.sun_path))
		return -ENAMETOOLONG;
	memcpy(target->address.sun_path, path, length + 1);
	handoff_fill_port(target->address.sun_path, length, port);
	target->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
	return 1;
}

/* $SKBOX_DIRECTORY_ROOT/skbox_dir_XXXXX, record Y. An abstract name is the whole of the 108 bytes,
 * as the original takes it; a path ends among them. */
static int read_record(struct settings_target *target, unsigned x, unsigned y, uint16_t port)
{
	char *path = target->address.sun_path, file[PATH_MAX + 32];
	size_t size = sizeof(target->address.sun_path);
	cleanup_close int fd = -1;

	snprintf(file, sizeof(file), "%s/skbox_dir_%05u", settings.root, x);
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (pread(fd, path, size, (off_t)y * RECORD_SIZE) != (ssize_t)size)
		return -ERANGE;
	if (!memchr(path, '\0', size))
		return -ENAMETOOLONG;
	handoff_fill_port(path, size, port);
	target->length = sizeof(target->address);
	return path[0] || path[1] ? 1 : -ERANGE;
}

static int match_virtual(const struct addr *address, uint16_t port, struct settings_target *target)
{
	static const uint8_t start[10] = {0xfe, 0x8f};
	const uint8_t *bytes = address->bytes;
	unsigned kind = bytes[10] * 256u + bytes[11], x = bytes[12] * 256u + bytes[13],
		 y = bytes[14] * 256u + bytes[15];
	char path[PATH_MAX + 32];

	if (memcmp(bytes, start, sizeof(start)) != 0 || kind > 3 ||
		!has_preload_port(&settings.virtual_ports, port))
		return 0;
	target->type = kind & 1 ? SOCK_STREAM : SOCK_DGRAM;
	if (kind < 2)
		return settings.root[0] ? read_record(target, x, y, port) : 0;
	if (!settings.root2[0])
		return 0;
	snprintf(path, sizeof(path), "%s/%05u/%05u_%05u", settings.root2, x, y, port);
	return set_preload_path(target, path, port);
}

/* Under `socketbox run --preload`: wildcards, and addresses of the service. */
static bool is_of_service(const struct addr_endpoint *endpoint)
{
	if (!settings.socket[0] || !has_preload_port(&settings.service, endpoint->port))
		return false;
	if (addr_is_wildcard(&endpoint->addr))
		return true;
	for (unsigned i = 0; i < settings.address_count; i++) {
		if (addr_prefix_contains(&settings.addresses[i], &endpoint->addr))
			return true;
	}
	return false;
}

int settings_match(int family, const struct addr_endpoint *endpoint, struct settings_target *target)
{
	char path[PATH_MAX + 32];

	ensure_read();
	*target = (struct settings_target){.type = SOCK_DGRAM, .address.sun_family = AF_UNIX};
	if (is_of_service(endpoint))
		return set_preload_path(target, settings.socket, endpoint->port);
	if (!addr_is_wildcard(&endpoint->addr))
		return family == AF_INET6 ? match_virtual(&endpoint->addr, endpoint->port, target)
					  : 0;
	if (!settings.root2[0] ||
		!has_preload_port(
			family == AF_INET ? &settings.any4 : &settings.any6, endpoint->port))
		return 0;
	/* As fe8f::2:0:0. */
	snprintf(path, sizeof(path), "%s/00000/00000_%05u", settings.root2, endpoint->port);
	return set_preload_path(target, path, endpoint->port);
}
