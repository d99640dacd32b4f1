/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Route matching, written once for the kernel engine (compiled into BPF) and for user space: tuple
 * space search over one immutable array of 64-byte cells.
 *
 *   cell 0                the header
 *   shapes                which bits of a packet a group of routes tests, lowest route number first
 *   routes                what to do, by route number
 *   buckets               per shape a power of two of them: an open-addressed hash table
 *
 * A lookup masks the packet's key with each shape, probes that shape's table, and keeps the lowest
 * route number; it stops at the first shape whose lowest route is above the best found. The cost
 * grows with the number of shapes, not of routes. daemon/table.c builds the array and guarantees
 * what the loops here rely on: at most MATCH_MAX_SHAPES shapes and MATCH_MAX_PROBES probes.
 */
#ifndef SOCKETBOX_COMMON_MATCH_H
#define SOCKETBOX_COMMON_MATCH_H

#include <linux/types.h>

#define MATCH_VERSION	 1
#define MATCH_MAX_SHAPES 192
#define MATCH_MAX_PROBES 16
#define MATCH_WORDS	 5
#define MATCH_MAX_ROUTES 0xffffffu   /* their numbers are below it */
#define MATCH_NONE	 0xffffffffu /* no route; also what marks an empty bucket */

/*
 * What a packet is matched by, and what a bucket holds: the local address, the remote address, and
 * one word made by match_ports_word. Addresses are 16 bytes in network order (IPv4 as
 * ::ffff:a.b.c.d), copied into the words as they are: masks are made the same way, so byte order
 * never matters.
 */
struct match_key {
	__u64 word[MATCH_WORDS];
};

/* Ports in host order, both included; all zero: none. */
struct match_span {
	__u16 first, last;
};

struct match_header {
	__u32 version;
	__u32 shape_count;
	__u32 route_base; /* index of the first route cell */
	__u32 route_count;
	__u32 bucket_base;
	__u32 bucket_count;
	__u32 counters; /* which of the two counter arrays counts for this table */
	__u32 generation;
	/* Holds all ports that some service may have by a grant: only for these it is looked
	 * whether a granted socket comes before the routes. */
	struct match_span granted_tcp, granted_udp;
};

struct match_shape {
	struct match_key mask;
	__u32 base;	   /* index of the shape's first bucket cell */
	__u32 slot_mask;   /* number of its buckets less one */
	__u32 first_route; /* the lowest route number in it */
	__u32 probes;	   /* the longest probe sequence in it */
};

struct match_bucket {
	struct match_key key;
	__u32 route; /* number, or MATCH_NONE */
	__u32 pad;
};

enum match_action {
	MATCH_PASS,    /* the host's own sockets */
	MATCH_SERVICE, /* a service's socket; refused if it has none */
	MATCH_RESET,   /* refuse with RST or ICMP port unreachable */
	MATCH_SILENT,  /* refuse by dropping */
	MATCH_NAMED,   /* the TLS name decides, which the daemon's listener will see */
	MATCH_DRAINED, /* of a service that is being drained: refused like one without a socket */
};

struct match_route {
	__u32 action;
	__u32 service;	   /* identifier, see service_id() */
	__u16 target_port; /* host order; 0: the packet's own */
	__u16 pad;
	__u32 pad2;
	__u64 identity; /* hash of what the route says: counters follow it across reloads */
};

union match_cell {
	struct match_header header;
	struct match_shape shape;
	struct match_route route;
	struct match_bucket bucket;
	__u8 size[64];
};

_Static_assert(sizeof(union match_cell) == 64, "cells are part of the pinned map's layout");

#ifdef __bpf__
/* The table is an array map there. */
static __always_inline union match_cell *match_cell(void *table, __u32 index)
{
	return bpf_map_lookup_elem(table, &index);
}
#else
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
static __always_inline union match_cell *match_cell(void *table, __u32 index)
{
	return (union match_cell *)table + index;
}
#endif

/* family is 4 or 6, so that "::/0" does not match IPv4; port is in host order. */
static __always_inline __u64 match_ports_word(__u16 port, __u8 protocol, __u8 family)
{
	return (__u64)port | (__u64)protocol << 16 | (__u64)family << 24;
}

/* The number of a TLS server name, 0 for none, in the same word: only the daemon knows it. */
static __always_inline __u64 match_name_bits(__u32 name)
{
	return (__u64)name << 32;
}

static __always_inline __u32 match_hash(const struct match_key *key)
{
	__u64 hash = 0;

	for (int i = 0; i < MATCH_WORDS; i++) {
		hash = (hash ^ key->word[i]) * 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 29;
	}
	hash *= 0xbf58476d1ce4e5b9ull;
	return (__u32)(hash >> 32);
}

static __always_inline int match_key_equal(const struct match_key *a, const struct match_key *b)
{
	__u64 different = 0;

	for (int i = 0; i < MATCH_WORDS; i++)
		different |= a->word[i] ^ b->word[i];
	return !different;
}

/* In what match_probe returns: no shape after this one can have a lower route. */
#define MATCH_STOP (1ull << 32)

/* The lower of `best` and the number of the first route in shape number s that matches; the table
 * must have that shape. */
static __always_inline __u64 match_probe(
	void *table, const struct match_key *packet, __u32 s, __u32 best)
{
	union match_cell *cell = match_cell(table, 1 + s);
	struct match_shape *shape;
	struct match_key key;
	__u32 slot;

	if (!cell)
		return best | MATCH_STOP;
	shape = &cell->shape;
	if (shape->first_route >= best)
		return best | MATCH_STOP;
	for (int i = 0; i < MATCH_WORDS; i++)
		key.word[i] = packet->word[i] & shape->mask.word[i];
	slot = match_hash(&key);
	for (__u32 probe = 0; probe < MATCH_MAX_PROBES; probe++) {
		union match_cell *bucket;

		if (probe >= shape->probes)
			break;
		bucket = match_cell(table, shape->base + ((slot + probe) & shape->slot_mask));
		if (!bucket || bucket->bucket.route == MATCH_NONE)
			break;
		if (match_key_equal(&bucket->bucket.key, &key))
			return bucket->bucket.route < best ? bucket->bucket.route : best;
	}
	return best;
}

#ifndef __bpf__
/* The number of the first route that matches, or MATCH_NONE. The kernel engine has a loop of its
 * own, around match_probe as a function that the verifier looks at once. */
static inline __u32 match_find(void *table, const struct match_key *packet)
{
	__u32 best = MATCH_NONE, count = match_cell(table, 0)->header.shape_count;

	for (__u32 s = 0; s < count; s++) {
		__u64 found = match_probe(table, packet, s, best);

		best = (__u32)found;
		if (found & MATCH_STOP)
			break;
	}
	return best;
}
#endif

/* The route cell of a number that match_find returned; NULL only in BPF, for the verifier. */
static __always_inline struct match_route *match_route(void *table, __u32 number)
{
	union match_cell *header = match_cell(table, 0);
	union match_cell *cell;

	if (!header || number >= header->header.route_count)
		return 0;
	cell = match_cell(table, header->header.route_base + number);
	return cell ? &cell->route : 0;
}

#endif
