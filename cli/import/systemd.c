// SPDX-License-Identifier: BSD-2-Clause
// systemd.socket(5) with the service that it starts: Accept=yes is a program per connection,
// Accept=no one that gets the listening socket.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/import/import.h"
#include "cli/import/systemd_service.h"
#include "cli/import/unit.h"
#include "cli/import/writer.h"
#include "common/addr.h"

/* Without a meaning here, or done anyway. */
static const char *const silent[] = {"Accept", "Service", "RemoveOnStop", "Symlinks",
	"FileDescriptorName", "FlushPending", "SocketMode", "SocketUser", "SocketGroup"};

/* "22", "192.0.2.1:22" or "[2001:db8::1]:22". */
static bool read_systemd_endpoint(const char *text, char *address, unsigned *port)
{
	const char *colon = strrchr(text, ':'), *digits = colon ? colon + 1 : text;
	size_t length = colon ? (size_t)(colon - text) : 0;
	unsigned long number;
	struct addr parsed;
	struct err err;
	char *end;

	number = strtoul(digits, &end, 10);
	if (*digits < '0' || *digits > '9' || *end || !number || number > 65535)
		return false;
	*port = (unsigned)number;
	address[0] = '\0';
	if (!colon)
		return true;
	if (length > 2 && text[0] == '[' && text[length - 1] == ']') {
		text++;
		length -= 2;
	}
	if (!length || length >= ADDR_TEXT_SIZE)
		return false;
	memcpy(address, text, length);
	address[length] = '\0';
	if (addr_parse(address, &parsed, &err))
		return false;
	if (addr_is_wildcard(&parsed))
		strcpy(address, addr_is_v4(&parsed) ? "0.0.0.0/0" : "");
	else
		addr_format(&parsed, address);
	return true;
}

static void add_routes(struct writer *writer, struct section *socket, const char *name, bool udp,
	struct exec_words *routes)
{
	const struct section_entry *entry = section_find(socket, name);
	const char *only = section_text(socket, "BindIPv6Only");
	char address[ADDR_TEXT_SIZE];
	unsigned port;

	for (size_t i = 0; entry && i < entry->words.count; i++) {
		const char *to = address;

		if (!read_systemd_endpoint(entry->words.list[i], address, &port)) {
			writer_note(writer,
				"%s=%s: only ports and IP addresses have routes; for a Unix socket, socketbox-inetd(1) may serve",
				name, entry->words.list[i]);
			continue;
		}
		if (!*address)
			to = only && !strcmp(only, "ipv6-only") ? "::/0" : NULL;
		writer_route(routes, to, port, udp);
	}
}

static void write_systemd_limits(struct writer *writer, struct section *socket)
{
	const char *instances = section_text(socket, "MaxConnections");
	const char *per_source = section_text(socket, "MaxConnectionsPerSource");

	/* systemd's own default, which is refused and not left waiting too. */
	writer_key(writer, "instances", instances ? instances : "64");
	writer_key(writer, "when-full", "refuse");
	if (per_source && strcmp(per_source, "0") != 0)
		writer_key(writer, "per-source", per_source);
}

/* "20 in 2 s" as a rate and a burst. */
static void write_trigger_limit(struct writer *writer, struct section *socket)
{
	const char *interval = section_text(socket, "TriggerLimitIntervalSec");
	const char *burst = section_text(socket, "TriggerLimitBurst");
	unsigned long count = burst ? strtoul(burst, NULL, 10) : 0;
	uint64_t ms = 2000;
	char text[64];

	if (!count || count > 100000 || (interval && !unit_time(interval, &ms)) || !ms ||
		ms > 3600000) {
		if (burst || interval)
			writer_note(writer, "TriggerLimit...: write a rate, such as 10/s burst 20");
		return;
	}
	if (count * 1000 >= ms)
		snprintf(text, sizeof(text), "%lu/s burst %lu", (unsigned long)(count * 1000 / ms),
			count);
	else
		snprintf(text, sizeof(text), "%lu/h burst %lu",
			(unsigned long)(count * 3600000 / ms), count);
	writer_key(writer, "rate", text);
}

static bool accepts_systemd(struct section *socket)
{
	const char *accept = section_text(socket, "Accept");

	return accept && unit_bool(accept);
}

/* "NAME" of "NAME.socket", or of "NAME@.socket". */
static int systemd_stem(const char *unit, char *out, size_t size, struct err *err)
{
	static const char suffix[] = ".socket";
	const char *slash = strrchr(unit, '/');
	size_t length;

	unit = slash ? slash + 1 : unit;
	length = strlen(unit);
	if (length <= strlen(suffix) || strcmp(unit + length - strlen(suffix), suffix) != 0)
		return err_set(
			err, -EINVAL, "'%s' is not a socket unit; name a file UNIT.socket", unit);
	length -= strlen(suffix);
	if (length >= size)
		return err_set(err, -ENAMETOOLONG, "'%s' is too long a name", unit);
	memcpy(out, unit, length);
	out[length] = '\0';
	return 0;
}

int import_systemd_service(
	const char *unit, const char *text, char *service, size_t size, struct err *err)
{
	struct section socket = {0};
	int result = unit_read(text, "Socket", &socket);
	const char *named = section_text(&socket, "Service");
	char name[200];

	if (result)
		err_errno(err, result, "importing %s", unit);
	else
		result = systemd_stem(unit, name, sizeof(name), err);
	if (!result && (named ? snprintf(service, size, "%s", named)
			      : snprintf(service, size, "%s%s.service", name,
					accepts_systemd(&socket) ? "@" : "")) >= (int)size)
		result = err_set(err, -ENAMETOOLONG, "the service's name is too long");
	section_fini(&socket);
	return result;
}

static void write_socket(struct writer *writer, struct section *socket, bool per_connection,
	struct exec_words *routes)
{
	add_routes(writer, socket, "ListenStream", false, routes);
	if (!per_connection)
		add_routes(writer, socket, "ListenDatagram", true, routes);
	else if (section_find(socket, "ListenDatagram"))
		writer_note(writer, "ListenDatagram: does not go together with Accept=yes");
	if (per_connection) {
		write_systemd_limits(writer, socket);
		write_trigger_limit(writer, socket);
	} else {
		writer_key(writer, "wait", "true");
		write_trigger_limit(writer, socket);
		if (routes->count > 1)
			writer_note(writer,
				"each socket has a process of its own here; a program that wants all of them at once is claimed: socketbox run --listen-fds");
	}
	for (size_t i = 0; i < sizeof(silent) / sizeof(*silent); i++)
		section_find(socket, silent[i]);
	for (size_t i = 0; i < socket->count; i++) {
		if (!socket->entries[i].used)
			writer_note(writer, "[Socket] %s: not translated", socket->entries[i].name);
	}
}

int import_systemd(const char *unit, const char *text, const char *service_text, FILE *out,
	FILE *warnings, struct err *err)
{
	struct section socket = {0}, service = {0};
	struct exec_words routes = {0};
	struct writer writer;
	char name[200];
	int result = systemd_stem(unit, name, sizeof(name), err);

	if (result)
		return result;
	result = writer_begin(&writer, unit, warnings, err);
	if (!result && (unit_read(text, "Socket", &socket) ||
			       (service_text && unit_read(service_text, "Service", &service))))
		result = err_errno(err, -ENOMEM, "importing %s", unit);
	if (!result)
		result = writer_service(&writer, name, err);
	if (!result) {
		bool per_connection = accepts_systemd(&socket);

		if (!service_text)
			writer_note(&writer, "the service's unit was not found beside it");
		systemd_service_write(&writer, &service, per_connection);
		write_socket(&writer, &socket, per_connection, &routes);
		writer_service_end(&writer, &routes, false);
	}
	writer_end(&writer, result ? NULL : out);
	writer_words_free(&routes);
	section_fini(&socket);
	section_fini(&service);
	return result;
}
