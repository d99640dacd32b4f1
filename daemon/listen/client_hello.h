/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds the server name (SNI, RFC 6066, 3) in the first bytes of a TLS connection: one ClientHello
 * (RFC 8446, 4.1.2) in one or several records (5.1). Pure and incremental: every byte is parsed
 * once, and nothing of what was fed is kept but the name.
 */
#ifndef SOCKETBOX_DAEMON_LISTEN_CLIENT_HELLO_H
#define SOCKETBOX_DAEMON_LISTEN_CLIENT_HELLO_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/config/names.h"

/* The longest ClientHello that is waited for. Post-quantum key shares take some 1,200 bytes each;
 * all extensions together may have 65,535. */
#define CLIENT_HELLO_MAX 32768

/* As many bytes as such a message takes in records of reasonable size; no more are consumed. */
#define CLIENT_HELLO_BUFFER (CLIENT_HELLO_MAX + 4096)

enum client_hello_verdict {
	CLIENT_HELLO_MORE,  /* it may become one */
	CLIENT_HELLO_NAMED, /* it has a server name */
	CLIENT_HELLO_PLAIN, /* it has none, or one that is no host name */
	CLIENT_HELLO_OTHER, /* it is no TLS, broken, or too long */
};

struct client_hello {
	enum client_hello_verdict verdict;
	uint8_t field;			 /* the field at hand, an enum of client_hello.c */
	uint8_t header_length;		 /* bytes that came of the header of the record at hand */
	uint32_t consumed;		 /* bytes in all, headers of records included */
	uint32_t record_left;		 /* bytes of the record at hand that are still to come */
	uint32_t message_left;		 /* of the handshake message */
	uint32_t field_left;		 /* of the field at hand */
	uint32_t number;		 /* its value so far, if it is a number */
	uint32_t extensions_left;	 /* of the list of extensions, behind the one at hand */
	uint32_t names_left;		 /* of the list of names, behind the one at hand */
	uint32_t name_length;		 /* bytes that came of the name */
	char name[NAMES_MAX_LENGTH + 1]; /* for CLIENT_HELLO_NAMED: in lower case, NUL-terminated */
};

void client_hello_init(struct client_hello *hello);

/* Consumes the bytes that follow those fed before. How they are split does not change the verdict,
 * which is final unless it is CLIENT_HELLO_MORE; bytes fed after a final one are ignored. */
enum client_hello_verdict client_hello_feed(
	struct client_hello *hello, const uint8_t *data, size_t length);

/* At CLIENT_HELLO_MORE: how many bytes have to follow at least before the verdict can be
 * CLIENT_HELLO_NAMED or CLIENT_HELLO_PLAIN. Fewer can only show that this is no ClientHello; that
 * is found at the end of each header of a record at the latest. */
size_t client_hello_lacks(const struct client_hello *hello);

#endif
