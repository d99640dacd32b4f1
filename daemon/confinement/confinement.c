// SPDX-License-Identifier: BSD-2-Clause
// Puts the confinement up: loads its programs with what is pinned, attaches them, sees whether they
// do what they are for, and makes this process the one that they let pass.
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

struct confinement {
	struct confinement_bpf *skeleton; /* while it is put up */
	struct confinement_cgroup cgroup;
	struct bpf_link *links[LINKS];
	size_t link_count;
	int may_connect, services, on_loopback, bound; /* maps */
	char pin_dir[PATH_MAX], directory[PATH_MAX];   /* empty: nothing is pinned */
	unsigned unconfined; /* sockets that were made before it was active */
};

static int set_confinement_pin_paths(struct confinement *confinement, struct err *err)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, confinement->skeleton->obj)
	{
		char path[PATH_MAX], name[64];
		int result;

		snprintf(name, sizeof(name), "confinement_%s", bpf_map__name(map));
		result = pins_path(confinement->pin_dir, name, path);
		if (!result)
			result = bpf_map__set_pin_path(map, path);
		if (result)
			return err_errno(err, result, "%s/%s", confinement->pin_dir, name);
	}
	return 0;
}

static int load_confinement(struct confinement *confinement, struct err *err)
{
	int result;

	confinement->skeleton = confinement_bpf__open();
	if (!confinement->skeleton)
		return err_errno(err, -errno, "opening the confinement's programs");
	result = confinement->pin_dir[0] ? set_confinement_pin_paths(confinement, err) : 0;
	if (result)
		return result;
	result = confinement_bpf__load(confinement->skeleton);
	if (!result)
		return 0;
	if (result == -EPERM)
		return err_set(err, result,
			"the kernel refused its programs (%s): run socketboxd as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN",
			strerror(-result));
	return err_errno(err, result, "the kernel refused its programs");
}

static int attach_all(struct confinement *confinement, bool *adopted, struct err *err)
{
	struct bpf_program *const programs[LINKS] = {
		confinement->skeleton->progs.bind4,
		confinement->skeleton->progs.bind6,
		confinement->skeleton->progs.connect4,
		confinement->skeleton->progs.connect6,
		confinement->skeleton->progs.drop_unbound,
		confinement->skeleton->progs.recvmsg4,
		confinement->skeleton->progs.recvmsg6,
		confinement->skeleton->progs.sendmsg4,
		confinement->skeleton->progs.sendmsg6,
	};
	int result = 0;

	for (size_t i = 0; !result && i < LINKS; i++) {
		result = confinement_links_attach(programs[i], &confinement->cgroup,
			confinement->directory, &confinement->links[i], adopted, err);
		if (!result)
			confinement->link_count++;
	}
	return result;
}

static int set_owner(struct confinement *confinement, bool me, struct err *err)
{
	LIBBPF_OPTS(bpf_test_run_opts, options);
	struct confinement_owner nobody = {0};

	if (!me && bpf_map_update_elem(bpf_map__fd(confinement->skeleton->maps.owner),
			   &(uint32_t){0}, &nobody, BPF_ANY))
		return err_errno(err, -errno, "the confinement's owner");
	if (me && bpf_prog_test_run_opts(
			  bpf_program__fd(confinement->skeleton->progs.enroll), &options))
		return err_errno(err, -errno, "entering the confinement's owner");
	return 0;
}

/* Binds a socket of the confinement, as a service may not. */
static int try_confinement_bind(void)
{
	cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in any_port = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	return fd < 0 || bind(fd, (struct sockaddr *)&any_port, sizeof(any_port)) ? -errno : 0;
}

/* True if a socket that was not bound listens, and is not drops. */
static bool listens_unbound(void)
{
	cleanup_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int interface = 0;
	socklen_t length = sizeof(interface);

	return fd < 0 || listen(fd, 1) ||
	       getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &interface, &length) || !interface;
}

/* The daemon tries the confinement as a stranger first, then as itself. */
static int prove_confinement(
	struct confinement *confinement, struct err *limitation, struct err *err)
{
	int result = set_owner(confinement, false, err);

	if (result)
		return result;
	result = try_confinement_bind();
	if (result != -EPERM)
		return err_set(err, -EOPNOTSUPP,
			"its programs are not asked (binding a socket in it: %s); before Linux 5.15 cgroup v1's net_cls and net_prio prevent that",
			result ? strerror(-result) : "allowed");
	if (listens_unbound())
		err_set(limitation, -EOPNOTSUPP,
			"on this kernel a service can make a connection that it was given listen on a free port of the host");
	result = set_owner(confinement, true, err);
	if (!result)
		result = try_confinement_bind();
	return result ? err_errno(err, result, "it keeps the daemon itself from binding") : 0;
}

/* Pins where it can. */
static void open_pins(struct confinement *confinement, const char *run_dir, struct err *fault)
{
	fault->text[0] = '\0';
	if (pins_open(run_dir, confinement->pin_dir, fault) ||
		confinement_links_directory(
			confinement->pin_dir, &confinement->cgroup, confinement->directory, fault))
		confinement->pin_dir[0] = confinement->directory[0] = '\0';
}

static int keep_map(const struct bpf_map *map, int *fd, struct err *err)
{
	*fd = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 0);
	return *fd < 0 ? err_errno(err, -errno, "keeping the confinement's maps") : 0;
}

static void free_links(struct confinement *confinement)
{
	while (confinement->link_count)
		bpf_link__destroy(
			confinement->links[--confinement->link_count]); /* what is pinned stays */
}

/* The kernel has the programs. What this process goes on to need is few descriptors: connections
 * need them, too. */
static int settle_confinement(struct confinement *confinement, struct err *err)
{
	int result =
		keep_map(confinement->skeleton->maps.may_connect, &confinement->may_connect, err);

	if (!result)
		result =
			keep_map(confinement->skeleton->maps.services, &confinement->services, err);
	if (!result)
		result = keep_map(
			confinement->skeleton->maps.on_loopback, &confinement->on_loopback, err);
	if (!result)
		result = keep_map(confinement->skeleton->maps.bound, &confinement->bound, err);
	if (result)
		return result;
	if (confinement->pin_dir[0]) {
		free_links(confinement);
		confinement_links_clear(confinement->pin_dir, false);
	}
	confinement_bpf__destroy(take_ptr(&confinement->skeleton));
	cleanup_close_fd(&confinement->cgroup.fd);
	return 0;
}

static int put_up(struct confinement *confinement, const char *run_dir,
	struct confinement_info *info, struct err *err)
{
	int result = confinement_cgroup_enter(run_dir, &confinement->cgroup, err);

	if (result)
		return result;
	open_pins(confinement, run_dir, &info->unpinned);
	result = load_confinement(confinement, err);
	if (!result)
		result = attach_all(confinement, &info->adopted, err);
	if (!result)
		result = prove_confinement(confinement, &info->limitation, err);
	if (!result)
		result = settle_confinement(confinement, err);
	if (result)
		return result;
	info->active = true;
	strcpy(info->cgroup, confinement->cgroup.path);
	strcpy(info->outside, confinement->cgroup.outside);
	return 0;
}

/* Unpins what was attached to this cgroup, which then is as if there were no confinement. */
static void take_down(struct confinement *confinement, const char *run_dir)
{
	for (size_t i = 0; i < confinement->link_count; i++) {
		if (confinement->directory[0])
			bpf_link__unpin(confinement->links[i]);
	}
	if (confinement->directory[0])
		rmdir(confinement->directory);
	confinement_close(confinement);
	confinement_cgroup_remove(run_dir);
}

/* An earlier daemon's. */
static void take_down_pinned(const char *run_dir)
{
	char mount_point[PATH_MAX], pin_dir[PATH_MAX];

	if (!pins_path(run_dir, "bpf", mount_point) &&
		!pins_path(mount_point, STEER_LAYOUT, pin_dir))
		confinement_links_clear(pin_dir, true);
	confinement_cgroup_remove(run_dir);
}

static int refuse_confinement(int code, const struct err *why, struct err *err)
{
	return err_set(
		err, code, "confinement is required, but cannot be made active: %s", why->text);
}

int confinement_open(const char *run_dir, enum config_confinement wanted, struct confinement **out,
	struct confinement_info *info, struct err *err)
{
	struct confinement *confinement;
	int result;

	*info = (struct confinement_info){0};
	*out = NULL;
	libbpf_log_open();
	if (wanted == CONFIG_CONFINEMENT_OFF) {
		take_down_pinned(run_dir);
		err_set(&info->why, 0,
			"the configuration or the command line says confinement: off");
		return 0;
	}
	confinement = calloc(1, sizeof(*confinement));
	if (!confinement)
		return err_errno(err, -ENOMEM, "the confinement");
	*confinement = (struct confinement){
		.cgroup.fd = -1,
		.may_connect = -1,
		.services = -1,
		.on_loopback = -1,
		.bound = -1,
	};
	result = put_up(confinement, run_dir, info, &info->why);
	if (!result) {
		*out = confinement;
		return 0;
	}
	take_down(confinement, run_dir);
	if (wanted == CONFIG_CONFINEMENT_AUTO)
		return 0;
	return refuse_confinement(result, &info->why, err);
}

int confinement_check(enum config_confinement wanted, struct err *err)
{
	struct confinement confinement = {.cgroup.fd = -1};
	struct err why;
	int result;

	if (wanted != CONFIG_CONFINEMENT_REQUIRED)
		return 0;
	libbpf_log_open();
	result = confinement_cgroup_check(&why);
	if (!result)
		result = load_confinement(&confinement, &why);
	confinement_bpf__destroy(confinement.skeleton);
	return result ? refuse_confinement(result, &why, err) : 0;
}

int confinement_allow_connect(struct confinement *confinement, int fd, struct err *err)
{
	uint32_t one = 1;

	if (confinement && bpf_map_update_elem(confinement->may_connect, &fd, &one, BPF_ANY))
		return err_errno(err, -errno, "lifting the confinement for a socket");
	return 0;
}

int confinement_assign(struct confinement *confinement, int fd, uint32_t service, struct err *err)
{
	if (confinement && bpf_map_update_elem(confinement->services, &fd, &service, BPF_ANY))
		return err_errno(err, -errno, "telling the confinement whose a socket is");
	return 0;
}

void confinement_configure(struct confinement *confinement, const struct config *config)
{
	struct err err;

	if (confinement && confinement_loopback_update(confinement->on_loopback, config, &err))
		log_warning("%s", err.text);
}

void confinement_check_inherited(struct confinement *confinement, int fd)
{
	uint32_t mark;

	if (!confinement || !bpf_map_lookup_elem(confinement->bound, &fd, &mark))
		return;
	if (!confinement->unconfined++)
		log_warning(
			"sockets that were made before confinement was active are unconfined: to renew them, stop this daemon and the services, run socketboxd --detach, and start them again");
}

unsigned confinement_unconfined(const struct confinement *confinement)
{
	return confinement ? confinement->unconfined : 0;
}

void confinement_close(struct confinement *confinement)
{
	if (!confinement)
		return;
	free_links(confinement);
	confinement_bpf__destroy(confinement->skeleton);
	cleanup_close_fd(&confinement->may_connect);
	cleanup_close_fd(&confinement->services);
	cleanup_close_fd(&confinement->on_loopback);
	cleanup_close_fd(&confinement->bound);
	cleanup_close_fd(&confinement->cgroup.fd);
	free(confinement);
}

void confinement_remove(const char *run_dir)
{
	confinement_cgroup_remove(run_dir);
}
