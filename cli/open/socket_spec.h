/* SPDX-License-Identifier: BSD-2-Clause */
/* What a socket is to be like; whoever reads specs or options fills it, make.h makes it so. */
#ifndef SOCKETBOX_CLI_OPEN_SOCKET_SPEC_H
#define SOCKETBOX_CLI_OPEN_SOCKET_SPEC_H

#include <net/if.h>
#include <stdbool.h>
#include <sys/socket.h>

#define SOCKET_SPEC_NAME_SIZE  256 /* as systemd limits LISTEN_FDNAMES */
#define SOCKET_SPEC_NETNS_SIZE 512
#define SOCKET_SPEC_OWNER_SIZE 128

/* The network namespace of a socket. */
struct netns_target {
	char netns[SOCKET_SPEC_NETNS_SIZE]; /* a path, a process's number, or a name; "": the
					       caller's */
	bool userns;	      /* enter the user namespace that owns it, needed or not */
	bool anonymous;	      /* a new namespace, which lives as long as the socket; netns
			       * then says only whose user namespace it is made in */
	bool netns_is_userns; /* with anonymous: netns is that user namespace itself */
};

/* Options of a socket as the kernel has them when nothing is said: zero, but for those with -1. */
struct socket_spec {
	int domain, type, protocol; /* of socket(2); type may have SOCK_NONBLOCK */
	struct sockaddr_storage address;
	socklen_t address_size;	 /* 0: it is not bound */
	char scope[IF_NAMESIZE]; /* of an IPv6 address: name or number, looked up in its netns */
	char interface[IF_NAMESIZE]; /* SO_BINDTODEVICE */
	bool reuseaddr, reuseport, freebind, transparent, nodelay;
	int v6only;	    /* -1: as the system has it (net.ipv6.bindv6only) */
	int defer_accept_s; /* 0: not */
	bool listen;	    /* with backlog, as listen(2) has it */
	int backlog;
	int mode;			    /* of a Unix socket's file; -1: as the umask has it */
	char owner[SOCKET_SPEC_OWNER_SIZE]; /* USER, USER:GROUP or :GROUP, names or numbers; "": the
					     * caller
					     */
	char name[SOCKET_SPEC_NAME_SIZE];   /* in LISTEN_FDNAMES */
	struct netns_target place;
};

#define SOCKET_SPEC_INIT ((struct socket_spec){.v6only = -1, .mode = -1})

#endif
