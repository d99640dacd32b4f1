// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// The kernel engine. steer decides, for every new TCP connection and every packet without a
// connected UDP socket, which socket takes it; explain is the same decision asked by a person;
// guard keeps a wildcard UDP socket to its routes; migrate saves the backlog of a closing
// SO_REUSEPORT socket.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/steer_maps.h"
#include "common/match.h"

#define AF_INET	 2
#define AF_INET6 10

/* Where the last argument of probe_shape has what. */
#define ROUTE_SHIFT 32
#define SHAPE_SHIFT 56

/* The route table in force: replaced whole by pointing this at another inner map, so that no packet
 * sees half of a configuration. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE);
			__uint(max_entries, 1);
			__uint(key_size, sizeof(__u32));
			__uint(value_size, sizeof(union match_cell));
		});
} tables SEC(".maps");

/* The kernel has bpf_map_lookup_percpu_elem. */
const volatile bool looks_up_percpu = false;

/* Two, so that the next table's counters are in place before its table is; the header says which.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
			__uint(max_entries, 1);
			__uint(key_size, sizeof(__u32));
			__uint(value_size, sizeof(struct steer_count));
		});
} counters SEC(".maps");

/* The kernel removes an entry by itself when its socket is closed by its last holder. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, STEER_MAX_SOCKETS);
	__type(key, struct steer_key);
	__type(value, __u64);
} sockets SEC(".maps");

/* How many slots a SO_REUSEPORT group uses; keyed like sockets, with slot 0. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STEER_MAX_GROUPS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct steer_key);
	__type(value, __u32);
} groups SEC(".maps");

/* The groups whose backlogs move on, with slot 0. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STEER_MAX_GROUPS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct steer_group_address);
	__type(value, struct steer_key);
} group_addresses SEC(".maps");

/* The service that a guarded socket belongs to, by socket cookie. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STEER_MAX_GROUPS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u32);
} guards SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct steer_verdict);
} verdicts SEC(".maps");

/* An address as 16 bytes that can be read as the key's words too. */
union address {
	__u32 part[4];
	__u64 word[2];
	__u8 bytes[16];
};

static __always_inline void address_from_v4(union address *out, __u32 v4)
{
	out->word[0] = 0;
	out->part[2] = bpf_htonl(0xffff);
	out->part[3] = v4;
}

static __always_inline void key_from_packet(
	const struct bpf_sk_lookup *packet, struct match_key *key)
{
	union address local, remote;

	if (packet->family == AF_INET) {
		address_from_v4(&local, packet->local_ip4);
		address_from_v4(&remote, packet->remote_ip4);
	} else {
		local.part[0] = packet->local_ip6[0];
		local.part[1] = packet->local_ip6[1];
		local.part[2] = packet->local_ip6[2];
		local.part[3] = packet->local_ip6[3];
		remote.part[0] = packet->remote_ip6[0];
		remote.part[1] = packet->remote_ip6[1];
		remote.part[2] = packet->remote_ip6[2];
		remote.part[3] = packet->remote_ip6[3];
	}
	key->word[0] = local.word[0];
	key->word[1] = local.word[1];
	key->word[2] = remote.word[0];
	key->word[3] = remote.word[1];
	key->word[4] = match_ports_word(
		packet->local_port, packet->protocol, packet->family == AF_INET ? 4 : 6);
}

/* Not static: so it is verified by itself, and not anew for each shape. Its arguments can be five
 * numbers (memory needs Linux 5.12): the words of a packet's key, in the last of which nothing is
 * above ROUTE_SHIFT, and the best route and the shape there. */
__noinline __u64 probe_shape(__u64 word0, __u64 word1, __u64 word2, __u64 word3, __u64 rest)
{
	struct match_key packet = {.word = {word0, word1, word2, word3, (__u32)rest}};
	__u32 best = rest >> ROUTE_SHIFT & MATCH_MAX_ROUTES, zero = 0;
	void *table = bpf_map_lookup_elem(&tables, &zero);

	if (best == MATCH_MAX_ROUTES)
		best = MATCH_NONE;
	return table ? match_probe(table, &packet, rest >> SHAPE_SHIFT, best) : best | MATCH_STOP;
}

static __always_inline __u32 search_packet(const struct match_key *packet, __u32 shapes)
{
	__u32 best = MATCH_NONE;

	for (__u32 s = 0; s < MATCH_MAX_SHAPES; s++) {
		__u64 found;

		if (s >= shapes)
			break;
		found = probe_shape(packet->word[0], packet->word[1], packet->word[2],
			packet->word[3],
			packet->word[4] | (__u64)(best & MATCH_MAX_ROUTES) << ROUTE_SHIFT |
				(__u64)s << SHAPE_SHIFT);
		best = (__u32)found;
		if (found & MATCH_STOP)
			break;
	}
	return best;
}

static __always_inline union match_cell *table_in_force(void **table)
{
	__u32 zero = 0;

	*table = bpf_map_lookup_elem(&tables, &zero);
	return *table ? match_cell(*table, 0) : NULL;
}

/* The header of the table in force, NULL if there is none, and the number of the first route in it
 * that matches, or MATCH_NONE. Each probe asks for the table anew: if another one took its place
 * meanwhile, which its generation tells, the search is repeated in that. */
static __always_inline union match_cell *find_route(
	const struct match_key *packet, void **table, __u32 *route)
{
	union match_cell *header = table_in_force(table);

	if (!header)
		return NULL;
	for (int attempt = 0; attempt < 2; attempt++) {
		__u32 generation = header->header.generation;

		*route = search_packet(packet, header->header.shape_count);
		header = table_in_force(table);
		if (!header || header->header.generation == generation)
			break;
	}
	return header;
}

/* The socket of a key, held until bpf_sk_release. One that is connected (UDP) hears its peer by the
 * kernel's own lookup, and may be given nothing else. */
static __always_inline struct bpf_sock *lookup_open(struct steer_key *key)
{
	struct bpf_sock *socket = bpf_map_lookup_elem(&sockets, key);

	if (!socket || socket->state != BPF_TCP_ESTABLISHED)
		return socket;
	bpf_sk_release(socket);
	return NULL;
}

/* The same for a member of a group, or its standby socket: a TCP socket that its holder has shut
 * down takes nothing more, though it stays in the map until it is closed. */
static __always_inline struct bpf_sock *lookup_member(struct steer_key *key)
{
	struct bpf_sock *socket = lookup_open(key);

	if (!socket || key->protocol != IPPROTO_TCP || socket->state == BPF_TCP_LISTEN)
		return socket;
	bpf_sk_release(socket);
	return NULL;
}

/* The living socket that takes connections for key, held until bpf_sk_release; leaves its slot in
 * key. A group's members share by hash; one that closed is passed over. */
static __always_inline struct bpf_sock *find_packet_socket(struct steer_key *key, __u32 hash)
{
	struct bpf_sock *socket;
	__u32 *members, count;

	key->slot = STEER_SLOT_SINGLE;
	socket = lookup_open(key);
	if (socket)
		return socket;
	members = bpf_map_lookup_elem(&groups, key);
	if (!members)
		return NULL;
	count = *members;
	for (__u32 i = 0; i < STEER_MAX_MEMBERS; i++) {
		if (i >= count)
			break;
		key->slot = 1 + (hash + i) % count;
		socket = lookup_member(key);
		if (socket)
			return socket;
	}
	key->slot = STEER_SLOT_STANDBY;
	return lookup_member(key);
}

/* Gives the packet to the socket. False where the kernel refuses the pair (an IPv4 packet and an
 * IPv6-only socket, say): the packet is then refused like one without a socket. */
static __always_inline bool give_packet(struct bpf_sk_lookup *packet, struct bpf_sock *socket)
{
	/* The slot has chosen within the group already. */
	long failed = bpf_sk_assign(packet, socket, BPF_SK_LOOKUP_F_NO_REUSEPORT);

	bpf_sk_release(socket);
	return !failed;
}

static __always_inline int swallow_packet(struct bpf_sk_lookup *packet)
{
	struct steer_key key = {
		.protocol = packet->protocol,
		.family = packet->family == AF_INET ? 4 : 6,
	};
	struct bpf_sock *drop_socket = bpf_map_lookup_elem(&sockets, &key);

	if (drop_socket && give_packet(packet, drop_socket))
		return SK_PASS;
	return SK_DROP;
}

static __always_inline bool serve_packet(struct bpf_sk_lookup *packet,
	const struct match_key *packet_key, const struct match_route *route,
	struct steer_verdict *verdict)
{
	struct steer_key key = {
		.service = route->service,
		.port = route->target_port ? route->target_port : packet->local_port,
		.protocol = packet->protocol,
		.family = packet->family == AF_INET ? 4 : 6,
	};
	union address local = {.word = {packet_key->word[0], packet_key->word[1]}};
	__u32 hash = match_hash(packet_key) ^ (packet->remote_port * 0x9e3779b1u);
	struct bpf_sock *socket;

	hash ^= hash >> 16;
	__builtin_memcpy(key.address, local.bytes, sizeof(key.address));
	socket = find_packet_socket(&key, hash);
	if (!socket) {
		__builtin_memset(key.address, 0, sizeof(key.address));
		verdict->wildcard = 1;
		socket = find_packet_socket(&key, hash);
	}
	if (!socket) {
		key.port = STEER_ANY_PORT;
		key.slot = STEER_SLOT_SINGLE;
		verdict->listener = 1;
		socket = bpf_map_lookup_elem(&sockets, &key);
	}
	if (!socket)
		return false;
	/* A holder has shut it down. The daemon is about to replace it, and the client shall try
	 * again. */
	if (key.slot == STEER_SLOT_SINGLE && packet->protocol == IPPROTO_TCP &&
		socket->state != BPF_TCP_LISTEN) {
		bpf_sk_release(socket);
		return swallow_packet(packet) == SK_PASS;
	}
	verdict->slot = key.slot;
	verdict->found = give_packet(packet, socket);
	return verdict->found;
}

/* A socket made under a grant comes before every route, while it listens. */
static __always_inline bool serve_granted(struct bpf_sk_lookup *packet,
	const struct match_header *header, const struct match_key *packet_key,
	struct steer_verdict *verdict)
{
	const struct match_span *span =
		packet->protocol == IPPROTO_TCP ? &header->granted_tcp : &header->granted_udp;
	struct steer_key key = {
		.port = packet->local_port,
		.protocol = packet->protocol,
		.family = packet->family == AF_INET ? 4 : 6,
	};
	union address local = {.word = {packet_key->word[0], packet_key->word[1]}};
	struct bpf_sock *socket;

	if (key.port < span->first || key.port > span->last)
		return false;
	__builtin_memcpy(key.address, local.bytes, sizeof(key.address));
	socket = bpf_map_lookup_elem(&sockets, &key);
	if (!socket)
		return false;
	if (packet->protocol == IPPROTO_TCP && socket->state != BPF_TCP_LISTEN) {
		bpf_sk_release(socket);
		return false;
	}
	verdict->found = give_packet(packet, socket);
	verdict->slot = STEER_SLOT_GRANTED;
	return verdict->found;
}

static __always_inline void count(__u32 array, __u32 route, bool no_socket)
{
	void *inner = bpf_map_lookup_elem(&counters, &array);
	struct steer_count *counted;

	if (!inner)
		return;
	/* A plain lookup in a per-CPU array is inlined by Linux >= 6.10 with the size of the array
	 * that the program was loaded with, which is 1, whatever the size of this one. */
	counted = looks_up_percpu
			  ? bpf_map_lookup_percpu_elem(inner, &route, bpf_get_smp_processor_id())
			  : bpf_map_lookup_elem(inner, &route);
	if (!counted)
		return;
	counted->lookups++;
	counted->no_socket += no_socket;
}

/* True for what is sent to a placeholder address, where the daemon binds the TCP sockets that this
 * program finds: by the kernel's own lookup they would be found there past all routes. */
static __always_inline bool is_to_placeholder(const struct match_key *key)
{
	union address local = {.word = {key->word[0], key->word[1]}};

	if (local.word[0] == 0 && local.part[2] == bpf_htonl(0xffff))
		return local.bytes[12] == STEER_PLACEHOLDER_V4_FIRST &&
		       local.bytes[13] >= STEER_PLACEHOLDER_V4_SECOND &&
		       local.bytes[13] < STEER_PLACEHOLDER_V4_SECOND + STEER_PLACEHOLDERS;
	/* 100::/64, discard-only (RFC 6666) */
	return local.part[0] == bpf_htonl(0x01000000) && !local.part[1];
}

/* The whole decision. SK_DROP makes the kernel answer as if no socket existed: RST for TCP, ICMP
 * port unreachable for UDP (net/ipv4/inet_hashtables.c, inet_lookup_run_sk_lookup). */
static __always_inline int decide_packet(
	struct bpf_sk_lookup *packet, struct steer_verdict *verdict, bool counting)
{
	union match_cell *header;
	struct match_route *route;
	struct match_key key;
	void *table;
	int result;

	verdict->route = MATCH_NONE;
	verdict->action = MATCH_PASS;
	key_from_packet(packet, &key);
	if (packet->protocol == IPPROTO_TCP && is_to_placeholder(&key)) {
		verdict->action = MATCH_RESET;
		return SK_DROP;
	}
	header = find_route(&key, &table, &verdict->route);
	if (!header)
		return SK_PASS;
	verdict->generation = header->header.generation;
	if (serve_granted(packet, &header->header, &key, verdict)) {
		verdict->route = MATCH_NONE;
		return SK_PASS;
	}
	route = match_route(table, verdict->route);
	if (!route)
		return SK_PASS;
	verdict->action = route->action;
	verdict->service = route->service;
	switch (route->action) {
	case MATCH_SERVICE:
	case MATCH_NAMED:
		result = serve_packet(packet, &key, route, verdict) ? SK_PASS : SK_DROP;
		break;
	case MATCH_RESET:
	case MATCH_DRAINED:
		result = SK_DROP;
		break;
	case MATCH_SILENT:
		result = swallow_packet(packet);
		break;
	default:
		result = SK_PASS;
	}
	/* What the name decides is counted by who sees it. */
	if (counting && (route->action != MATCH_NAMED || result == SK_DROP))
		count(header->header.counters, verdict->route,
			result == SK_DROP && route->action != MATCH_RESET &&
				route->action != MATCH_SILENT);
	return result;
}

SEC("sk_lookup")
int steer(struct bpf_sk_lookup *packet)
{
	struct steer_verdict verdict = {};

	return decide_packet(packet, &verdict, true);
}

/* Never attached: the daemon runs it on a made-up packet (BPF_PROG_TEST_RUN). */
SEC("sk_lookup")
int explain(struct bpf_sk_lookup *packet)
{
	struct steer_verdict verdict = {};
	__u32 zero = 0;
	int result = decide_packet(packet, &verdict, false);

	bpf_map_update_elem(&verdicts, &zero, &verdict, BPF_ANY);
	return result;
}

/* Reads the addresses and the local port of the UDP packet at hand. */
static __always_inline bool key_from_buffer(struct __sk_buff *buffer, struct match_key *key)
{
	union address local, remote;
	bool v4 = buffer->protocol == bpf_htons(ETH_P_IP);
	__be16 port;
	__u32 word;

	if (v4) {
		if (bpf_skb_load_bytes_relative(buffer, 12, &word, 4, BPF_HDR_START_NET))
			return false;
		address_from_v4(&remote, word);
		if (bpf_skb_load_bytes_relative(buffer, 16, &word, 4, BPF_HDR_START_NET))
			return false;
		address_from_v4(&local, word);
	} else {
		if (bpf_skb_load_bytes_relative(buffer, 8, remote.bytes, 16, BPF_HDR_START_NET) ||
			bpf_skb_load_bytes_relative(buffer, 24, local.bytes, 16, BPF_HDR_START_NET))
			return false;
	}
	/* A UDP socket's filter sees the packet from its UDP header on. */
	if (bpf_skb_load_bytes(buffer, 2, &port, sizeof(port)))
		return false;
	key->word[0] = local.word[0];
	key->word[1] = local.word[1];
	key->word[2] = remote.word[0];
	key->word[3] = remote.word[1];
	key->word[4] = match_ports_word(bpf_ntohs(port), IPPROTO_UDP, v4 ? 4 : 6);
	return true;
}

/* Attached to a UDP socket that had to be bound to the wildcard address: drops what no route gives
 * to the socket's service, which the normal lookup would deliver. */
SEC("socket")
int guard(struct __sk_buff *buffer)
{
	struct bpf_sock *socket = buffer->sk;
	__u64 cookie = bpf_get_socket_cookie(buffer);
	__u32 *service = bpf_map_lookup_elem(&guards, &cookie);
	struct match_route *route;
	struct match_key key;
	__u32 number;
	void *table;

	/* One that its holder has connected hears its peer alone, whatever the routes say since. */
	if (socket && socket->state == BPF_TCP_ESTABLISHED)
		return buffer->len;
	if (!service || !key_from_buffer(buffer, &key) || !find_route(&key, &table, &number))
		return 0;
	route = match_route(table, number);
	if (!route || route->action != MATCH_SERVICE || route->service != *service)
		return 0;
	return buffer->len;
}

/* Volatile, since loads that the compiler chooses between or puts off become pointer arithmetic on
 * a socket, which the verifier refuses. */
static __always_inline void group_address_of(
	const volatile struct bpf_sock *socket, struct steer_group_address *group_address)
{
	__u32 v4 = socket->src_ip4, family = socket->family;
	union address local;

	local.part[0] = socket->src_ip6[0];
	local.part[1] = socket->src_ip6[1];
	local.part[2] = socket->src_ip6[2];
	local.part[3] = socket->src_ip6[3];
	if (family == AF_INET)
		address_from_v4(&local, v4);
	__builtin_memcpy(group_address->address, local.bytes, sizeof(group_address->address));
	group_address->port = (__u16)socket->src_port;
	group_address->family = (__u16)family;
}

/* Attached to a SO_REUSEPORT group, it moves the connections that wait in a closing socket's
 * backlog to another one of the group (Linux >= 5.14): to a member, or where none lives, to the
 * standby. Left to itself the kernel could pick the standby always, and wakes nobody when it moves
 * a connection, so that the daemon would not learn of it. */
SEC("sk_reuseport/migrate")
int migrate(struct sk_reuseport_md *packet)
{
	struct steer_group_address group_address;
	struct steer_key *group, key;
	__u32 *members, count;

	group_address_of(packet->sk, &group_address);
	group = bpf_map_lookup_elem(&group_addresses, &group_address);
	if (!group)
		return SK_PASS;
	key = *group;
	members = bpf_map_lookup_elem(&groups, &key);
	count = members ? *members : 0;
	for (__u32 i = 0; i < STEER_MAX_MEMBERS; i++) {
		if (i >= count)
			break;
		key.slot = 1 + (packet->hash + i) % count;
		if (!bpf_sk_select_reuseport(packet, &sockets, &key, 0))
			return SK_PASS;
	}
	key.slot = STEER_SLOT_STANDBY;
	bpf_sk_select_reuseport(packet, &sockets, &key, 0);
	return SK_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
