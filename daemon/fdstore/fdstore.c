// SPDX-License-Identifier: BSD-2-Clause
// What is inherited, as a list; what is kept, by descriptor. The service manager is told of
// changes.
#include "daemon/fdstore/fdstore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "daemon/log.h"

#define FORMAT	   "1" /* of what handover_pass writes */
#define CONNECTION "c."

struct entry {
	char name[HANDOVER_NAME_SIZE];
	int fd;
};

struct handover {
	struct handover_store store; /* functions may be NULL */
	struct entry *inherited, *given;
	size_t inherited_count, given_count, given_room;
	char **kept; /* name by descriptor */
	size_t kept_size;
	uint32_t sequence; /* of connections */
	bool settled, sealed;
	bool removing; /* something has been removed since the store was waited for */
	int passed;    /* what handover_pass has written */
};

struct handover *handover_new(const struct handover_store *store)
{
	struct handover *handover = calloc(1, sizeof(*handover));

	if (!handover)
		return NULL;
	if (store)
		handover->store = *store;
	handover->passed = -1;
	return handover;
}

static void close_entries(struct entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		cleanup_close_fd(&entries[i].fd);
	free(entries);
}

void handover_free(struct handover *handover)
{
	if (!handover)
		return;
	close_entries(handover->inherited, handover->inherited_count);
	close_entries(handover->given, handover->given_count);
	for (size_t fd = 0; fd < handover->kept_size; fd++)
		free(handover->kept[fd]);
	free(handover->kept);
	cleanup_close_fd(&handover->passed);
	free(handover);
}

bool handover_has_store(const struct handover *handover)
{
	return handover && handover->store.add;
}

static void store_add(const struct handover *handover, const char *name, int fd)
{
	if (handover->store.add)
		handover->store.add(name, fd);
}

static void store_remove(struct handover *handover, const char *name)
{
	if (!handover->store.remove)
		return;
	handover->store.remove(name);
	handover->removing = true;
}

bool handover_flush(struct handover *handover)
{
	if (!handover || !handover->removing || !handover->store.flush)
		return false;
	handover->store.flush();
	handover->removing = false;
	return true;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

void handover_inherit(struct handover *handover, const char *name, int fd)
{
	struct entry *list = NULL;

	if (handover && strlen(name) < HANDOVER_NAME_SIZE)
		list = reallocarray(
			handover->inherited, handover->inherited_count + 1, sizeof(*list));
	if (!list) {
		log_warning("descriptor %d, inherited as '%s', is closed", fd, name);
		close(fd);
		return;
	}
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	handover->inherited = list;
	list += handover->inherited_count++;
	*list = (struct entry){.fd = fd};
	strcpy(list->name, name);
}

/* One line of what handover_pass wrote. */
static int inherit_line(struct handover *handover, char *line, struct err *err)
{
	char *rest;
	long fd = strtol(line, &rest, 10);

	if (rest == line || *rest != ' ' || fd < 0 || fcntl((int)fd, F_GETFD) < 0)
		return err_set(err, -EPROTO, "the inherited descriptor '%s' is none", line);
	handover_inherit(handover, rest + 1, (int)fd);
	return 0;
}

int handover_inherit_passed(struct handover *handover, struct err *err)
{
	const char *value = getenv(HANDOVER_VARIABLE);
	cleanup_fclose FILE *file = NULL;
	cleanup_free char *line = NULL;
	size_t room = 0;
	int fd, result = 0;

	if (!handover || !value)
		return 0;
	if (strncmp(value, FORMAT ":", strlen(FORMAT) + 1) != 0)
		return err_set(err, -EPROTO,
			"$" HANDOVER_VARIABLE
			" is '%s', which another version writes; stop socketboxd and start it instead",
			value);
	fd = (int)strtol(value + strlen(FORMAT) + 1, NULL, 10);
	unsetenv(HANDOVER_VARIABLE);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) || lseek(fd, 0, SEEK_SET))
		return err_errno(err, -errno, "reading $" HANDOVER_VARIABLE);
	file = fdopen(fd, "r");
	if (!file)
		return err_errno(err, -errno, "reading $" HANDOVER_VARIABLE);
	while (!result && getline(&line, &room, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		result = inherit_line(handover, line, err);
	}
	return result;
}

static void remove_inherited(struct handover *handover, size_t i)
{
	memmove(&handover->inherited[i], &handover->inherited[i + 1],
		(--handover->inherited_count - i) * sizeof(struct entry));
}

int handover_take(struct handover *handover, const char *name)
{
	for (size_t i = 0; handover && i < handover->inherited_count; i++) {
		int fd = handover->inherited[i].fd;

		if (strcmp(handover->inherited[i].name, name) != 0)
			continue;
		remove_inherited(handover, i);
		return fd;
	}
	return -1;
}

void handover_visit(struct handover *handover, const char *prefix,
	void (*visit)(void *context, const char *name, int *fd), void *context)
{
	if (!handover || !handover->inherited_count)
		return;
	qsort(handover->inherited, handover->inherited_count, sizeof(struct entry), compare_names);
	for (size_t i = 0; i < handover->inherited_count; i++) {
		struct entry *entry = &handover->inherited[i];

		if (!strncmp(entry->name, prefix, strlen(prefix)))
			visit(context, entry->name, &entry->fd);
	}
	for (size_t i = handover->inherited_count; i-- > 0;) {
		if (handover->inherited[i].fd < 0)
			remove_inherited(handover, i);
	}
}

void handover_keep(struct handover *handover, int fd, const char *name)
{
	char *copy;

	if (!handover)
		return;
	handover_drop(handover, fd);
	if ((size_t)fd >= handover->kept_size) {
		size_t size = (size_t)fd * 2 + 64;
		char **kept = reallocarray(handover->kept, size, sizeof(*kept));

		if (!kept)
			return;
		memset(kept + handover->kept_size, 0, (size - handover->kept_size) * sizeof(*kept));
		handover->kept = kept;
		handover->kept_size = size;
	}
	copy = strdup(name);
	handover->kept[fd] = copy;
	if (copy)
		store_add(handover, name, fd);
}

void handover_drop(struct handover *handover, int fd)
{
	cleanup_free char *name = NULL;

	if (!handover || fd < 0 || (size_t)fd >= handover->kept_size)
		return;
	name = take_ptr(&handover->kept[fd]);
	if (name && handover->settled && !handover->sealed)
		store_remove(handover, name);
}

void handover_settle(struct handover *handover)
{
	if (!handover)
		return;
	for (size_t i = 0; i < handover->inherited_count; i++) {
		log_info("'%s', kept by an earlier daemon, is needed no more",
			handover->inherited[i].name);
		store_remove(handover, handover->inherited[i].name);
	}
	close_entries(take_ptr(&handover->inherited), handover->inherited_count);
	handover->inherited_count = 0;
	handover->settled = true;
}

void handover_seal(struct handover *handover)
{
	if (handover)
		handover->sealed = true;
}

const char *handover_endpoint(
	const struct addr_endpoint *endpoint, char text[HANDOVER_ENDPOINT_SIZE])
{
	for (size_t i = 0; i < sizeof(endpoint->addr.bytes); i++)
		snprintf(text + 2 * i, 3, "%02x", endpoint->addr.bytes[i]);
	snprintf(text + 32, 5, "%04x", endpoint->port);
	return text;
}

int handover_read_endpoint(const char *text, struct addr_endpoint *endpoint)
{
	unsigned octet, port;

	if (strspn(text, "0123456789abcdef") < HANDOVER_ENDPOINT_SIZE - 1)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(endpoint->addr.bytes); i++) {
		sscanf(text + 2 * i, "%2x", &octet);
		endpoint->addr.bytes[i] = (uint8_t)octet;
	}
	sscanf(text + 32, "%4x", &port);
	endpoint->port = (uint16_t)port;
	return 0;
}

/* Fixed widths, so that the order of the names is that of the connections. */
static void name_connection(const struct handover_connection *connection, uint32_t sequence,
	char name[HANDOVER_NAME_SIZE])
{
	char local[HANDOVER_ENDPOINT_SIZE], remote[HANDOVER_ENDPOINT_SIZE];

	snprintf(name, HANDOVER_NAME_SIZE, CONNECTION "%06x.%08x.%04x.%s.%s.%llx", sequence,
		connection->service, connection->arrival.service_port,
		handover_endpoint(&connection->arrival.local, local),
		handover_endpoint(&connection->arrival.remote, remote),
		(unsigned long long)connection->receiver);
}

static int read_connection(const char *name, struct handover_connection *connection)
{
	char local[HANDOVER_ENDPOINT_SIZE], remote[HANDOVER_ENDPOINT_SIZE];
	unsigned long long receiver;
	unsigned service, port;

	if (sscanf(name, CONNECTION "%*6x.%8x.%4x.%36[0-9a-f].%36[0-9a-f].%llx", &service, &port,
		    local, remote, &receiver) != 5 ||
		handover_read_endpoint(local, &connection->arrival.local) ||
		handover_read_endpoint(remote, &connection->arrival.remote))
		return -EINVAL;
	connection->arrival.service_port = (uint16_t)port;
	connection->service = service;
	connection->receiver = receiver;
	return 0;
}

int handover_give_fd(struct handover *handover, const char *name, int *fd)
{
	struct entry *entry;

	if (handover->given_count == handover->given_room) {
		size_t room = handover->given_room ? handover->given_room * 2 : 16;
		struct entry *list = reallocarray(handover->given, room, sizeof(*list));

		if (!list)
			return -ENOMEM;
		handover->given = list;
		handover->given_room = room;
	}
	entry = &handover->given[handover->given_count++];
	snprintf(entry->name, sizeof(entry->name), "%s", name);
	entry->fd = take_fd(fd);
	store_add(handover, entry->name, entry->fd);
	return 0;
}

void handover_give(struct handover *handover, struct handover_connection *connection)
{
	char name[HANDOVER_NAME_SIZE];

	if (!handover)
		return;
	name_connection(connection, handover->sequence++, name);
	if (handover_give_fd(handover, name, &connection->arrival.fd))
		arrival_refuse(&connection->arrival);
}

void handover_take_back(struct handover *handover)
{
	if (!handover)
		return;
	for (size_t i = 0; i < handover->given_count; i++)
		handover_inherit(
			handover, handover->given[i].name, take_fd(&handover->given[i].fd));
	handover->given_count = 0;
}

struct given_visit {
	struct handover *handover;
	void (*visit)(void *context, const char *name, int fd);
	void *context;
};

/* Whoever has a connection ends it by closing it: no copy may be left behind. */
static void visit_given(void *context, const char *name, int *fd)
{
	struct given_visit *visit = context;

	store_remove(visit->handover, name);
	visit->visit(visit->context, name, take_fd(fd));
}

void handover_visit_given(struct handover *handover, const char *prefix,
	void (*visit)(void *context, const char *name, int fd), void *context)
{
	struct given_visit all = {handover, visit, context};

	handover_visit(handover, prefix, visit_given, &all);
}

struct connections_visit {
	void (*visit)(void *context, struct handover_connection *connection);
	void *context;
};

static void visit_connection(void *context, const char *name, int fd)
{
	const struct connections_visit *visit = context;
	struct handover_connection connection = {.arrival.fd = fd};

	if (read_connection(name, &connection))
		cleanup_close_fd(&connection.arrival.fd);
	else
		visit->visit(visit->context, &connection);
}

void handover_connections(struct handover *handover,
	void (*visit)(void *context, struct handover_connection *connection), void *context)
{
	struct connections_visit all = {visit, context};

	handover_visit_given(handover, CONNECTION, visit_connection, &all);
}

/* Calls with every descriptor that is to stay open, or not to any more. */
static void set_inheritable(struct handover *handover, bool inheritable)
{
	int flags = inheritable ? 0 : FD_CLOEXEC;

	for (size_t fd = 0; fd < handover->kept_size; fd++) {
		if (handover->kept[fd])
			fcntl((int)fd, F_SETFD, flags);
	}
	for (size_t i = 0; i < handover->given_count; i++)
		fcntl(handover->given[i].fd, F_SETFD, flags);
	fcntl(handover->passed, F_SETFD, flags);
}

static int write_down(const struct handover *handover)
{
	for (size_t fd = 0; fd < handover->kept_size; fd++) {
		if (handover->kept[fd] &&
			dprintf(handover->passed, "%zu %s\n", fd, handover->kept[fd]) < 0)
			return -errno;
	}
	for (size_t i = 0; i < handover->given_count; i++) {
		if (dprintf(handover->passed, "%d %s\n", handover->given[i].fd,
			    handover->given[i].name) < 0)
			return -errno;
	}
	return 0;
}

int handover_pass(struct handover *handover, char value[32], struct err *err)
{
	int result;

	handover->passed = memfd_create("socketbox-handover", MFD_CLOEXEC);
	if (handover->passed < 0)
		return err_errno(err, -errno, "memfd_create");
	result = write_down(handover);
	if (result) {
		cleanup_close_fd(&handover->passed);
		return err_errno(err, result, "writing down what the next program inherits");
	}
	snprintf(value, 32, FORMAT ":%d", handover->passed);
	set_inheritable(handover, true);
	return 0;
}

void handover_unpass(struct handover *handover)
{
	if (handover->passed < 0)
		return;
	set_inheritable(handover, false);
	cleanup_close_fd(&handover->passed);
}
