// SPDX-License-Identifier: BSD-2-Clause
// socketbox_claim: the control protocol for programs.
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/claim_client.h"
#include "common/cleanup.h"
#include "include/socketbox.h"

struct socketbox {
	struct claim_client link;
	bool linked; /* the daemon has answered once */
	char *service, *control;
	struct err err;
};

static const char *default_path(void)
{
	const char *environment = getenv("SOCKETBOX_CONTROL");

	return environment && *environment ? environment : WIRE_DEFAULT_PATH;
}

struct socketbox *socketbox_new(const char *service, const char *control)
{
	struct socketbox *box = calloc(1, sizeof(*box));

	if (!box)
		return NULL;
	box->link.fd = -1;
	box->service = strdup(service);
	box->control = strdup(control ? control : default_path());
	if (box->service && box->control)
		return box;
	socketbox_free(box);
	return NULL;
}

void socketbox_free(struct socketbox *box)
{
	if (!box)
		return;
	claim_client_close(&box->link);
	free(box->service);
	free(box->control);
	free(box);
}

int socketbox_connect(struct socketbox *box)
{
	int result;

	if (box->linked) {
		cleanup_close_fd(&box->link.fd);
		result = claim_client_restore(&box->link, NULL, &box->err);
	} else {
		result = claim_client_open(&box->link, box->control, box->service, &box->err);
		box->linked = !result;
	}
	if (result == -ENOENT || result == -ECONNREFUSED || result == -ECONNRESET)
		result = -EPIPE;
	return result;
}

int socketbox_fd(const struct socketbox *box)
{
	return box->link.fd;
}

static int read_lib_address(struct socketbox *box, const struct sockaddr *address, socklen_t length,
	struct claim_client_bind *bind)
{
	struct sockaddr_storage copy = {0};
	int result = -EINVAL;

	if (length <= sizeof(copy)) {
		memcpy(&copy, address, length);
		result = addr_from_sockaddr(&copy, length, &bind->endpoint);
	}
	if (result)
		return err_set(&box->err, result,
			"the address to claim is neither a sockaddr_in nor a sockaddr_in6");
	bind->family = copy.ss_family == AF_INET ? 4 : 6;
	return 0;
}

int socketbox_claim(struct socketbox *box, int type, const struct sockaddr *address,
	socklen_t length, unsigned flags)
{
	struct claim_client_bind bind = {
		.protocol = type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP,
		.v6only = flags & SOCKETBOX_V6ONLY,
		.reuseport = flags & SOCKETBOX_REUSEPORT,
	};
	cleanup_close int fd = -1;
	bool granted;
	int result;

	if (!box->linked)
		return err_set(&box->err, -ENOTCONN, "call socketbox_connect first");
	if (type != SOCK_STREAM && type != SOCK_DGRAM)
		return err_set(&box->err, -EPROTONOSUPPORT,
			"type is %d, not SOCK_STREAM or SOCK_DGRAM", type);
	if (flags & ~(SOCKETBOX_V6ONLY | SOCKETBOX_REUSEPORT))
		return err_set(&box->err, -EINVAL, "flags 0x%x are unknown", flags);
	result = read_lib_address(box, address, length, &bind);
	if (!result)
		result = claim_client_claim(&box->link, &bind, &fd, &granted, &box->err);
	return result ? result : take_fd(&fd);
}

const char *socketbox_error(const struct socketbox *box)
{
	return box->err.text;
}
