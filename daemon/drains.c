// SPDX-License-Identifier: BSD-2-Clause
// A list, since there are few.
#include "daemon/drains.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/cleanup.h"

#define DRAIN "drain."

struct drain {
	uint32_t service;
	uint32_t begun; /* the generation that it began */
	int fd;		/* what the fdstore keeps; -1 until drains_restore */
	struct drain *next;
};

struct drains {
	struct fdstore *fdstore;
	struct drain *first;
	uint32_t generation;
};

static struct drain **find_drain(const struct drains *drains, uint32_t service)
{
	struct drain *const *link = &drains->first;

	while (*link && (*link)->service != service)
		link = &(*link)->next;
	return (struct drain **)link;
}

static struct drain *add_drain(struct drains *drains, uint32_t service)
{
	struct drain *drain = calloc(1, sizeof(*drain));

	if (!drain)
		return NULL;
	*drain = (struct drain){
		.service = service,
		.begun = drains->generation,
		.fd = -1,
		.next = drains->first,
	};
	drains->first = drain;
	return drain;
}

static struct drain *take_drain(struct drain **link)
{
	struct drain *drain = *link;

	*link = drain->next;
	return drain;
}

void drains_drop(struct drains *drains, struct drain *drain)
{
	fdstore_drop(drains->fdstore, drain->fd);
	cleanup_close_fd(&drain->fd);
	free(drain);
}

static bool read_drain_name(const char *name, uint32_t *service)
{
	unsigned number;

	if (sscanf(name, DRAIN "%8x", &number) != 1)
		return false;
	*service = number;
	return true;
}

static void keep_drain(struct drains *drains, struct drain *drain)
{
	char name[FDSTORE_NAME_SIZE];

	snprintf(name, sizeof(name), DRAIN "%08x", drain->service);
	fdstore_put(drains->fdstore, drain->fd, name);
}

static void note_drain(void *context, const char *name, int *fd)
{
	struct drains *drains = context;
	uint32_t service;

	(void)fd;
	/* Whatever the earlier daemon had in hand came in generation 0. */
	drains->generation = 1;
	if (read_drain_name(name, &service) && !*find_drain(drains, service))
		add_drain(drains, service);
}

struct drains *drains_new(struct fdstore *fdstore)
{
	struct drains *drains = calloc(1, sizeof(*drains));

	if (!drains)
		return NULL;
	drains->fdstore = fdstore;
	fdstore_visit_inherited(fdstore, DRAIN, note_drain, drains);
	return drains;
}

void drains_free(struct drains *drains)
{
	if (!drains)
		return;
	while (drains->first)
		drains_drop(drains, take_drain(&drains->first));
	free(drains);
}

void drains_configure(struct drains *drains, const struct config *config)
{
	struct drain **link = &drains->first;

	while (*link) {
		if (config_service_by_id(config, (*link)->service))
			link = &(*link)->next;
		else
			drains_drop(drains, take_drain(link));
	}
}

static void restore_drain(void *context, const char *name, int *fd)
{
	struct drains *drains = context;
	struct drain *drain;
	uint32_t service;

	drain = read_drain_name(name, &service) ? *find_drain(drains, service) : NULL;
	if (!drain || drain->fd >= 0)
		return;
	drain->fd = take_fd(fd);
	keep_drain(drains, drain);
}

void drains_restore(struct drains *drains)
{
	fdstore_visit_inherited(drains->fdstore, DRAIN, restore_drain, drains);
}

int drains_begin(struct drains *drains, uint32_t service, struct err *err)
{
	cleanup_close int fd = memfd_create("socketbox-drain", MFD_CLOEXEC);
	struct drain *drain;

	if (fd < 0)
		return err_errno(err, -errno, "beginning a drain: memfd_create");
	drains->generation++;
	drain = add_drain(drains, service);
	if (!drain)
		return err_errno(err, -ENOMEM, "beginning a drain");
	drain->fd = take_fd(&fd);
	keep_drain(drains, drain);
	return 0;
}

struct drain *drains_take(struct drains *drains, uint32_t service)
{
	return take_drain(find_drain(drains, service));
}

void drains_put_back(struct drains *drains, struct drain *drain)
{
	drain->next = drains->first;
	drains->first = drain;
}

bool drains_has(const struct drains *drains, uint32_t service)
{
	return *find_drain(drains, service) != NULL;
}

uint32_t drains_generation(const struct drains *drains)
{
	return drains->generation;
}

uint32_t drains_begun(const struct drains *drains, uint32_t service)
{
	const struct drain *drain = *find_drain(drains, service);

	return drain ? drain->begun : UINT32_MAX;
}
