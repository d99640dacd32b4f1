/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads the server name (SNI, RFC 6066, 3) out of the first bytes of a TLS connection: one
 * ClientHello (RFC 8446, 4.1.2) in one or several records (5.1). Pure.
 */
#ifndef SOCKETBOX_DAEMON_LISTEN_CLIENT_HELLO_H
#define SOCKETBOX_DAEMON_LISTEN_CLIENT_HELLO_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/config/names.h"

/* The longest ClientHello that is waited for. Post-quantum key shares take some 1,200 bytes each;
 * all extensions together may have 65,535. */
#define CLIENT_HELLO_MAX 32768

/* As many bytes as such a message takes in records of reasonable size. */
#define CLIENT_HELLO_BUFFER (CLIENT_HELLO_MAX + 4096)

enum client_hello {
	CLIENT_HELLO_MORE,  /* it may become one */
	CLIENT_HELLO_NAMED, /* it has a server name */
	CLIENT_HELLO_PLAIN, /* it has none, or one that is no host name */
	CLIENT_HELLO_OTHER, /* it is no TLS, broken, or too long */
};

/* name is written for CLIENT_HELLO_NAMED only: in lower case, NUL-terminated. */
enum client_hello client_hello_read(
	const uint8_t *data, size_t length, char name[NAMES_MAX_LENGTH + 1]);

#endif
