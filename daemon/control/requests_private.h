/* SPDX-License-Identifier: BSD-2-Clause */
/* One request, shared by requests.c (framing), requests_service.c and requests_manage.c only. */
#ifndef SOCKETBOX_DAEMON_CONTROL_REQUESTS_PRIVATE_H
#define SOCKETBOX_DAEMON_CONTROL_REQUESTS_PRIVATE_H

#include <jansson.h>

#include "daemon/control/requests.h"

/* Every message that a peer may send. */
union message {
	struct wire_header header;
	struct wire_hello hello;
	struct wire_claim claim;
	struct wire_explain explain;
	struct wire_receive receive;
	struct wire_drain drain;
	char bytes[256];
};

struct request {
	struct daemon_state *state;
	struct requests_peer *peer;
	union message message;
	int fd;	   /* what came with it, or -1 */
	bool lost; /* the answer could not be sent */
};

/* What precedes an answer. */
struct wire_header requests_header(
	const struct request *request, enum wire_type type, size_t length);

/* Sends the answer, with a descriptor or -1. A peer that does not read its answers is not waited
 * for. Where one is lost, for want of memory too, the connection is closed, so that nobody waits
 * for it. */
void requests_answer(struct request *request, const void *message, size_t length, int fd);

/* A sealed file with these contents for an answer: any size, and the reader can trust it not to
 * change, but that it is emptied some seconds later unless its user is trusted. */
int requests_make_file(
	struct request *request, const void *data, size_t size, int *fd, struct err *err);

/* Answer with WIRE_TEXT; the object, which may be NULL for want of memory, is freed. */
int requests_reply_text(struct request *request, const char *text, size_t size, struct err *err);
int requests_reply_json(struct request *request, json_t *object, struct err *err);

/* Each checks a message of its kind, whose length is right, and carries it out. What it returns
 * other than 0 is answered by the error. */
int requests_hello(struct request *request, struct err *err);
int requests_claim(struct request *request, struct err *err); /* WIRE_REGISTER, too */
int requests_receive(struct request *request, struct err *err);
int requests_destination(struct request *request, struct err *err);
int requests_status(struct request *request, struct err *err);
int requests_explain(struct request *request, struct err *err);
int requests_reload(struct request *request, struct err *err);
int requests_turns(struct request *request, struct err *err);
int requests_drain(struct request *request, struct err *err);

#endif
