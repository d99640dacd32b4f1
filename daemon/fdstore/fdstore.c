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

#define FORMAT	   "1" /* of what fdstore_pass writes */
#define CONNECTION "c."

struct entry {
	char name[FDSTORE_NAME_SIZE];
	int fd;
};

struct fdstore {
	struct fdstore_backend store; /* functions may be NULL */
	struct entry *inherited, *in_flight;
	size_t inherited_count, in_flight_count, in_flight_room;
	char **kept; /* name by descriptor */
	size_t kept_size;
	uint32_t sequence; /* of connections */
	bool settled, sealed;
	bool removing; /* something has been removed since the store was waited for */
	int passed;    /* what fdstore_pass has written */
};

struct fdstore *fdstore_new(const struct fdstore_backend *store)
{
	struct fdstore *fdstore = calloc(1, sizeof(*fdstore));

	if (!fdstore)
		return NULL;
	if (store)
		fdstore->store = *store;
	fdstore->passed = -1;
	return fdstore;
}

static void close_entries(struct entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		cleanup_close_fd(&entries[i].fd);
	free(entries);
}

void fdstore_free(struct fdstore *fdstore)
{
	if (!fdstore)
		return;
	close_entries(fdstore->inherited, fdstore->inherited_count);
	close_entries(fdstore->in_flight, fdstore->in_flight_count);
	for (size_t fd = 0; fd < fdstore->kept_size; fd++)
		free(fdstore->kept[fd]);
	free(fdstore->kept);
	cleanup_close_fd(&fdstore->passed);
	free(fdstore);
}

bool fdstore_has_backend(const struct fdstore *fdstore)
{
	return fdstore && fdstore->store.add;
}

static void store_add(const struct fdstore *fdstore, const char *name, int fd)
{
	if (fdstore->store.add)
		fdstore->store.add(name, fd);
}

static void store_remove(struct fdstore *fdstore, const char *name)
{
	if (!fdstore->store.remove)
		return;
	fdstore->store.remove(name);
	fdstore->removing = true;
}

bool fdstore_flush(struct fdstore *fdstore)
{
	if (!fdstore || !fdstore->removing || !fdstore->store.flush)
		return false;
	fdstore->store.flush();
	fdstore->removing = false;
	return true;
}

static int compare_fdstore_names(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

void fdstore_inherit(struct fdstore *fdstore, const char *name, int fd)
{
	struct entry *list = NULL;

	if (fdstore && strlen(name) < FDSTORE_NAME_SIZE)
		list = reallocarray(
			fdstore->inherited, fdstore->inherited_count + 1, sizeof(*list));
	if (!list) {
		log_warning("descriptor %d, inherited as '%s', is closed", fd, name);
		close(fd);
		return;
	}
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fdstore->inherited = list;
	list += fdstore->inherited_count++;
	*list = (struct entry){.fd = fd};
	strcpy(list->name, name);
}

/* One line of what fdstore_pass wrote. */
static int inherit_line(struct fdstore *fdstore, char *line, struct err *err)
{
	char *rest;
	long fd = strtol(line, &rest, 10);

	if (rest == line || *rest != ' ' || fd < 0 || fcntl((int)fd, F_GETFD) < 0)
		return err_set(err, -EPROTO, "the inherited descriptor '%s' is none", line);
	fdstore_inherit(fdstore, rest + 1, (int)fd);
	return 0;
}

int fdstore_inherit_passed(struct fdstore *fdstore, struct err *err)
{
	const char *value = getenv(FDSTORE_VARIABLE);
	cleanup_fclose FILE *file = NULL;
	cleanup_free char *line = NULL;
	size_t room = 0;
	int fd, result = 0;

	if (!fdstore || !value)
		return 0;
	if (strncmp(value, FORMAT ":", strlen(FORMAT) + 1) != 0)
		return err_set(err, -EPROTO,
			"$" FDSTORE_VARIABLE
			" is '%s', which another version writes; stop socketboxd and start it instead",
			value);
	fd = (int)strtol(value + strlen(FORMAT) + 1, NULL, 10);
	unsetenv(FDSTORE_VARIABLE);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) || lseek(fd, 0, SEEK_SET))
		return err_errno(err, -errno, "reading $" FDSTORE_VARIABLE);
	file = fdopen(fd, "r");
	if (!file)
		return err_errno(err, -errno, "reading $" FDSTORE_VARIABLE);
	while (!result && getline(&line, &room, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		result = inherit_line(fdstore, line, err);
	}
	return result;
}

static void remove_inherited(struct fdstore *fdstore, size_t i)
{
	memmove(&fdstore->inherited[i], &fdstore->inherited[i + 1],
		(--fdstore->inherited_count - i) * sizeof(struct entry));
}

int fdstore_take(struct fdstore *fdstore, const char *name)
{
	for (size_t i = 0; fdstore && i < fdstore->inherited_count; i++) {
		int fd = fdstore->inherited[i].fd;

		if (strcmp(fdstore->inherited[i].name, name) != 0)
			continue;
		remove_inherited(fdstore, i);
		return fd;
	}
	return -1;
}

void fdstore_visit_inherited(struct fdstore *fdstore, const char *prefix,
	void (*visit)(void *context, const char *name, int *fd), void *context)
{
	if (!fdstore || !fdstore->inherited_count)
		return;
	qsort(fdstore->inherited, fdstore->inherited_count, sizeof(struct entry),
		compare_fdstore_names);
	for (size_t i = 0; i < fdstore->inherited_count; i++) {
		struct entry *entry = &fdstore->inherited[i];

		if (!strncmp(entry->name, prefix, strlen(prefix)))
			visit(context, entry->name, &entry->fd);
	}
	for (size_t i = fdstore->inherited_count; i-- > 0;) {
		if (fdstore->inherited[i].fd < 0)
			remove_inherited(fdstore, i);
	}
}

void fdstore_put(struct fdstore *fdstore, int fd, const char *name)
{
	char *copy;

	if (!fdstore)
		return;
	fdstore_drop(fdstore, fd);
	if ((size_t)fd >= fdstore->kept_size) {
		size_t size = (size_t)fd * 2 + 64;
		char **kept = reallocarray(fdstore->kept, size, sizeof(*kept));

		if (!kept)
			return;
		memset(kept + fdstore->kept_size, 0, (size - fdstore->kept_size) * sizeof(*kept));
		fdstore->kept = kept;
		fdstore->kept_size = size;
	}
	copy = strdup(name);
	fdstore->kept[fd] = copy;
	if (copy)
		store_add(fdstore, name, fd);
}

void fdstore_drop(struct fdstore *fdstore, int fd)
{
	cleanup_free char *name = NULL;

	if (!fdstore || fd < 0 || (size_t)fd >= fdstore->kept_size)
		return;
	name = take_ptr(&fdstore->kept[fd]);
	if (name && fdstore->settled && !fdstore->sealed)
		store_remove(fdstore, name);
}

void fdstore_settle(struct fdstore *fdstore)
{
	if (!fdstore)
		return;
	for (size_t i = 0; i < fdstore->inherited_count; i++) {
		log_info("'%s', kept by an earlier daemon, is needed no more",
			fdstore->inherited[i].name);
		store_remove(fdstore, fdstore->inherited[i].name);
	}
	close_entries(take_ptr(&fdstore->inherited), fdstore->inherited_count);
	fdstore->inherited_count = 0;
	fdstore->settled = true;
}

void fdstore_seal(struct fdstore *fdstore)
{
	if (fdstore)
		fdstore->sealed = true;
}

const char *fdstore_endpoint(const struct addr_endpoint *endpoint, char text[FDSTORE_ENDPOINT_SIZE])
{
	for (size_t i = 0; i < sizeof(endpoint->addr.bytes); i++)
		snprintf(text + 2 * i, 3, "%02x", endpoint->addr.bytes[i]);
	snprintf(text + 32, 5, "%04x", endpoint->port);
	return text;
}

int fdstore_read_endpoint(const char *text, struct addr_endpoint *endpoint)
{
	unsigned byte, port;

	if (strspn(text, "0123456789abcdef") < FDSTORE_ENDPOINT_SIZE - 1)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(endpoint->addr.bytes); i++) {
		sscanf(text + 2 * i, "%2x", &byte);
		endpoint->addr.bytes[i] = (uint8_t)byte;
	}
	sscanf(text + 32, "%4x", &port);
	endpoint->port = (uint16_t)port;
	return 0;
}

/* Fixed widths, so that the order of the names is that of the connections. */
static void name_connection(const struct fdstore_connection *connection, uint32_t sequence,
	char name[FDSTORE_NAME_SIZE])
{
	char local[FDSTORE_ENDPOINT_SIZE], remote[FDSTORE_ENDPOINT_SIZE];

	snprintf(name, FDSTORE_NAME_SIZE, CONNECTION "%06x.%08x.%04x.%s.%s.%llx", sequence,
		connection->service, connection->accepted.service_port,
		fdstore_endpoint(&connection->accepted.local, local),
		fdstore_endpoint(&connection->accepted.remote, remote),
		(unsigned long long)connection->receiver);
}

static int read_connection(const char *name, struct fdstore_connection *connection)
{
	char local[FDSTORE_ENDPOINT_SIZE], remote[FDSTORE_ENDPOINT_SIZE];
	unsigned long long receiver;
	unsigned service, port;

	if (sscanf(name, CONNECTION "%*6x.%8x.%4x.%36[0-9a-f].%36[0-9a-f].%llx", &service, &port,
		    local, remote, &receiver) != 5 ||
		fdstore_read_endpoint(local, &connection->accepted.local) ||
		fdstore_read_endpoint(remote, &connection->accepted.remote))
		return -EINVAL;
	connection->accepted.service_port = (uint16_t)port;
	connection->service = service;
	connection->receiver = receiver;
	return 0;
}

int fdstore_put_in_flight(struct fdstore *fdstore, const char *name, int *fd)
{
	struct entry *entry;

	if (fdstore->in_flight_count == fdstore->in_flight_room) {
		size_t room = fdstore->in_flight_room ? fdstore->in_flight_room * 2 : 16;
		struct entry *list = reallocarray(fdstore->in_flight, room, sizeof(*list));

		if (!list)
			return -ENOMEM;
		fdstore->in_flight = list;
		fdstore->in_flight_room = room;
	}
	entry = &fdstore->in_flight[fdstore->in_flight_count++];
	snprintf(entry->name, sizeof(entry->name), "%s", name);
	entry->fd = take_fd(fd);
	store_add(fdstore, entry->name, entry->fd);
	return 0;
}

void fdstore_put_connection(struct fdstore *fdstore, struct fdstore_connection *connection)
{
	char name[FDSTORE_NAME_SIZE];

	if (!fdstore)
		return;
	name_connection(connection, fdstore->sequence++, name);
	if (fdstore_put_in_flight(fdstore, name, &connection->accepted.fd))
		accepted_refuse(&connection->accepted);
}

void fdstore_take_back(struct fdstore *fdstore)
{
	if (!fdstore)
		return;
	for (size_t i = 0; i < fdstore->in_flight_count; i++)
		fdstore_inherit(
			fdstore, fdstore->in_flight[i].name, take_fd(&fdstore->in_flight[i].fd));
	fdstore->in_flight_count = 0;
}

struct given_visit {
	struct fdstore *fdstore;
	void (*visit)(void *context, const char *name, int fd);
	void *context;
};

/* Whoever has a connection ends it by closing it: no copy may be left behind. */
static void visit_given(void *context, const char *name, int *fd)
{
	struct given_visit *visit = context;

	store_remove(visit->fdstore, name);
	visit->visit(visit->context, name, take_fd(fd));
}

void fdstore_visit_in_flight(struct fdstore *fdstore, const char *prefix,
	void (*visit)(void *context, const char *name, int fd), void *context)
{
	struct given_visit all = {fdstore, visit, context};

	fdstore_visit_inherited(fdstore, prefix, visit_given, &all);
}

struct connections_visit {
	void (*visit)(void *context, struct fdstore_connection *connection);
	void *context;
};

static void visit_connection(void *context, const char *name, int fd)
{
	const struct connections_visit *visit = context;
	struct fdstore_connection connection = {.accepted.fd = fd};

	if (read_connection(name, &connection))
		cleanup_close_fd(&connection.accepted.fd);
	else
		visit->visit(visit->context, &connection);
}

void fdstore_visit_connections(struct fdstore *fdstore,
	void (*visit)(void *context, struct fdstore_connection *connection), void *context)
{
	struct connections_visit all = {visit, context};

	fdstore_visit_in_flight(fdstore, CONNECTION, visit_connection, &all);
}

/* Calls with every descriptor that is to stay open, or not to any more. */
static void set_inheritable(struct fdstore *fdstore, bool inheritable)
{
	int flags = inheritable ? 0 : FD_CLOEXEC;

	for (size_t fd = 0; fd < fdstore->kept_size; fd++) {
		if (fdstore->kept[fd])
			fcntl((int)fd, F_SETFD, flags);
	}
	for (size_t i = 0; i < fdstore->in_flight_count; i++)
		fcntl(fdstore->in_flight[i].fd, F_SETFD, flags);
	fcntl(fdstore->passed, F_SETFD, flags);
}

static int write_down(const struct fdstore *fdstore)
{
	for (size_t fd = 0; fd < fdstore->kept_size; fd++) {
		if (fdstore->kept[fd] &&
			dprintf(fdstore->passed, "%zu %s\n", fd, fdstore->kept[fd]) < 0)
			return -errno;
	}
	for (size_t i = 0; i < fdstore->in_flight_count; i++) {
		if (dprintf(fdstore->passed, "%d %s\n", fdstore->in_flight[i].fd,
			    fdstore->in_flight[i].name) < 0)
			return -errno;
	}
	return 0;
}

int fdstore_pass(struct fdstore *fdstore, char value[32], struct err *err)
{
	int result;

	fdstore->passed = memfd_create("socketbox-fdstore", MFD_CLOEXEC);
	if (fdstore->passed < 0)
		return err_errno(err, -errno, "memfd_create");
	result = write_down(fdstore);
	if (result) {
		cleanup_close_fd(&fdstore->passed);
		return err_errno(err, result, "writing down what the next program inherits");
	}
	snprintf(value, 32, FORMAT ":%d", fdstore->passed);
	set_inheritable(fdstore, true);
	return 0;
}

void fdstore_unpass(struct fdstore *fdstore)
{
	if (fdstore->passed < 0)
		return;
	set_inheritable(fdstore, false);
	cleanup_close_fd(&fdstore->passed);
}
