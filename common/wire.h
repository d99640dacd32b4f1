/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control protocol's messages, version 1: fixed-layout structs over a SEQPACKET Unix socket,
 * all numbers in the machine's byte order. docs/protocol.md describes them for other languages; the
 * two change together. A message whose length is not exactly its type's is answered with
 * WIRE_ERROR.
 */
#ifndef SOCKETBOX_COMMON_WIRE_H
#define SOCKETBOX_COMMON_WIRE_H

#include <stdint.h>

#define WIRE_VERSION	  1
#define WIRE_MAGIC	  0x31584253u /* "SBX1" in memory on little-endian machines */
#define WIRE_NAME_SIZE	  64	      /* a service name with its NUL */
#define WIRE_TEXT_SIZE	  1024
#define WIRE_DEFAULT_PATH "/run/socketbox/control.sock"

enum wire_type {
	WIRE_HELLO = 1, /* names the connection's service; -> WIRE_WELCOME, fd: its endpoints */
	WIRE_CLAIM = 2, /* asks for a socket;               -> WIRE_CLAIMED, fd: the socket */
	WIRE_REGISTER =
		3,	  /* tells a restarted daemon of a claim, fd: the socket; -> WIRE_CLAIMED */
	WIRE_STATUS = 4,  /*                                  -> WIRE_TEXT, fd: JSON */
	WIRE_EXPLAIN = 5, /* what happens to a packet;        -> WIRE_TEXT, fd: JSON */
	WIRE_RELOAD = 6,  /* re-read the configuration;       -> WIRE_TEXT, fd: JSON */
	WIRE_DESTINATION = 7, /* where the service is handed connections; -> WIRE_TEXT, fd: path */
	WIRE_RECEIVE =
		8, /* asks for handed connections;     -> WIRE_RECEIVING, fd: where they come */
	WIRE_DRAIN = 9,	 /* takes a service out of use, or back; -> WIRE_TEXT, fd: JSON */
	WIRE_TURNS = 10, /* of the event loop since the last one; -> WIRE_TEXT, fd: JSON */

	WIRE_WELCOME = 0x81,
	WIRE_CLAIMED = 0x82,
	WIRE_TEXT = 0x84,
	WIRE_RECEIVING = 0x88,
	WIRE_ERROR = 0xff,
};

struct wire_header {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
	uint32_t length;  /* of the whole message, in bytes */
	uint32_t request; /* chosen by the asker, repeated in the answer */
};

struct wire_hello {
	struct wire_header header;
	char service[WIRE_NAME_SIZE]; /* NUL-terminated, the rest zero */
};

struct wire_welcome {
	struct wire_header header;
	uint32_t hold_ms;	 /* how long a socket outlives its last claimant */
	uint32_t endpoint_count; /* structs wire_endpoint in the file that comes with it */
};

/* What the service's routes cover, in route order. */
struct wire_endpoint {
	uint8_t address[16];   /* IPv4 as ::ffff:a.b.c.d */
	uint8_t prefix_length; /* in the 16-byte form */
	uint8_t family;	       /* 4, 6, or 0: both */
	uint8_t protocol;      /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t pad;
	uint16_t port_first; /* host order, as clients see them */
	uint16_t port_last;
	uint16_t target_port; /* what the program binds instead; 0: the same */
	uint16_t pad2;
};

enum wire_claim_flags {
	WIRE_CLAIM_V6ONLY = 1 << 0,    /* IPV6_V6ONLY is set on the program's socket */
	WIRE_CLAIM_REUSEPORT = 1 << 1, /* SO_REUSEPORT is: one more socket in a group */
	WIRE_CLAIM_GRANTS = 1 << 2,    /* a grant will do: then the port may be 0 */
};

/* Also WIRE_REGISTER; then an fd comes with it unless WIRE_CLAIM_REUSEPORT is set. */
struct wire_claim {
	struct wire_header header;
	uint8_t address[16]; /* as the program gave it to bind(2) */
	uint16_t port;	     /* host order */
	uint8_t family;	     /* 4 or 6: the socket's domain */
	uint8_t pad;
	uint32_t protocol; /* IPPROTO_TCP, IPPROTO_UDP, or IPPROTO_MPTCP, which may be given TCP */
	uint32_t flags;
	uint32_t pad2;
};

/* Answered by a bare header of type WIRE_RECEIVING. */
struct wire_receive {
	struct wire_header header;
	uint32_t socket_type; /* SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET */
	uint32_t pad;
};

enum wire_drain_action {
	WIRE_DRAIN_ASK, /* changes nothing */
	WIRE_DRAIN_BEGIN,
	WIRE_DRAIN_END,
};

struct wire_drain {
	struct wire_header header;
	char service[WIRE_NAME_SIZE]; /* NUL-terminated, the rest zero */
	uint32_t action;	      /* enum wire_drain_action */
	uint32_t pad;
};

struct wire_claimed {
	struct wire_header header;
	uint64_t cookie;	   /* SO_COOKIE of the socket */
	uint8_t bound_address[16]; /* where it is bound: what was asked for, or a placeholder */
	uint16_t bound_port;
	uint16_t shared;  /* 1: an existing socket that others may hold too */
	uint32_t granted; /* 1: made under a grant: no claim, and the asker's alone */
};

/* WIRE_STATUS, WIRE_RELOAD, WIRE_DESTINATION and WIRE_TURNS are a bare header. */
struct wire_explain {
	struct wire_header header;
	uint8_t local[16];
	uint8_t remote[16];
	uint16_t local_port;
	uint16_t remote_port;
	uint32_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
};

struct wire_text {
	struct wire_header header;
	uint64_t size; /* of the text in the file (a sealed memfd) that comes with it */
};

struct wire_error {
	struct wire_header header;
	int32_t code; /* a positive errno */
	uint32_t pad;
	char text[WIRE_TEXT_SIZE]; /* NUL-terminated, with the remedy */
};

_Static_assert(sizeof(struct wire_header) == 16, "wire layout");
_Static_assert(sizeof(struct wire_hello) == 80, "wire layout");
_Static_assert(sizeof(struct wire_welcome) == 24, "wire layout");
_Static_assert(sizeof(struct wire_endpoint) == 28, "wire layout");
_Static_assert(sizeof(struct wire_claim) == 48, "wire layout");
_Static_assert(sizeof(struct wire_claimed) == 48, "wire layout");
_Static_assert(sizeof(struct wire_explain) == 56, "wire layout");
_Static_assert(sizeof(struct wire_drain) == 88, "wire layout");
_Static_assert(sizeof(struct wire_text) == 24, "wire layout");
_Static_assert(sizeof(struct wire_error) == 1048, "wire layout");

#endif
