/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon's status, read into numbers: for the subcommands that show it to people. */
#ifndef SOCKETBOX_CLI_STATUS_MODEL_H
#define SOCKETBOX_CLI_STATUS_MODEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

#define STATUS_MODEL_TEXT_SIZE 1024

/* Texts belong to the view's status. */
struct status_model_service {
	const char *name, *delivery;
	const json_t *object;	       /* all that the status says of it */
	const json_t *draining;	       /* what is left of it; NULL: it is in use */
	json_int_t lookups, no_socket; /* of all its routes */
	json_int_t backlog;	       /* connections to be accepted */
	json_int_t in_hand;  /* accepted by the daemon, and not with the service, or relayed */
	json_int_t programs; /* that the daemon started, and run */
	json_int_t claimants;
};

struct status_model_route {
	const char *text, *service; /* service is NULL where the route has none */
	const json_t *object;
	json_int_t lookups, no_socket;
};

struct status_model {
	json_t *status;
	struct status_model_service *services; /* in the order of the configuration */
	size_t service_count;
	struct status_model_route *routes;
	size_t route_count;
};

/* Asks the daemon. The view is the caller's, to be freed with status_model_fini. */
int status_model_read(const char *path, struct status_model *model, struct err *err);
void status_model_fini(struct status_model *model); /* of one that is all zero, too */

/* "engine kernel: BPF is available, Linux 6.1"; returns text. */
const char *status_model_engine(
	const struct status_model *model, char text[STATUS_MODEL_TEXT_SIZE]);

/* What is left of a service that is being drained, as "3 connections to be accepted, 1 program", or
 * "nothing"; returns text. */
const char *status_model_left(const json_t *draining, char text[STATUS_MODEL_TEXT_SIZE]);

/* True if that is nothing. */
bool status_model_is_empty(const json_t *draining);

#endif
