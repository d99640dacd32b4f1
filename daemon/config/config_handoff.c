// SPDX-License-Identifier: BSD-2-Clause
// Reads `handoff:`, and what else a service says of the connections that it is handed.
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "common/handoff_message.h"
#include "daemon/config/reader.h"

static void read_handoff_path(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct config_handoff *handoff = target;
	const char *text = reader_text(reader, node, "'path'");
	const char *mark;
	size_t grown;

	if (!text)
		return;
	mark = strstr(text, HANDOFF_PORT_MARK);
	/* A port has up to five digits. */
	grown = strlen(text) + (mark ? 5 - strlen(HANDOFF_PORT_MARK) : 0);
	if (text[0] != '/')
		reader_error(reader, node,
			"'%s' is not an absolute path; write one, such as /run/socketbox/mail.sock",
			text);
	else if (grown >= sizeof(((struct sockaddr_un *)0)->sun_path))
		reader_error(reader, node,
			"'%s' is too long for the path of a socket, which may have %zu characters",
			text, sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
	else if (mark && strstr(mark + 1, HANDOFF_PORT_MARK))
		reader_error(reader, node, "'%s' has %s more than once", text, HANDOFF_PORT_MARK);
	else if (!(handoff->path = strdup(text)))
		reader_no_memory(reader);
}

static void read_mode(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct config_handoff *handoff = target;
	const char *text = reader_text(reader, node, "'mode'");
	unsigned mode = 0;
	size_t digits;

	if (!text)
		return;
	digits = strspn(text, "01234567");
	if (text[digits] || digits < 3 || digits > 4 || (digits == 4 && text[0] != '0')) {
		reader_error(reader, node,
			"'%s' is not a mode; write octal digits in quotes, such as \"0660\"", text);
		return;
	}
	for (; *text; text++)
		mode = mode * 8 + (unsigned)(*text - '0');
	handoff->mode = (mode_t)mode;
}

static void read_queue(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct config_handoff *handoff = target;
	const char *text = reader_text(reader, node, "'queue'");
	unsigned long number;

	if (!text)
		return;
	if (reader_number(text, 1, 65536, &number))
		handoff->queue = (uint32_t)number;
	else
		reader_error(reader, node,
			"'%s' is not the length of a queue; write a number from 1 to 65536", text);
}

static void read_handoff_hold(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct config_handoff *handoff = target;

	reader_duration(reader, node, &handoff->hold_ms);
}

void handoff_read(struct reader *reader, const struct yaml_node *node, void *target)
{
	static const struct reader_key keys[] = {
		{"path", read_handoff_path},
		{"mode", read_mode},
		{"queue", read_queue},
		{"hold", read_handoff_hold},
	};
	struct config_service *service = target;

	service->handoff = calloc(1, sizeof(*service->handoff));
	if (!service->handoff) {
		reader_no_memory(reader);
		return;
	}
	*service->handoff = (struct config_handoff){
		.mode = CONFIG_DEFAULT_HANDOFF_MODE,
		.queue = CONFIG_DEFAULT_HANDOFF_QUEUE,
		.hold_ms = CONFIG_DEFAULT_HOLD_MS,
	};
	reader_mapping(
		reader, node, "'handoff'", keys, sizeof(keys) / sizeof(*keys), service->handoff);
}

void handoff_free(struct config_handoff *handoff)
{
	if (handoff)
		free(handoff->path);
	free(handoff);
}

static void read_handoff_option(struct reader *reader, const struct yaml_node *node, void *target)
{
	static const struct {
		const char *name;
		enum config_socket_option option;
	} options[] = {
		{"nodelay", CONFIG_NODELAY},
		{"keepalive", CONFIG_KEEPALIVE},
		{"quickack", CONFIG_QUICKACK},
	};
	struct config_service *service = target;
	const char *text = reader_text(reader, node, "'socket-options'");

	if (!text)
		return;
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		if (!strcmp(text, options[i].name)) {
			service->socket_options |= options[i].option;
			return;
		}
	}
	reader_error(reader, node,
		"'%s' is not a socket option that can be set here; write nodelay, keepalive or quickack",
		text);
}

void socket_options_read(struct reader *reader, const struct yaml_node *node, void *target)
{
	reader_each(reader, node, "'socket-options'", read_handoff_option, target);
}

void ipv4_read(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct config_service *service = target;
	const char *text = reader_text(reader, node, "'ipv4'");

	if (text && !strcmp(text, "mapped"))
		service->ipv4_mapped = true;
	else if (text && strcmp(text, "plain") != 0)
		reader_error(reader, node,
			"'ipv4: %s' says nothing; write plain (AF_INET sockets, 192.0.2.1) or mapped (AF_INET6, ::ffff:192.0.2.1)",
			text);
}
