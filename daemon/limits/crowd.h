/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bounded set of things that wait or stay, such as connections, each of which belongs to
 * somebody: to the source address of a client, or to a user. Where there are too many, the one that
 * has to go belongs to whom most of them belong to: so a flood of one source costs that source
 * only.
 *
 * Who has most is found from the widest group to the narrowest: an IPv6 client counts with its /48,
 * in that with its /56, and in that with its /64; an IPv4 client with its /24 and in that by its
 * address; a process with the owner of its subordinate uids and in that with its uid. Somebody who
 * has many addresses of one network has no more than that network's share by it.
 *
 * Adding and removing take O(log n) steps, and so does finding the one to go. Not thread-safe.
 */
#ifndef SOCKETBOX_DAEMON_CROWD_H
#define SOCKETBOX_DAEMON_CROWD_H

#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "common/addr.h"
#include "daemon/limits/heap.h"

#define CROWD_LEVELS 3

/* One group. Compared byte by byte. */
struct crowd_key {
	uint8_t bytes[16];
	uint8_t kind;	/* what the bytes are: enum crowd_kind of crowd_path.c */
	uint8_t length; /* of a prefix, in bits */
	uint8_t zero[6];
};

/* The groups of an item, the widest first. */
struct crowd_path {
	unsigned depth; /* 1 to CROWD_LEVELS */
	struct crowd_key keys[CROWD_LEVELS];
};

/* crowd_path.c. Addresses that NAT64 embeds in 64:ff9b::/96 (RFC 6052) are IPv4 clients. */
void crowd_path_of_source(const struct addr *source, struct crowd_path *out);
void crowd_path_of_user(uid_t account, uid_t uid, struct crowd_path *out);

struct crowd_group;

/* Embedded in the thing. Zero-initialise; its memory stays the caller's. */
struct crowd_item {
	struct crowd_group *groups[CROWD_LEVELS]; /* [0] is NULL while it is in no crowd */
	TAILQ_ENTRY(crowd_item) links[CROWD_LEVELS];
	uint64_t number; /* the order in which they came */
	unsigned depth;
};

/* Which item of the greediest goes, and among groups that have the same number, whose. */
enum crowd_order {
	CROWD_OLDEST, /* for those that should have said something by now */
	CROWD_NEWEST, /* for those that are in use: nobody's work is ended for a newcomer with as
			 many, who may be the one to go */
};

/* Initialise by crowd_init; read the counts freely. */
struct crowd {
	unsigned limit;	    /* of all items */
	unsigned key_limit; /* of the items of one narrowest group: an address, a /64, a uid */
	unsigned count;
	uint64_t displaced;	/* items that had to go because all were too many */
	uint64_t key_displaced; /* because those of one key were too many */
	enum crowd_order order;
	uint64_t next_number;
	struct crowd_group *by_key;
	struct heap groups; /* the widest, the greediest first */
};

void crowd_init(struct crowd *crowd, enum crowd_order order, unsigned limit, unsigned key_limit);

/* Forgets all items without touching them. */
void crowd_fini(struct crowd *crowd);

/* Both limits are at least 1. Lower ones end nothing by themselves: see crowd_find_excess. */
void crowd_set_limits(struct crowd *crowd, unsigned limit, unsigned key_limit);

/*
 * Adds the item. *excess is the item that has to go now, which the caller ends and removes by
 * crowd_remove, or NULL. With CROWD_OLDEST it is never the one that has been added. -ENOMEM: the
 * item is not in the crowd.
 */
int crowd_add(struct crowd *crowd, struct crowd_item *item, const struct crowd_path *path,
	struct crowd_item **excess);

/* Does nothing to an item that is in no crowd. */
void crowd_remove(struct crowd *crowd, struct crowd_item *item);

/* The item that has to go because there are more than the limit, as after it was lowered, and
 * counts it as displaced; NULL: there are not. */
struct crowd_item *crowd_find_excess(struct crowd *crowd);

/* The item that would go if one had to; NULL: there is none. Counts nothing. */
struct crowd_item *crowd_find_greediest(const struct crowd *crowd);

/* How many items the narrowest group of the item has. */
unsigned crowd_count_of(const struct crowd_item *item);

#endif
