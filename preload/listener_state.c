// SPDX-License-Identifier: BSD-2-Clause
// Socket options as the constants of a socket filter.
#include "preload/listener_state.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/sockopts.h"
#include "preload/real.h"

#define MAGIC	  0x53426f78u /* and the version of what follows */
#define LISTENING 1u

/* glibc 2.36 has no names for them. */
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif
#define SEND_BUFFER_LOCKED    1
#define RECEIVE_BUFFER_LOCKED 2

#ifndef SO_GET_FILTER
#define SO_GET_FILTER SO_ATTACH_FILTER
#endif

/* The filter: MAGIC, flags, words, "accept". */
enum { HEAD = 2, MOST_INSTRUCTIONS = HEAD + STATE_MOST_WORDS + 1 };

/* One option: a word that says which and how long, and its bytes in words. */
static uint32_t head_of(int level, int name, socklen_t length)
{
	return (uint32_t)level << 24 | (uint32_t)name << 8 | length;
}

static unsigned words_of(uint32_t head)
{
	return 1 + ((head & 0xff) + 3) / 4;
}

/* Another program's filter may look like ours up to here. */
static bool is_whole(const struct state *state)
{
	unsigned at = 0;

	while (at < state->used)
		at += words_of(state->words[at]);
	return at == state->used;
}

bool state_read(int fd, struct state *state)
{
	struct sock_filter filter[MOST_INSTRUCTIONS];
	socklen_t count = MOST_INSTRUCTIONS; /* of instructions, here alone */
	int saved = errno;
	bool found = !real_get()->getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, filter, &count) &&
		     count > HEAD && count <= MOST_INSTRUCTIONS && filter[0].k == MAGIC;

	errno = saved;
	state->listening = found && filter[1].k & LISTENING;
	state->used = found ? count - HEAD - 1 : 0;
	for (unsigned i = 0; i < state->used; i++)
		state->words[i] = filter[HEAD + i].k;
	if (is_whole(state))
		return found;
	*state = (struct state){0};
	return false;
}

bool state_write(int fd, const struct state *state)
{
	struct sock_filter filter[MOST_INSTRUCTIONS];
	struct sock_fprog program = {
		.len = (unsigned short)(HEAD + state->used + 1), .filter = filter};
	int saved = errno;
	bool done;

	filter[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, MAGIC);
	filter[1] =
		(struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, state->listening ? LISTENING : 0);
	for (unsigned i = 0; i < state->used; i++)
		filter[HEAD + i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, state->words[i]);
	filter[HEAD + state->used] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
	done = !real_get()->setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
	errno = saved;
	return done;
}

static void forget_listener_state(struct state *state, uint32_t which)
{
	for (unsigned at = 0; at < state->used; at += words_of(state->words[at])) {
		unsigned size = words_of(state->words[at]);

		if ((state->words[at] ^ which) >> 8)
			continue;
		memmove(state->words + at, state->words + at + size,
			(state->used - at - size) * sizeof(*state->words));
		state->used -= size;
		return;
	}
}

bool state_set(struct state *state, int level, int name, const void *data, socklen_t length)
{
	uint32_t head = head_of(level, name, length);

	if (length > STATE_MOST_DATA || level < 0 || level > 0xff || name < 0 || name > 0xffff)
		return false;
	forget_listener_state(state, head);
	if (state->used + words_of(head) > STATE_MOST_WORDS)
		return false;
	state->words[state->used] = head;
	memset(state->words + state->used + 1, 0, (words_of(head) - 1) * sizeof(uint32_t));
	memcpy(state->words + state->used + 1, data, length);
	state->used += words_of(head);
	return true;
}

static void set_listener_state(int fd, const uint32_t *entry)
{
	int saved = errno;

	real_get()->setsockopt(fd, (int)(entry[0] >> 24), (int)(entry[0] >> 8 & 0xffff), entry + 1,
		entry[0] & 0xff);
	errno = saved;
}

bool state_apply_one(const struct state *state, int fd, int level, int name)
{
	for (unsigned at = 0; at < state->used; at += words_of(state->words[at])) {
		if ((state->words[at] ^ head_of(level, name, 0)) >> 8)
			continue;
		set_listener_state(fd, state->words + at);
		return true;
	}
	return false;
}

/* What means something to listeners only, or may be set before bind only. */
static bool is_listeners(uint32_t head)
{
	static const struct {
		int level, name;
	} own[] = {
		{SOL_SOCKET, SO_REUSEADDR},
		{SOL_SOCKET, SO_REUSEPORT},
		{IPPROTO_TCP, TCP_DEFER_ACCEPT},
		{IPPROTO_TCP, TCP_FASTOPEN},
		{IPPROTO_TCP, TCP_SAVE_SYN},
		{IPPROTO_IPV6, IPV6_V6ONLY},
	};

	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++) {
		if (!((head ^ head_of(own[i].level, own[i].name, 0)) >> 8))
			return true;
	}
	return false;
}

void state_apply(const struct state *state, int connection)
{
	for (unsigned at = 0; at < state->used; at += words_of(state->words[at])) {
		if (!is_listeners(state->words[at]))
			set_listener_state(connection, state->words + at);
	}
}

static bool get_listener_state(int fd, int level, int name, void *data, socklen_t *length)
{
	*length = STATE_MOST_DATA;
	memset(data, 0, STATE_MOST_DATA);
	return !real_get()->getsockopt(fd, level, name, data, length) && *length <= STATE_MOST_DATA;
}

/* A buffer size that was set; the kernel doubles what it is given (socket(7)). */
static void take_over_buffer(struct state *state, int fd, int name)
{
	int size = real_number(fd, name) / 2;

	if (size > 0)
		state_set(state, SOL_SOCKET, name, &size, sizeof(size));
}

void state_take_over(struct state *state, int fd, int listener)
{
	cleanup_close int fresh = socket(real_number(fd, SO_DOMAIN), SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint8_t mine[STATE_MOST_DATA], usual[STATE_MOST_DATA];
	socklen_t length, usual_length;
	int saved = errno, locked = real_number(fd, SO_BUF_LOCK),
	    reuse = real_number(fd, SO_REUSEADDR);

	if (reuse > 0) /* means nothing to a Unix socket, but is asked for */
		real_get()->setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
	for (size_t i = 0; fresh >= 0 && i < sockopts_count; i++) {
		int level = sockopts[i].level, name = sockopts[i].name;

		if (!get_listener_state(fd, level, name, mine, &length) ||
			!get_listener_state(fresh, level, name, usual, &usual_length) ||
			!memcmp(mine, usual, sizeof(mine)))
			continue;
		state_set(state, level, name, mine, length);
		if (level == SOL_SOCKET)
			real_get()->setsockopt(listener, level, name, mine, length);
	}
	if (locked > 0 && locked & SEND_BUFFER_LOCKED)
		take_over_buffer(state, fd, SO_SNDBUF);
	if (locked > 0 && locked & RECEIVE_BUFFER_LOCKED)
		take_over_buffer(state, fd, SO_RCVBUF);
	errno = saved;
}
