/* SPDX-License-Identifier: BSD-2-Clause */
/* What has changed between two looks at the daemon's status, in an order. Pure. */
#ifndef SOCKETBOX_CLI_TOP_RATES_H
#define SOCKETBOX_CLI_TOP_RATES_H

#include "cli/status_model.h"

struct rates_row {
	const struct status_model_service *service; /* of a service */
	const struct status_model_route *route;	    /* of a route */
	double decided, no_socket;		    /* per second */
};

struct rates {
	struct rates_row *services, *routes;
	size_t service_count, route_count;
	double decided, no_socket; /* of all routes */
};

enum rates_order { RATES_BY_DECIDED, RATES_BY_NO_SOCKET, RATES_BY_WAITING, RATES_BY_NAME };

/* What `now` has and `before` had not is taken to have begun at 0, as have counts that have become
 * less, since their daemon began anew. The rows point into `now`. -ENOMEM. */
int rates_compute(const struct status_model *before, const struct status_model *now, double seconds,
	struct rates *rates);
void rates_fini(struct rates *rates);

/* The highest first; names, and routes where they do not differ, as the configuration has them. */
void rates_sort(struct rates *rates, enum rates_order order);

#endif
