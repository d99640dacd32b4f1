// SPDX-License-Identifier: BSD-2-Clause
// Reads the `services:` mapping.
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "common/cleanup.h"
#include "common/wire.h"
#include "daemon/config/reader.h"

/* uid_t and gid_t are the same type on Linux, so one list serves both. */
_Static_assert(sizeof(uid_t) == sizeof(gid_t), "ids");

struct id_list {
	uid_t **list;
	size_t *count;
	const char *what;
	bool (*find)(const char *name, uid_t *id);
};

static bool find_user(const char *name, uid_t *id)
{
	struct passwd *user = getpwnam(name);

	if (user)
		*id = user->pw_uid;
	return user != NULL;
}

static bool find_service_group(const char *name, uid_t *id)
{
	struct group *group = getgrnam(name);

	if (group)
		*id = group->gr_gid;
	return group != NULL;
}

static void read_id(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct id_list *ids = target;
	const char *text = reader_text(reader, node, ids->what);
	unsigned long number;
	uid_t id, *list;

	if (!text)
		return;
	if (reader_number(text, 0, 0xfffffffe, &number)) {
		id = (uid_t)number;
	} else if (!ids->find(text, &id)) {
		reader_error(reader, node,
			"there is no %s '%s' on this machine; create it, or write its number",
			ids->what, text);
		return;
	}
	list = reallocarray(*ids->list, *ids->count + 1, sizeof(*list));
	if (!list) {
		reader_no_memory(reader);
		return;
	}
	*ids->list = list;
	list[(*ids->count)++] = id;
}

static void read_user(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct config_service *service = target;
	struct id_list ids = {&service->users, &service->user_count, "user", find_user};

	reader_each(reader, node, "user", read_id, &ids);
}

static void read_group(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct config_service *service = target;
	struct id_list ids = {&service->groups, &service->group_count, "group", find_service_group};

	reader_each(reader, node, "group", read_id, &ids);
}

static void read_allow(struct reader *reader, const struct yaml_node *node, void *target)
{
	static const struct reader_key keys[] = {{"user", read_user}, {"group", read_group}};

	reader_mapping(reader, node, "'allow'", keys, sizeof(keys) / sizeof(*keys), target);
}

static void read_service_hold(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct config_service *service = target;

	reader_duration(reader, node, &service->hold_ms);
}

static void read_getsocks(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct config_service *service = target;
	const char *text = reader_text(reader, node, "'getsocks'");

	if (text && (text[0] != '/' || strlen(text) >= sizeof(((struct sockaddr_un *)0)->sun_path)))
		reader_error(reader, node,
			"'%s' is not the absolute path of a socket, such as /run/socketbox/web.getsocks, of at most %zu characters",
			text, sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
	else if (text && !(service->getsocks = strdup(text)))
		reader_no_memory(reader);
}

static void read_grants(struct reader *reader, const struct yaml_node *node, void *target)
{
	struct config_service *service = target;

	grants_read(reader, node, &service->grants);
}

static bool name_is_good(const struct yaml_node *key)
{
	const char *name = key->text;
	size_t length = strlen(name);

	/* A route could not name the service "null": that is an empty value. */
	if (!length || !strcmp(name, "null") || length >= WIRE_NAME_SIZE ||
		!isalnum((unsigned char)name[0]))
		return false;
	for (; *name; name++) {
		if (!isalnum((unsigned char)*name) && !strchr("._-", *name))
			return false;
	}
	return true;
}

/* Looks for a service of the same name, or, which no two chosen names will have by chance, the same
 * identifier. */
static bool is_service_taken(struct reader *reader, const struct yaml_node *key)
{
	const struct config_service *other =
		config_service_by_id(reader->config, service_id(key->text));

	if (!other)
		return false;
	if (!strcmp(other->name, key->text))
		reader_error(reader, key, "service '%s' is defined already in %s:%u", key->text,
			other->place.file, other->place.line);
	else
		reader_error(reader, key,
			"service '%s' has the same identifier as '%s' in %s:%u; rename one of them",
			key->text, other->name, other->place.file, other->place.line);
	return true;
}

static struct config_service *add_service(struct reader *reader, const struct yaml_node *key)
{
	struct config *config = reader->config;
	struct config_service *service;
	char *name = strdup(key->text);

	if (config->service_count == reader->service_room) {
		size_t room = reader->service_room ? reader->service_room * 2 : 16;
		struct config_service *list = reallocarray(config->services, room, sizeof(*list));

		if (list) {
			config->services = list;
			reader->service_room = room;
		}
	}
	if (!name || config->service_count == reader->service_room) {
		free(name);
		reader_no_memory(reader);
		return NULL;
	}
	service = &config->services[config->service_count++];
	*service = (struct config_service){
		.name = name,
		.id = service_id(name),
		.place = reader_place(reader, key),
		.hold_ms = CONFIG_DEFAULT_HOLD_MS,
	};
	if (config_index_add_service(config)) {
		reader_no_memory(reader);
		return NULL;
	}
	return service;
}

/* What no single key can see. */
static void check_service_delivery(
	struct reader *reader, const struct yaml_node *key, struct config_service *service)
{
	int deliveries = !!service->handoff + !!service->exec + !!service->relay;

	if (service->handoff)
		service->delivery = CONFIG_HANDOFF;
	if (service->exec)
		service->delivery = CONFIG_EXEC;
	if (service->relay)
		service->delivery = CONFIG_RELAY;
	if (deliveries > 1)
		reader_error(reader, key,
			"service '%s' has more than one of 'handoff', 'exec' and 'relay'; a service has one delivery",
			service->name);
	if (service->delivery != CONFIG_CLAIM && service->getsocks)
		reader_error(reader, key,
			"'getsocks' gives listening sockets away, and this service's are the daemon's own");
	if (service->delivery == CONFIG_CLAIM && service->accept_proxy)
		reader_error(reader, key,
			"'accept-proxy' is for services whose connections the daemon accepts; a program that claims its socket reads the header itself");
	if (service->delivery == CONFIG_CLAIM && (service->socket_options || service->ipv4_mapped))
		reader_error(reader, key,
			"'socket-options' and 'ipv4' are for services whose connections the daemon accepts; a program that claims its socket sets its own");
}

static void read_service(struct reader *reader, const struct yaml_node *key)
{
	static const struct reader_key keys[] = {
		{"allow", read_allow},
		{"hold", read_service_hold},
		{"getsocks", read_getsocks},
		{"handoff", handoff_read},
		{"exec", exec_read},
		{"socket-options", socket_options_read},
		{"ipv4", ipv4_read},
		{"relay", relay_read},
		{"accept-proxy", accept_proxy_read},
		{"grants", read_grants},
	};
	struct config_service *service;

	if (!name_is_good(key)) {
		reader_error(reader, key,
			"'%s' cannot be a service's name: use 1 to %d letters, digits, '.', '_' and '-', a letter or digit first, and not null",
			key->text, WIRE_NAME_SIZE - 1);
		return;
	}
	if (is_service_taken(reader, key))
		return;
	if (reader->config->service_count == CONFIG_MAX_SERVICES) {
		reader_error(reader, key, "there are more than %u services", CONFIG_MAX_SERVICES);
		return;
	}
	service = add_service(reader, key);
	if (!service)
		return;
	reader_mapping(reader, key->next, "a service", keys, sizeof(keys) / sizeof(*keys), service);
	check_service_delivery(reader, key, service);
}

void services_read(struct reader *reader, const struct yaml_node *node, void *target)
{
	(void)target;
	if (yaml_is_null(node))
		return;
	if (node->kind != YAML_MAPPING) {
		reader_error(
			reader, node, "'services' must be a mapping of names, such as 'blog: {}'");
		return;
	}
	for (const struct yaml_node *key = node->first; key; key = key->next->next)
		read_service(reader, key);
}
