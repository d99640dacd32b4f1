/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether an address is this machine's. */
#ifndef SOCKETBOX_RELAY_OWN_ADDRESS_H
#define SOCKETBOX_RELAY_OWN_ADDRESS_H

#include "common/addr.h"

/*
 * Asks the kernel's routing tables (rtnetlink(7)) what the address is in this network namespace:
 * 1 where packets to it stay on this machine or go to more than one, 0 where they go to another,
 * or -errno; -ENETUNREACH where they go nowhere. Getting a list of addresses would not do, since
 * whole prefixes can be local. Needs a descriptor for the time of the call.
 */
int own_address_is(const struct addr *addr);

#endif
