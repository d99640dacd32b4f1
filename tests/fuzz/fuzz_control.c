// SPDX-License-Identifier: BSD-2-Clause
// Hostile and broken peers of the control socket. The input is a list of steps, each a byte and
// what it needs: messages of four peers, descriptors with them, peers that leave, sockets that die,
// configurations that change. Whatever comes, each message gets one well-formed answer or ends its
// connection, and no descriptor is left behind.
#include <event2/event.h>
#include <fcntl.h>
#include <jansson.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/config_reload.h"
#include "daemon/control/requests.h"
#include "tests/fuzz/fake_engine.h"
#include "tests/fuzz/fuzz.h"

#define PEERS	    4
#define MAX_MESSAGE 512
#define MAX_STEPS   16
#define MAX_RELOADS 2 /* which take longer than all else */
#define MAX_TEXTS   2 /* that are read again, which takes longer than writing them */
#define COUNT(list) (sizeof(list) / sizeof(*(list)))

enum step {
	STEP_RAW,      /* peer, descriptors, length: the message as it is */
	STEP_FORMED,   /* peer, descriptors, type: the harness writes the header */
	STEP_LEAVE,    /* peer */
	STEP_LOSE,     /* which of the steered sockets */
	STEP_CONFIG,   /* which configuration the next reload reads */
	STEP_FAIL,     /* how many calls of the engine until one fails */
	STEP_MISTREAT, /* what a holder does to the last socket that it was given */
	STEP_TURN,     /* the daemon notices what has happened to its sockets */
	STEP_KINDS,
};

static const char *const configurations[] = {
	("services:\n"
	 "  blog: {allow: {user: [1000]}, hold: 0, grants: {passive: 90-93, connect: [20]}}\n"
	 "  shop: {allow: {group: [7]}}\n"
	 "  dns: {hold: 1h, grants: {connect: true, protocol: [tcp, udp]}}\n"
	 "  mail: {handoff: {}}\n"
	 "routes:\n"
	 "  - {to: \"192.0.2.1\", port: 80-90, service: blog}\n"
	 "  - {to: \"2001:db8::/64\", port: [80, 443], service: shop}\n"
	 "  - {port: 53, protocol: [tcp, udp], service: dns}\n"
	 "  - {to: \"192.0.2.2\", from: \"10.0.0.0/8\", port: 80, service: shop}\n"
	 "  - {port: 81, service: shop, target-port: 3000}\n"
	 "  - {port: 3000, service: shop}\n"
	 "  - {port: 82, refuse: silent}\n"
	 "  - {port: 83, pass: true}\n"
	 "  - {to: \"192.0.2.1\", port: 25, service: mail}\n"
	 "  - {port: 80, service: blog}\n"),
	("services: {blog: {hold: 10s}, shop: {allow: {user: [1000, 2000]}}}\n"
	 "routes: [{port: 80, service: shop}, {to: \"192.0.2.1\", service: blog}]\n"),
	("services: {blog: {}}\nroutes: [{port: 0, service: blgo}]\n"),
	"",
};

struct party {
	struct requests_peer daemon_side;
	int fd;	   /* the peer's side */
	int given; /* the last socket that it got, or -1 */
	bool connected;
};

struct input {
	const uint8_t *data;
	size_t left;
};

static struct event_base *base;
static struct daemon_state state;
static struct party parties[PEERS];
static unsigned reloads, texts; /* so far in this execution */
static bool changed;		/* more of it than claims and grants */
static int no_socket;		/* a descriptor of another kind */
static char config_paths[COUNT(configurations)][64];

/* A daemon with the first configuration. */
static void open_state(void)
{
	struct diagnostics diagnostics = {0};

	state = (struct daemon_state){
		.config_path = config_paths[0],
		.control_path = "control.sock",
		.engine = fake_engine_new(),
	};
	FUZZ_REQUIRE(state.engine && !state_open(&state, base, NULL));
	FUZZ_REQUIRE(!config_reload(&state, &diagnostics));
	diagnostics_fini(&diagnostics);
	changed = false;
}

/* The daemon as open_state leaves it. A configuration is not read again where none has been. */
static void restore_state(void)
{
	if (changed) {
		state_fini(&state);
		open_state();
		return;
	}
	getsocks_free(state.getsocks);
	claims_free(state.claims);
	grants_free(state.grants);
	fake_engine_forget(state.engine);
	state.config_path = config_paths[0];
	state.claims = claims_new(base, state.engine, state.confinement, state.drains, NULL);
	FUZZ_REQUIRE(state.claims);
	state.getsocks = getsocks_new(base, state.claims);
	state.grants = grants_new(state.engine, state.confinement);
	FUZZ_REQUIRE(state.getsocks && state.grants);
	claims_configure(state.claims, state.config);
	getsocks_configure(state.getsocks, state.config);
	grants_configure(state.grants, state.config);
}

/* Before the first message: a connection is made once, and is another peer's after each end. */
static void open_party(struct party *party)
{
	int pair[2];

	FUZZ_REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
	*party = (struct party){.daemon_side = {.fd = pair[0]}, .fd = pair[1], .given = -1};
}

/* All sockets are bound in a network namespace of the fuzzer's own. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET)) {
		perror("a network namespace (needs root, or user namespaces)");
		exit(77); /* meson: skipped */
	}
	base = event_base_new();
	no_socket = open("/dev/null", O_RDWR | O_CLOEXEC);
	FUZZ_REQUIRE(base && no_socket >= 0);
	for (size_t i = 0; i < COUNT(configurations); i++) {
		int fd = memfd_create("configuration", MFD_CLOEXEC);
		size_t length = strlen(configurations[i]);

		FUZZ_REQUIRE(fd >= 0);
		FUZZ_REQUIRE(write(fd, configurations[i], length) == (ssize_t)length);
		snprintf(config_paths[i], sizeof(config_paths[i]), "/proc/self/fd/%d", fd);
	}
	json_object_seed(1);
	open_state();
	for (unsigned p = 0; p < PEERS; p++)
		open_party(&parties[p]);
	return 0;
}

static uint8_t take_byte(struct input *input)
{
	if (!input->left)
		return 0;
	input->left--;
	return *input->data++;
}

static size_t take_bytes(struct input *input, void *out, size_t size)
{
	size_t got = size < input->left ? size : input->left;

	memcpy(out, input->data, got);
	input->data += got;
	input->left -= got;
	return got;
}

/* Reads one answer; *fd is the caller's. */
static ssize_t read_answer(int from, void *answer, size_t room, int *fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec data = {.iov_base = answer, .iov_len = room};
	struct msghdr envelope = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t length = recvmsg(from, &envelope, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *item;

	*fd = -1;
	if (length <= 0)
		return length;
	FUZZ_REQUIRE(!(envelope.msg_flags & (MSG_TRUNC | MSG_CTRUNC)));
	item = CMSG_FIRSTHDR(&envelope);
	if (item) {
		FUZZ_REQUIRE(item->cmsg_len == CMSG_LEN(sizeof(int)));
		memcpy(fd, CMSG_DATA(item), sizeof(*fd));
	}
	return length;
}

static void check_json(int fd, uint64_t size)
{
	char *text = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	json_t *object;

	FUZZ_REQUIRE(text != MAP_FAILED);
	object = json_loadb(text, size, 0, NULL);
	FUZZ_REQUIRE(json_is_object(object));
	json_decref(object);
	munmap(text, size);
}

static void connect_party(struct party *party, unsigned number)
{
	static gid_t groups[] = {7};
	static const uid_t users[PEERS] = {0, 1000, 3000, 3000};

	party->connected = true;
	party->daemon_side = (struct requests_peer){.fd = party->daemon_side.fd,
		.credentials = {.pid = 100, .uid = number ? users[number] : geteuid()}};
	if (number == 2) {
		party->daemon_side.credentials.groups = groups;
		party->daemon_side.credentials.group_count = COUNT(groups);
	}
}

/* What has not been read is gone with the connection. */
static void disconnect_party(struct party *party)
{
	char rest[2048];
	int fd;

	if (!party->connected)
		return;
	claims_release(state.claims, &party->daemon_side.credentials);
	while (read_answer(party->fd, rest, sizeof(rest), &fd) > 0)
		cleanup_close_fd(&fd);
	cleanup_close_fd(&party->given);
	party->connected = false;
}

static size_t answer_size(uint16_t type)
{
	switch (type) {
	case WIRE_WELCOME:
		return sizeof(struct wire_welcome);
	case WIRE_CLAIMED:
		return sizeof(struct wire_claimed);
	case WIRE_TEXT:
		return sizeof(struct wire_text);
	case WIRE_RECEIVING:
		return sizeof(struct wire_header);
	case WIRE_ERROR:
		return sizeof(struct wire_error);
	default:
		return 0;
	}
}

/* What the protocol says of the answer to a message of this type. */
static void check_answer(struct party *party, uint16_t asked, uint32_t request)
{
	union {
		struct wire_header header;
		struct wire_welcome welcome;
		struct wire_claimed claimed;
		struct wire_text text;
		struct wire_error error;
	} answer;
	cleanup_close int fd = -1;
	ssize_t length = read_answer(party->fd, &answer, sizeof(answer), &fd);

	FUZZ_REQUIRE(length >= (ssize_t)sizeof(answer.header));
	FUZZ_REQUIRE(answer.header.magic == WIRE_MAGIC && answer.header.version == WIRE_VERSION);
	FUZZ_REQUIRE(answer.header.length == (size_t)length);
	FUZZ_REQUIRE(answer_size(answer.header.type) == (size_t)length);
	FUZZ_REQUIRE(answer.header.request == request);
	switch (answer.header.type) {
	case WIRE_WELCOME:
		FUZZ_REQUIRE(asked == WIRE_HELLO);
		FUZZ_REQUIRE(lseek(fd, 0, SEEK_END) ==
			     (off_t)(answer.welcome.endpoint_count * sizeof(struct wire_endpoint)));
		break;
	case WIRE_CLAIMED:
		FUZZ_REQUIRE(asked == WIRE_CLAIM || asked == WIRE_REGISTER);
		FUZZ_REQUIRE((fd >= 0) == (asked == WIRE_CLAIM));
		FUZZ_REQUIRE(answer.claimed.bound_port || asked == WIRE_REGISTER);
		FUZZ_REQUIRE(
			!answer.claimed.granted || (asked == WIRE_CLAIM && !answer.claimed.shared));
		if (fd >= 0) {
			cleanup_close_fd(&party->given);
			party->given = take_fd(&fd);
		}
		break;
	case WIRE_RECEIVING:
		FUZZ_REQUIRE(asked == WIRE_RECEIVE && fd >= 0);
		cleanup_close_fd(&party->given);
		party->given = take_fd(&fd);
		changed = true;
		break;
	case WIRE_TEXT:
		FUZZ_REQUIRE((asked >= WIRE_STATUS && asked <= WIRE_DESTINATION) ||
			     asked == WIRE_DRAIN || asked == WIRE_TURNS);
		FUZZ_REQUIRE(lseek(fd, 0, SEEK_END) == (off_t)answer.text.size);
		if (asked != WIRE_DESTINATION && texts++ < MAX_TEXTS)
			check_json(fd, answer.text.size);
		break;
	default:
		FUZZ_REQUIRE(fd < 0 && answer.error.code > 0);
		FUZZ_REQUIRE(answer.error.text[0]);
		FUZZ_REQUIRE(memchr(answer.error.text, '\0', sizeof(answer.error.text)));
	}
}

/* Descriptors to send: none, another kind of file, what the daemon gave, or many. */
static size_t choose_fds(const struct party *party, unsigned choice, int *fds, size_t room)
{
	switch (choice) {
	case 1:
		fds[0] = party->fd;
		return 1;
	case 2:
		fds[0] = no_socket;
		return 1;
	case 3:
		fds[0] = party->given;
		return party->given >= 0;
	case 4:
		fds[0] = parties[0].given;
		return parties[0].given >= 0;
	case 5:
		for (size_t i = 0; i < room; i++)
			fds[i] = party->fd;
		return room;
	default:
		return 0;
	}
}

static bool send_message(int to, const void *message, size_t length, const int *fds, size_t count)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(20 * sizeof(int))];
	} control = {0};
	struct iovec data = {.iov_base = (void *)message, .iov_len = length};
	struct msghdr envelope = {.msg_iov = &data, .msg_iovlen = 1};

	if (count) {
		envelope.msg_control = &control;
		envelope.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
	}
	return sendmsg(to, &envelope, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length;
}

static size_t form_message(struct input *input, uint8_t *message)
{
	static const size_t sizes[] = {
		[WIRE_HELLO] = sizeof(struct wire_hello),
		[WIRE_CLAIM] = sizeof(struct wire_claim),
		[WIRE_REGISTER] = sizeof(struct wire_claim),
		[WIRE_STATUS] = sizeof(struct wire_header),
		[WIRE_EXPLAIN] = sizeof(struct wire_explain),
		[WIRE_RELOAD] = sizeof(struct wire_header),
		[WIRE_DESTINATION] = sizeof(struct wire_header),
		[WIRE_RECEIVE] = sizeof(struct wire_receive),
		[WIRE_DRAIN] = sizeof(struct wire_drain),
		[WIRE_TURNS] = sizeof(struct wire_header),
	};
	uint8_t type = (uint8_t)(1 + take_byte(input) % (COUNT(sizes) - 1));
	struct wire_header header = {WIRE_MAGIC, WIRE_VERSION, type, (uint32_t)sizes[type], 7};

	memset(message, 0, sizes[type]);
	memcpy(message, &header, sizeof(header));
	take_bytes(input, message + sizeof(header), sizes[type] - sizeof(header));
	return sizes[type];
}

static void talk(struct input *input, bool raw)
{
	uint8_t choice = take_byte(input);
	unsigned number = choice % PEERS;
	struct party *party = &parties[number];
	uint8_t message[MAX_MESSAGE];
	struct wire_header header = {0};
	size_t length, fd_count;
	int fds[20];
	int over;

	if (!party->connected)
		connect_party(party, number);
	if (raw) {
		length = take_byte(input) | (size_t)take_byte(input) << 8;
		length = take_bytes(input, message, length % (MAX_MESSAGE + 1));
	} else {
		length = form_message(input, message);
	}
	memcpy(&header, message, length < sizeof(header) ? length : sizeof(header));
	if (header.type == WIRE_RELOAD && reloads++ >= MAX_RELOADS)
		return;
	fd_count = choose_fds(party, choice / PEERS % 8, fds, COUNT(fds));
	if (!send_message(party->fd, message, length, fds, fd_count))
		return;
	/* Whether or not they are done. */
	changed |= !number && (header.type == WIRE_RELOAD || header.type == WIRE_DRAIN);
	over = requests_serve(&state, &party->daemon_side);
	while (!over && party->daemon_side.asks_status)
		over = requests_continue(&state, &party->daemon_side);
	if (over)
		disconnect_party(party);
	else
		check_answer(party, header.type, header.request);
}

static void mistreat(struct party *party, uint8_t how)
{
	if (party->given < 0)
		return;
	switch (how % 3) {
	case 0:
		shutdown(party->given, SHUT_RDWR);
		break;
	case 1:
		setsockopt(party->given, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int));
		break;
	default:
		cleanup_close_fd(&party->given);
	}
}

static void take_step(struct input *input)
{
	uint8_t step = take_byte(input) % STEP_KINDS, choice;

	if (step == STEP_RAW || step == STEP_FORMED) {
		talk(input, step == STEP_RAW);
		return;
	}
	choice = take_byte(input);
	switch (step) {
	case STEP_LEAVE:
		disconnect_party(&parties[choice % PEERS]);
		break;
	case STEP_LOSE:
		fake_engine_lose(state.engine, choice);
		break;
	case STEP_CONFIG:
		state.config_path = config_paths[choice % COUNT(config_paths)];
		break;
	case STEP_FAIL:
		fake_engine_fail(state.engine, choice);
		break;
	case STEP_TURN:
		FUZZ_REQUIRE(event_base_loop(base, EVLOOP_NONBLOCK) >= 0);
		break;
	default:
		mistreat(&parties[choice % PEERS], choice / PEERS);
	}
}

static int lowest_free_fd(void)
{
	int fd = dup(no_socket);

	FUZZ_REQUIRE(fd >= 0);
	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	int lowest = lowest_free_fd();

	reloads = texts = 0;
	for (unsigned i = 0; input.left && i < MAX_STEPS; i++)
		take_step(&input);
	for (unsigned p = 0; p < PEERS; p++)
		disconnect_party(&parties[p]);
	restore_state();
	FUZZ_REQUIRE(lowest_free_fd() == lowest);
	return 0;
}
