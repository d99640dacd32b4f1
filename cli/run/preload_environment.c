// SPDX-License-Identifier: BSD-2-Clause
// Tells the preload library in the environment what it stands for.
#include "cli/run/preload_environment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build_info.h"
#include "cli/run/program.h"
#include "common/cleanup.h"
#include "common/control_client.h"

#define PATH_SIZE  108 /* of a Unix socket's path, with its NUL */
#define MOST_ITEMS 64  /* that the library takes */

/* A list with commas, each item once. */
struct list {
	char text[MOST_ITEMS * ADDR_TEXT_SIZE];
	size_t count;
};

static void add_preload(struct list *list, const char *item)
{
	size_t used = strlen(list->text), length = strlen(item);

	for (const char *at = list->text; *at; at += strcspn(at, ","), at += *at == ',') {
		if (!strncmp(at, item, length) && (at[length] == ',' || !at[length]))
			return;
	}
	if (list->count++ < MOST_ITEMS)
		snprintf(list->text + used, sizeof(list->text) - used, "%s%s", used ? "," : "",
			item);
}

static void add_preload_ports(struct list *ports, const struct wire_endpoint *endpoint)
{
	unsigned first = endpoint->port_first ? endpoint->port_first : 1;
	char text[16];

	if (endpoint->target_port)
		snprintf(text, sizeof(text), "%u", endpoint->target_port);
	else if (first == endpoint->port_last)
		snprintf(text, sizeof(text), "%u", first);
	else
		snprintf(text, sizeof(text), "%u-%u", first, endpoint->port_last);
	add_preload(ports, text);
}

static void add_addresses(struct list *addresses, const struct wire_endpoint *endpoint)
{
	struct addr_prefix prefix = {
		.length = endpoint->prefix_length,
		.family = endpoint->family == 4 ? AF_INET : AF_INET6,
	};
	char text[ADDR_TEXT_SIZE];

	if (!endpoint->family) {
		add_preload(addresses, "0.0.0.0/0");
		add_preload(addresses, "::/0");
		return;
	}
	memcpy(prefix.addr.bytes, endpoint->address, sizeof(prefix.addr.bytes));
	add_preload(addresses, addr_prefix_format(&prefix, text));
}

/* What of the service is TCP. */
static int list_endpoints(const struct claim_client *client, struct list *ports,
	struct list *addresses, struct err *err)
{
	for (size_t i = 0; i < client->endpoint_count; i++) {
		if (client->endpoints[i].protocol != IPPROTO_TCP)
			continue;
		add_preload_ports(ports, &client->endpoints[i]);
		add_addresses(addresses, &client->endpoints[i]);
	}
	if (!ports->count)
		return err_set(err, -ENOENT,
			"no route for TCP leads to service '%s', so there is nothing to receive",
			client->service);
	if (ports->count > MOST_ITEMS || addresses->count > MOST_ITEMS)
		return err_set(err, -E2BIG,
			"service '%s' has more than %d ports or addresses, and the library takes no more; give its routes ranges and prefixes",
			client->service, MOST_ITEMS);
	return 0;
}

static int ask_path(struct claim_client *client, char path[PATH_SIZE], struct err *err)
{
	struct wire_header request = control_client_header(WIRE_DESTINATION, sizeof(request));
	struct wire_text answer;
	cleanup_close int fd = -1;
	ssize_t length;
	int result = control_client_ask(
		client->fd, &request, -1, WIRE_TEXT, &answer, sizeof(answer), &fd, err);

	if (result)
		return result;
	length = pread(fd, path, PATH_SIZE - 1, 0);
	if (length <= 0 || (uint64_t)length != answer.size)
		return err_set(
			err, -EPROTO, "the path of service '%s' cannot be read", client->service);
	path[length] = '\0';
	return 0;
}

static int set_preload(const char *name, const char *value, struct err *err)
{
	return setenv(name, value, 1) ? err_errno(err, -errno, "setting %s", name) : 0;
}

/* Behind what is there already: the first library is the one that the program meets. */
static int set_library(struct err *err)
{
	const char *named = getenv("SOCKETBOX_PRELOAD_LIBRARY"), *before = getenv("LD_PRELOAD");
	const char *library = named && *named ? named : SOCKETBOX_PRELOAD_PATH;
	cleanup_free char *value = NULL;

	if (access(library, R_OK))
		return err_errno(err, -errno,
			"the library %s (set SOCKETBOX_PRELOAD_LIBRARY if it is elsewhere)",
			library);
	if (before && *before) {
		if (asprintf(&value, "%s:%s", before, library) < 0)
			return err_errno(err, -ENOMEM, "setting LD_PRELOAD");
	}
	return set_preload("LD_PRELOAD", value ? value : library, err);
}

int preload_prepare(
	struct claim_client *client, const char *path, const char *program, struct err *err)
{
	struct list ports = {0}, addresses = {0};
	char asked[PATH_SIZE];
	int result = program_check_preload(program, err);

	if (!result && path && strlen(path) >= sizeof(asked))
		result = err_set(err, -ENAMETOOLONG, "--preload=%s: more than %d characters", path,
			PATH_SIZE - 1);
	if (!result && !path)
		result = ask_path(client, asked, err);
	if (!result)
		result = list_endpoints(client, &ports, &addresses, err);
	if (!result)
		result = set_preload("SOCKETBOX_PRELOAD_SOCKET", path ? path : asked, err);
	if (!result)
		result = set_preload("SOCKETBOX_PRELOAD_PORTS", ports.text, err);
	if (!result)
		result = set_preload("SOCKETBOX_PRELOAD_ADDRESSES", addresses.text, err);
	return result ? result : set_library(err);
}
