// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// The confinement: what others than the daemon may do with the sockets that it gives away. The
// programs are attached to the cgroup in which the daemon makes its sockets; the kernel runs them
// for those sockets, and the connections accepted from them, whoever uses them and wherever.
#include <linux/bpf.h>
#include <linux/in.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/confinement_maps.h"

#define SOCK_DGRAM 2
#define SOL_SOCKET 1
#define REFUSE	   0
#define ALLOW	   1

/* Of <asm/socket.h>, which cannot be included here. */
#define SO_BINDTOIFINDEX 62

/* An interface that no host has. */
#define NOWHERE 0x7fffffff

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct confinement_owner);
} owner SEC(".maps");

/* Sockets that may connect and send to whom they want, but to the host itself by its loopback. An
 * entry ends with its socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} may_connect SEC(".maps");

/* The services of UDP sockets. What one socket of a service has heard, others may answer: servers
 * take their clients to sockets of their own, as by TFTP and QUIC. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} services SEC(".maps");

/* Services that routes give loopback addresses. The others have no business there, whoever asks. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CONFINEMENT_MAX_SERVICES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} on_loopback SEC(".maps");

/* Sockets that the daemon has bound; connections accepted from them are not among these. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} bound SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CONFINEMENT_MAX_PEERS);
	__type(key, struct confinement_peer);
	__type(value, __u32);
} peers SEC(".maps");

static __always_inline bool is_owner(void)
{
	__u32 zero = 0;
	struct confinement_owner *who = bpf_map_lookup_elem(&owner, &zero);

	/* A process number alone would pass to a stranger after the daemon's end. */
	return who && who->tgid && who->tgid == bpf_get_current_pid_tgid() >> 32 &&
	       who->cgroup == bpf_get_current_cgroup_id();
}

/* Run once by the daemon (BPF_PROG_TEST_RUN), which cannot know its own number in a process
 * namespace. */
SEC("raw_tp")
int enroll(void *context)
{
	struct confinement_owner me = {
		.cgroup = bpf_get_current_cgroup_id(),
		.tgid = bpf_get_current_pid_tgid() >> 32,
	};
	__u32 zero = 0;

	(void)context;
	bpf_map_update_elem(&owner, &zero, &me, BPF_ANY);
	return 0;
}

static __always_inline __u64 listener_of(struct bpf_sock_addr *call)
{
	struct bpf_sock *socket = call->sk;
	__u32 *service = socket ? bpf_sk_storage_get(&services, socket, 0, 0) : NULL;

	return service ? CONFINEMENT_SERVICE | *service : bpf_get_socket_cookie(call);
}

static __always_inline void peer_v4(struct bpf_sock_addr *call, struct confinement_peer *peer)
{
	__u32 v4 = call->user_ip4;

	peer->listener = listener_of(call);
	peer->address[2] = bpf_htonl(0xffff);
	peer->address[3] = v4;
	peer->port = (__u16)call->user_port;
}

static __always_inline void peer_v6(struct bpf_sock_addr *call, struct confinement_peer *peer)
{
	peer->listener = listener_of(call);
	peer->address[0] = call->user_ip6[0];
	peer->address[1] = call->user_ip6[1];
	peer->address[2] = call->user_ip6[2];
	peer->address[3] = call->user_ip6[3];
	peer->port = (__u16)call->user_port;
}

static __always_inline bool is_lifted(struct bpf_sock_addr *call)
{
	struct bpf_sock *socket = call->sk;

	return socket && bpf_sk_storage_get(&may_connect, socket, 0, 0);
}

/* An unspecified address leads to loopback too. */
static __always_inline bool is_loopback(const struct confinement_peer *peer)
{
	__u32 last = peer->address[3];

	if (peer->address[0] || peer->address[1])
		return false;
	if (peer->address[2] == bpf_htonl(0xffff))
		return !last || (last & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
	return !peer->address[2] && (!last || last == bpf_htonl(1));
}

static __always_inline bool serves_loopback(struct bpf_sock_addr *call)
{
	struct bpf_sock *socket = call->sk;
	__u32 *service = socket ? bpf_sk_storage_get(&services, socket, 0, 0) : NULL;

	return service && bpf_map_lookup_elem(&on_loopback, service);
}

/* Lifted sockets may go anywhere but to loopback. All answer whom they have heard, by UDP alone. */
static __always_inline int check_destination(
	struct bpf_sock_addr *call, const struct confinement_peer *peer)
{
	bool loopback = is_loopback(peer);

	if (is_lifted(call) && !loopback)
		return ALLOW;
	if (loopback && !serves_loopback(call))
		return REFUSE;
	return call->type == SOCK_DGRAM && bpf_map_lookup_elem(&peers, peer) ? ALLOW : REFUSE;
}

static __always_inline int judge_v4(struct bpf_sock_addr *call)
{
	struct confinement_peer peer = {};

	if (is_owner())
		return ALLOW;
	peer_v4(call, &peer);
	return check_destination(call, &peer);
}

static __always_inline int judge_v6(struct bpf_sock_addr *call)
{
	struct confinement_peer peer = {};

	if (is_owner())
		return ALLOW;
	peer_v6(call, &peer);
	return check_destination(call, &peer);
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *call)
{
	return judge_v4(call);
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *call)
{
	return judge_v6(call);
}

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *call)
{
	return judge_v4(call);
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *call)
{
	return judge_v6(call);
}

/* Lifted sockets too: they are given bound, and stay where they are. */
static __always_inline int judge_bind(struct bpf_sock_addr *call)
{
	struct bpf_sock *socket = call->sk;

	if (!is_owner())
		return REFUSE;
	if (socket)
		bpf_sk_storage_get(&bound, socket, 0, BPF_SK_STORAGE_GET_F_CREATE);
	return ALLOW;
}

SEC("cgroup/bind4")
int bind4(struct bpf_sock_addr *call)
{
	return judge_bind(call);
}

SEC("cgroup/bind6")
int bind6(struct bpf_sock_addr *call)
{
	return judge_bind(call);
}

/* Run where a received packet's source is told to the program, which needs it to answer. Looking up
 * marks an entry as used: those in use stay when the map is full. */
static __always_inline void hear_peer(struct confinement_peer *peer)
{
	__u32 one = 1;

	if (!bpf_map_lookup_elem(&peers, peer))
		bpf_map_update_elem(&peers, peer, &one, BPF_ANY);
}

SEC("cgroup/recvmsg4")
int recvmsg4(struct bpf_sock_addr *call)
{
	struct confinement_peer peer = {};

	peer_v4(call, &peer);
	hear_peer(&peer);
	return ALLOW;
}

SEC("cgroup/recvmsg6")
int recvmsg6(struct bpf_sock_addr *call)
{
	struct confinement_peer peer = {};

	peer_v6(call, &peer);
	hear_peer(&peer);
	return ALLOW;
}

/* An accepted socket loses its port by connect(AF_UNSPEC), and listen() would give it one that is
 * free. That cannot be refused here; but a socket that is bound to an interface which does not
 * exist hears nobody, and only CAP_NET_RAW over the host's namespace can undo it. */
SEC("sockops")
int drop_unbound(struct bpf_sock_ops *event)
{
	struct bpf_sock *socket = event->sk;
	int nowhere = NOWHERE;

	if (event->op != BPF_SOCK_OPS_TCP_LISTEN_CB || !socket ||
		bpf_sk_storage_get(&bound, socket, 0, 0))
		return 1;
	bpf_setsockopt(event, SOL_SOCKET, SO_BINDTOIFINDEX, &nowhere, sizeof(nowhere));
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
