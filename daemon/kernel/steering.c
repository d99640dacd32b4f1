// SPDX-License-Identifier: BSD-2-Clause
// Which socket takes what: fills the kernel engine's socket maps and asks it for its decisions.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "daemon/kernel/kernel.h"
#include "daemon/sockets.h"
#include "steer.skel.h"

int kernel_steer(struct engine *engine, const struct steer_key *key, int fd, struct err *err)
{
	struct kernel *kernel = kernel_of(engine);
	uint64_t value = (uint64_t)fd;

	if (!bpf_map_update_elem(bpf_map__fd(kernel->skeleton->maps.sockets), key, &value, BPF_ANY))
		return 0;
	if (errno == E2BIG || errno == ENOSPC)
		return err_set(
			err, -errno, "the socket map is full (%d sockets)", STEER_MAX_SOCKETS);
	return err_errno(err, -errno, "adding the socket to the kernel's socket map");
}

void kernel_unsteer(struct engine *engine, const struct steer_key *key)
{
	struct kernel *kernel = kernel_of(engine);
	bpf_map_delete_elem(bpf_map__fd(kernel->skeleton->maps.sockets), key);
}

int kernel_steered(struct engine *engine, const struct steer_key *key, uint64_t *cookie)
{
	struct kernel *kernel = kernel_of(engine);
	if (bpf_map_lookup_elem(bpf_map__fd(kernel->skeleton->maps.sockets), key, cookie))
		return -errno;
	return 0;
}

int kernel_reconcile(struct engine *engine, bool (*due)(void *context, const struct steer_key *key),
	void *context)
{
	int map = bpf_map__fd(kernel_of(engine)->skeleton->maps.sockets);
	struct steer_key key, *before = NULL;
	cleanup_free struct steer_key *list = NULL;
	size_t count = 0, capacity = 0;

	/* They are removed afterwards: the walk begins anew at a key that is gone. */
	for (struct steer_key last; !bpf_map_get_next_key(map, before, &key); before = &last) {
		last = key;
		if (key.service < STEER_FIRST_SERVICE || due(context, &key))
			continue;
		if (count == capacity) {
			size_t more = capacity ? 2 * capacity : 64;
			struct steer_key *longer = reallocarray(list, more, sizeof(*list));

			if (!longer)
				return -ENOMEM;
			list = longer;
			capacity = more;
		}
		list[count++] = key;
	}
	if (errno != ENOENT)
		return -errno;
	for (size_t i = 0; i < count; i++)
		bpf_map_delete_elem(map, &list[i]);
	return 0;
}

int kernel_set_members(
	struct engine *engine, const struct steer_key *key, uint32_t members, struct err *err)
{
	struct kernel *kernel = kernel_of(engine);
	int map = bpf_map__fd(kernel->skeleton->maps.groups);

	if (!members) {
		bpf_map_delete_elem(map, key);
		return 0;
	}
	if (bpf_map_update_elem(map, key, &members, BPF_ANY))
		return err_errno(
			err, -errno, "adding a SO_REUSEPORT group (%d at most)", STEER_MAX_GROUPS);
	return 0;
}

uint32_t kernel_members(struct engine *engine, const struct steer_key *key)
{
	struct kernel *kernel = kernel_of(engine);
	uint32_t members;

	if (bpf_map_lookup_elem(bpf_map__fd(kernel->skeleton->maps.groups), key, &members))
		return 0;
	return members;
}

static void make_home(
	int domain, const struct addr_endpoint *bound, struct steer_group_address *group_address)
{
	*group_address =
		(struct steer_group_address){.port = bound->port, .family = (uint16_t)domain};
	memcpy(group_address->address, bound->addr.bytes, sizeof(group_address->address));
}

int kernel_migrate(struct engine *engine, int fd, const struct addr_endpoint *bound,
	const struct steer_key *key, struct err *err)
{
	struct kernel *kernel = kernel_of(engine);
	int program, domain = AF_INET;
	socklen_t length = sizeof(domain);
	struct steer_group_address group_address;

	if (!kernel->migrates)
		return 0;
	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length);
	make_home(domain, bound, &group_address);
	if (bpf_map_update_elem(bpf_map__fd(kernel->skeleton->maps.group_addresses), &group_address,
		    key, BPF_ANY))
		return err_errno(
			err, -errno, "adding a SO_REUSEPORT group (%d at most)", STEER_MAX_GROUPS);
	program = bpf_program__fd(kernel->skeleton->progs.migrate);
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program, sizeof(program)))
		return err_errno(err, -errno, "SO_ATTACH_REUSEPORT_EBPF");
	return 0;
}

void kernel_stop_migrating(struct engine *engine, int domain, const struct addr_endpoint *bound)
{
	struct kernel *kernel = kernel_of(engine);
	struct steer_group_address group_address;

	make_home(domain, bound, &group_address);
	bpf_map_delete_elem(bpf_map__fd(kernel->skeleton->maps.group_addresses), &group_address);
}

/* One drop_socket per protocol and family; its filter drops everything before TCP or UDP can
 * answer. */
int kernel_open_drop_sockets(struct kernel *kernel, struct err *err)
{
	static const struct {
		uint8_t protocol, family;
	} kinds[KERNEL_DROP_SOCKETS] = {
		{IPPROTO_TCP, 4}, {IPPROTO_TCP, 6}, {IPPROTO_UDP, 4}, {IPPROTO_UDP, 6}};
	int result;

	for (size_t i = 0; i < KERNEL_DROP_SOCKETS; i++) {
		struct sockets_request request = {
			.protocol = kinds[i].protocol,
			.domain = kinds[i].family == 4 ? AF_INET : AF_INET6,
			.v6only = kinds[i].family == 6,
			.at_placeholder = true,
		};
		struct steer_key key = {.protocol = kinds[i].protocol, .family = kinds[i].family};
		struct addr_endpoint bound;

		result = sockets_make(&request, &kernel->drop_sockets[i], &bound, err);
		if (!result)
			result = sockets_set_drop_filter(kernel->drop_sockets[i], true, err);
		if (!result)
			result = kernel_steer(&kernel->base, &key, kernel->drop_sockets[i], err);
		if (result)
			return err_prefix(err, "making the sockets for silent refusals");
	}
	return 0;
}

void kernel_close_drop_sockets(struct kernel *kernel)
{
	for (size_t i = 0; i < KERNEL_DROP_SOCKETS; i++)
		cleanup_close_fd(&kernel->drop_sockets[i]);
}

static void fill_context(const struct table_packet *packet, struct bpf_sk_lookup *context)
{
	memset(context, 0, sizeof(*context));
	context->protocol = packet->protocol;
	context->local_port = packet->local.port;
	context->remote_port = htons(packet->remote.port);
	if (addr_is_v4(&packet->local.addr)) {
		context->family = AF_INET;
		memcpy(&context->local_ip4, packet->local.addr.bytes + 12, 4);
		memcpy(&context->remote_ip4, packet->remote.addr.bytes + 12, 4);
	} else {
		context->family = AF_INET6;
		memcpy(&context->local_ip6, packet->local.addr.bytes, 16);
		memcpy(&context->remote_ip6, packet->remote.addr.bytes, 16);
	}
}

/* BPF_PROG_TEST_RUN of sk_lookup programs: Linux 5.13. */
static int test_run(struct kernel *kernel, const struct table_packet *packet, uint32_t repeat,
	struct bpf_sk_lookup *context, struct bpf_test_run_opts *options, struct err *err)
{
	fill_context(packet, context);
	options->ctx_in = context;
	options->ctx_size_in = sizeof(*context);
	options->ctx_out = context;
	options->ctx_size_out = sizeof(*context);
	options->repeat = (int)repeat;
	if (bpf_prog_test_run_opts(bpf_program__fd(kernel->skeleton->progs.explain), options))
		return err_errno(err, -errno, "asking the kernel engine (needs Linux 5.13)");
	return 0;
}

int kernel_explain(struct engine *engine, const struct table_packet *packet,
	struct steer_verdict *verdict, uint64_t *cookie, bool *passed, struct err *err)
{
	struct kernel *kernel = kernel_of(engine);
	LIBBPF_OPTS(bpf_test_run_opts, options);
	struct bpf_sk_lookup context;
	uint32_t zero = 0;
	int result = test_run(kernel, packet, 1, &context, &options, err);

	if (result)
		return result;
	if (bpf_map_lookup_elem(bpf_map__fd(kernel->skeleton->maps.verdicts), &zero, verdict))
		return err_errno(err, -errno, "reading the kernel engine's verdict");
	*cookie = context.cookie;
	*passed = options.retval == SK_PASS;
	return 0;
}

int kernel_time(struct engine *engine, const struct table_packet *packet, uint32_t repeat,
	uint32_t *nanoseconds, struct err *err)
{
	struct kernel *kernel = kernel_of(engine);
	LIBBPF_OPTS(bpf_test_run_opts, options);
	struct bpf_sk_lookup context;
	int result = test_run(kernel, packet, repeat, &context, &options, err);

	if (result)
		return result;
	*nanoseconds = options.duration;
	return 0;
}
