/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The notation for sockets of socketbox open, such as "tcp://[::]:80,backlog=512,v6only=yes". Pure:
 * neither names of interfaces, users or namespaces nor files are looked up.
 */
#ifndef SOCKETBOX_CLI_OPEN_SPEC_H
#define SOCKETBOX_CLI_OPEN_SPEC_H

#include "cli/open/socket_spec.h"
#include "common/err.h"

/* Shown with the usage. */
#define SPEC_GRAMMAR                                                                                 \
	"SPEC:  tcp://ADDRESS:PORT  udp://ADDRESS:PORT  (IPv6 in brackets: [::]:80)\n"               \
	"       unix-stream:PATH  unix-dgram:PATH  unix-seqpacket:PATH  sockpair:PATH  (or @NAME)\n" \
	"       followed by any of ,backlog=N ,listen=no ,reuseport ,reuseaddr=no ,freebind\n"       \
	"       ,transparent ,v6only=yes|no ,defer-accept=SECONDS ,nodelay ,interface=NAME\n"        \
	"       ,mode=0660 ,owner=USER:GROUP ,name=NAME ,netns=PATH|PID|NAME ,userns"

/* Reads one spec. -EINVAL: *err says what is wrong with it, over three lines, the last of which
 * points at the place; *spec is untouched then. */
int spec_parse(const char *text, struct socket_spec *spec, struct err *err);

#endif
