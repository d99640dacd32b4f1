// SPDX-License-Identifier: BSD-2-Clause
// Puts the fence up: loads its programs with what is pinned, attaches them, sees whether they do
// what they are for, and makes this process the one that they let pass.
#include "daemon/confinement/confinement.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpf/confinement_maps.h"
#include "bpf/steer_maps.h"
#include "common/cleanup.h"
#include "confinement.skel.h"
#include "daemon/confinement/confinement_cgroup.h"
#include "daemon/confinement/confinement_links.h"
#include "daemon/confinement/confinement_loopback.h"
#include "daemon/kernel/libbpf_log.h"
#include "daemon/kernel/pins.h"
#include "daemon/log.h"

enum { LINKS = 9 };

struct fence {
	struct fence_bpf *skeleton; /* while it is put up */
	struct fence_cgroup cgroup;
	struct bpf_link *links[LINKS];
	size_t link_count;
	int lifted, services, on_loopback, bound; /* maps */
	char pin_dir[PATH_MAX], folder[PATH_MAX]; /* empty: nothing is pinned */
	unsigned strangers;			  /* sockets of before it stood */
};

static int set_pin_paths(struct fence *fence, struct err *err)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, fence->skeleton->obj)
	{
		char path[PATH_MAX], name[64];
		int result;

		snprintf(name, sizeof(name), "fence_%s", bpf_map__name(map));
		result = pins_path(fence->pin_dir, name, path);
		if (!result)
			result = bpf_map__set_pin_path(map, path);
		if (result)
			return err_errno(err, result, "%s/%s", fence->pin_dir, name);
	}
	return 0;
}

static int load(struct fence *fence, struct err *err)
{
	int result;

	fence->skeleton = fence_bpf__open();
	if (!fence->skeleton)
		return err_errno(err, -errno, "opening the fence's programs");
	result = fence->pin_dir[0] ? set_pin_paths(fence, err) : 0;
	if (result)
		return result;
	result = fence_bpf__load(fence->skeleton);
	if (!result)
		return 0;
	if (result == -EPERM)
		return err_set(err, result,
			"the kernel refused its programs (%s): run socketboxd as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN",
			strerror(-result));
	return err_errno(err, result, "the kernel refused its programs");
}

static int attach_all(struct fence *fence, bool *adopted, struct err *err)
{
	struct bpf_program *const programs[LINKS] = {
		fence->skeleton->progs.bind4,
		fence->skeleton->progs.bind6,
		fence->skeleton->progs.connect4,
		fence->skeleton->progs.connect6,
		fence->skeleton->progs.deafen,
		fence->skeleton->progs.recvmsg4,
		fence->skeleton->progs.recvmsg6,
		fence->skeleton->progs.sendmsg4,
		fence->skeleton->progs.sendmsg6,
	};
	int result = 0;

	for (size_t i = 0; !result && i < LINKS; i++) {
		result = fence_links_attach(
			programs[i], &fence->cgroup, fence->folder, &fence->links[i], adopted, err);
		if (!result)
			fence->link_count++;
	}
	return result;
}

static int set_owner(struct fence *fence, bool me, struct err *err)
{
	LIBBPF_OPTS(bpf_test_run_opts, options);
	struct fence_owner nobody = {0};

	if (!me && bpf_map_update_elem(bpf_map__fd(fence->skeleton->maps.owner), &(uint32_t){0},
			   &nobody, BPF_ANY))
		return err_errno(err, -errno, "the fence's owner");
	if (me && bpf_prog_test_run_opts(bpf_program__fd(fence->skeleton->progs.enroll), &options))
		return err_errno(err, -errno, "entering the fence's owner");
	return 0;
}

/* Binds a socket of the fence, as strangers may not. */
static int try_bind(void)
{
	cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in any_port = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	return fd < 0 || bind(fd, (struct sockaddr *)&any_port, sizeof(any_port)) ? -errno : 0;
}

/* True if a socket that was not bound listens, and is not deaf. */
static bool hears_unbound(void)
{
	cleanup_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int interface = 0;
	socklen_t length = sizeof(interface);

	return fd < 0 || listen(fd, 1) ||
	       getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &interface, &length) || !interface;
}

/* The daemon tries the fence as a stranger first, then as itself. */
static int prove(struct fence *fence, struct err *gap, struct err *err)
{
	int result = set_owner(fence, false, err);

	if (result)
		return result;
	result = try_bind();
	if (result != -EPERM)
		return err_set(err, -EOPNOTSUPP,
			"its programs are not asked (binding a socket in it: %s); before Linux 5.15 cgroup v1's net_cls and net_prio prevent that",
			result ? strerror(-result) : "allowed");
	if (hears_unbound())
		err_set(gap, -EOPNOTSUPP,
			"on this kernel a service can make a connection that it was given listen on a free port of the host");
	result = set_owner(fence, true, err);
	if (!result)
		result = try_bind();
	return result ? err_errno(err, result, "it keeps the daemon itself from binding") : 0;
}

/* Pins where it can. */
static void open_pins(struct fence *fence, const char *run_dir, struct err *fault)
{
	fault->text[0] = '\0';
	if (pins_open(run_dir, fence->pin_dir, fault) ||
		fence_links_folder(fence->pin_dir, &fence->cgroup, fence->folder, fault))
		fence->pin_dir[0] = fence->folder[0] = '\0';
}

static int keep_map(const struct bpf_map *map, int *fd, struct err *err)
{
	*fd = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 0);
	return *fd < 0 ? err_errno(err, -errno, "keeping the fence's maps") : 0;
}

static void free_links(struct fence *fence)
{
	while (fence->link_count)
		bpf_link__destroy(fence->links[--fence->link_count]); /* what is pinned stays */
}

/* The kernel has the programs. What this process goes on to need is few descriptors: connections
 * need them, too. */
static int settle(struct fence *fence, struct err *err)
{
	int result = keep_map(fence->skeleton->maps.lifted, &fence->lifted, err);

	if (!result)
		result = keep_map(fence->skeleton->maps.services, &fence->services, err);
	if (!result)
		result = keep_map(fence->skeleton->maps.on_loopback, &fence->on_loopback, err);
	if (!result)
		result = keep_map(fence->skeleton->maps.bound, &fence->bound, err);
	if (result)
		return result;
	if (fence->pin_dir[0]) {
		free_links(fence);
		fence_links_clear(fence->pin_dir, false);
	}
	fence_bpf__destroy(take_ptr(&fence->skeleton));
	cleanup_close_fd(&fence->cgroup.fd);
	return 0;
}

static int put_up(
	struct fence *fence, const char *run_dir, struct fence_facts *facts, struct err *err)
{
	int result = fence_cgroup_enter(run_dir, &fence->cgroup, err);

	if (result)
		return result;
	open_pins(fence, run_dir, &facts->loose);
	result = load(fence, err);
	if (!result)
		result = attach_all(fence, &facts->adopted, err);
	if (!result)
		result = prove(fence, &facts->gap, err);
	if (!result)
		result = settle(fence, err);
	if (result)
		return result;
	facts->stands = true;
	strcpy(facts->cgroup, fence->cgroup.path);
	strcpy(facts->outside, fence->cgroup.outside);
	return 0;
}

/* Unpins what was attached to this cgroup, which then is as if there were no fence. */
static void take_down(struct fence *fence, const char *run_dir)
{
	for (size_t i = 0; i < fence->link_count; i++) {
		if (fence->folder[0])
			bpf_link__unpin(fence->links[i]);
	}
	if (fence->folder[0])
		rmdir(fence->folder);
	fence_close(fence);
	fence_cgroup_remove(run_dir);
}

/* An earlier daemon's. */
static void take_down_pinned(const char *run_dir)
{
	char mount_point[PATH_MAX], pin_dir[PATH_MAX];

	if (!pins_path(run_dir, "bpf", mount_point) &&
		!pins_path(mount_point, STEER_LAYOUT, pin_dir))
		fence_links_clear(pin_dir, true);
	fence_cgroup_remove(run_dir);
}

static int refuse(int code, const struct err *why, struct err *err)
{
	return err_set(err, code, "the fence is required, and cannot stand: %s", why->text);
}

int fence_open(const char *run_dir, enum config_fence wanted, struct fence **out,
	struct fence_facts *facts, struct err *err)
{
	struct fence *fence;
	int result;

	*facts = (struct fence_facts){0};
	*out = NULL;
	libbpf_log_open();
	if (wanted == CONFIG_FENCE_OFF) {
		take_down_pinned(run_dir);
		err_set(&facts->why, 0, "the configuration or the command line says fence: off");
		return 0;
	}
	fence = calloc(1, sizeof(*fence));
	if (!fence)
		return err_errno(err, -ENOMEM, "the fence");
	*fence = (struct fence){
		.cgroup.fd = -1,
		.lifted = -1,
		.services = -1,
		.on_loopback = -1,
		.bound = -1,
	};
	result = put_up(fence, run_dir, facts, &facts->why);
	if (!result) {
		*out = fence;
		return 0;
	}
	take_down(fence, run_dir);
	if (wanted == CONFIG_FENCE_AUTO)
		return 0;
	return refuse(result, &facts->why, err);
}

int fence_check(enum config_fence wanted, struct err *err)
{
	struct fence fence = {.cgroup.fd = -1};
	struct err why;
	int result;

	if (wanted != CONFIG_FENCE_REQUIRED)
		return 0;
	libbpf_log_open();
	result = fence_cgroup_check(&why);
	if (!result)
		result = load(&fence, &why);
	fence_bpf__destroy(fence.skeleton);
	return result ? refuse(result, &why, err) : 0;
}

int fence_lift(struct fence *fence, int fd, struct err *err)
{
	uint32_t one = 1;

	if (fence && bpf_map_update_elem(fence->lifted, &fd, &one, BPF_ANY))
		return err_errno(err, -errno, "lifting the fence for a socket");
	return 0;
}

int fence_assign(struct fence *fence, int fd, uint32_t service, struct err *err)
{
	if (fence && bpf_map_update_elem(fence->services, &fd, &service, BPF_ANY))
		return err_errno(err, -errno, "telling the fence whose a socket is");
	return 0;
}

void fence_configure(struct fence *fence, const struct config *config)
{
	struct err err;

	if (fence && fence_loopback_update(fence->on_loopback, config, &err))
		log_warning("%s", err.text);
}

void fence_recognise(struct fence *fence, int fd)
{
	uint32_t mark;

	if (!fence || !bpf_map_lookup_elem(fence->bound, &fd, &mark))
		return;
	if (!fence->strangers++)
		log_warning(
			"sockets that were made before the fence stood are outside of it: to renew them, stop this daemon and the services, run socketboxd --detach, and start them again");
}

unsigned fence_strangers(const struct fence *fence)
{
	return fence ? fence->strangers : 0;
}

void fence_close(struct fence *fence)
{
	if (!fence)
		return;
	free_links(fence);
	fence_bpf__destroy(fence->skeleton);
	cleanup_close_fd(&fence->lifted);
	cleanup_close_fd(&fence->services);
	cleanup_close_fd(&fence->on_loopback);
	cleanup_close_fd(&fence->bound);
	cleanup_close_fd(&fence->cgroup.fd);
	free(fence);
}

void fence_remove(const char *run_dir)
{
	fence_cgroup_remove(run_dir);
}
