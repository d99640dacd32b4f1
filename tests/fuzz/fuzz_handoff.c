// SPDX-License-Identifier: BSD-2-Clause
// Hostile senders: whatever comes over a handoff socket, with whatever descriptors, a receiver
// takes one of them or says why not, closes the rest, and keeps its own. The input's first byte
// chooses the kind of socket; each message is a byte that says how long it is and how many
// descriptors go with it, a byte that chooses those, and its text.
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/cleanup.h"
#include "common/handoff_message.h"
#include "tests/fuzz/fuzz.h"

#define MOST_SENT     32 /* descriptors; more than a receiver looks for */
#define MOST_MESSAGES 16 /* more than a queue of datagrams holds */
#define KINDS	      4

/* Mostly few, since each costs the kernel as much as a message; and about as many as are looked
 * for. */
static const uint8_t counts[32] = {0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3,
	3, 4, 5, 8, 15, 16, 17, 18, 31, MOST_SENT};

static int sendable[KINDS]; /* sockets, a file and a pipe */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	int pair[2];

	(void)argc;
	(void)argv;
	sendable[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	sendable[1] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	sendable[2] = open("/dev/null", O_RDWR | O_CLOEXEC);
	FUZZ_REQUIRE(!pipe2(pair, O_CLOEXEC));
	sendable[3] = pair[0];
	for (size_t i = 0; i < KINDS; i++)
		FUZZ_REQUIRE(sendable[i] >= 0);
	return 0;
}

static int lowest_free_fd(void)
{
	int fd = dup(sendable[2]);

	FUZZ_REQUIRE(fd >= 0);
	close(fd);
	return fd;
}

/* As a sender that keeps to nothing: several items of control data, too. */
static void send_anything(
	int channel, const uint8_t *text, size_t length, unsigned count, unsigned choice)
{
	union {
		struct cmsghdr header;
		char space[2 * CMSG_SPACE(MOST_SENT * sizeof(int))];
	} control = {0};
	struct iovec data = {.iov_base = (void *)text, .iov_len = length};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
	int fds[MOST_SENT];

	for (unsigned i = 0; i < count; i++)
		fds[i] = sendable[(choice + i) % KINDS];
	if (count) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
	}
	/* -1: full, or shut down; then that is it. */
	sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* The receivers' way. False at the end of what there is. */
static bool take_one(int channel)
{
	int fd = -1, result = handoff_recv(channel, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, &fd);

	FUZZ_REQUIRE((fd >= 0) == !result);
	if (!result) {
		FUZZ_REQUIRE(fcntl(fd, F_GETFD) == FD_CLOEXEC);
		close(fd);
	}
	return !result || result == -EBADMSG;
}

/* The control socket's. */
static bool receive_one(int channel)
{
	char text[64];
	int fd = -1;
	ssize_t length =
		channel_receive(channel, text, sizeof(text), &fd, MSG_DONTWAIT | MSG_TRUNC);

	FUZZ_REQUIRE(length >= 0 || fd < 0);
	if (fd >= 0)
		FUZZ_REQUIRE(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	cleanup_close_fd(&fd);
	return length > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int types[] = {SOCK_DGRAM, SOCK_STREAM, SOCK_SEQPACKET};
	int lowest = lowest_free_fd(), pair[2];
	bool (*receive)(int channel) = size && data[0] & 128 ? receive_one : take_one;

	FUZZ_REQUIRE(!socketpair(AF_UNIX, types[size ? data[0] % 3 : 0] | SOCK_CLOEXEC, 0, pair));
	for (size_t at = 1, sent = 0; at + 2 <= size && sent < MOST_MESSAGES; sent++) {
		size_t length = data[at] % 8;
		unsigned count = counts[data[at] / 8], choice = data[at + 1];

		at += 2;
		if (length > size - at)
			length = size - at;
		send_anything(pair[0], data + at, length, count, choice);
		at += length;
		/* Some are received at once, others wait. */
		if (choice & 64)
			receive(pair[1]);
	}
	close(pair[0]);
	for (int i = 0; i < 1000 && receive(pair[1]); i++)
		continue;
	close(pair[1]);
	FUZZ_REQUIRE(lowest_free_fd() == lowest);
	return 0;
}
