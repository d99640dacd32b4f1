// SPDX-License-Identifier: BSD-2-Clause
// Hostile clients of a `getsocks` socket. The input is a list of steps of one client, each a byte
// and what it needs. Whatever it says and however it leaves, what it gets is whole, it gets nothing
// twice, and no descriptor is left behind.
#include <event2/event.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/cleanup.h"
#include "daemon/control/getsocks.h"
#include "tests/fuzz/fake_engine.h"
#include "tests/fuzz/fuzz.h"

#define MOST_STEPS 32
#define ABOUT_EACH 6 /* bytes with each socket */

enum step {
	STEP_SAY, /* length, text */
	STEP_ASK,
	STEP_READ, /* how much at most */
	STEP_GIVE, /* sends a descriptor */
	STEP_SHUT,
	STEP_LEAVE,
	STEP_FORGET, /* the configuration loses the service, or gets it back */
	STEP_KINDS,
};

struct client {
	int fd;
	size_t sockets, bytes; /* that it got */
};

struct input {
	const uint8_t *data;
	size_t left;
};

static struct event_base *base;
static int some_fd;
static char directory[64], path[96];
static struct config *configs[2], *in_force;
static struct engine *engine;
static struct drains *drains;
static struct claims *claims;
static struct getsocks *getsocks;

static struct config *load(const char *text)
{
	struct diagnostics diagnostics = {0};
	struct config *config = NULL;
	char file[96];
	int fd;

	snprintf(file, sizeof(file), "%s/config", directory);
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FUZZ_REQUIRE(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	FUZZ_REQUIRE(!config_load(file, &config, &diagnostics));
	diagnostics_fini(&diagnostics);
	unlink(file);
	return config;
}

static void configure(struct config *config)
{
	in_force = config;
	claims_configure(claims, config);
	getsocks_configure(getsocks, config);
}

static void clean_up(void)
{
	unlink(path);
	rmdir(directory);
}

/* All sockets are bound in a network namespace of the fuzzer's own. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char text[512];

	(void)argc;
	(void)argv;
	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET)) {
		perror("a network namespace (needs root, or user namespaces)");
		exit(77); /* meson: skipped */
	}
	/* Without a disk, if it can be had. */
	snprintf(directory, sizeof(directory), "%s/socketbox-fuzz-XXXXXX",
		access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	FUZZ_REQUIRE(mkdtemp(directory));
	atexit(clean_up);
	snprintf(path, sizeof(path), "%s/getsocks", directory);
	snprintf(text, sizeof(text),
		"services: {web: {hold: 0, getsocks: \"%s\"}}\n"
		"routes: [{to: [\"192.0.2.1\", \"2001:db8::1\"], port: 443, service: web},\n"
		"  {port: 81, service: web}]\n",
		path);
	configs[0] = load(text);
	configs[1] = load("services: {other: {}}\nroutes: [{port: 80, service: other}]\n");
	some_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	base = event_base_new();
	engine = fake_engine_new();
	FUZZ_REQUIRE(some_fd >= 0 && base && engine);
	drains = drains_new(NULL);
	claims = claims_new(base, engine, NULL, drains, NULL);
	FUZZ_REQUIRE(drains && claims);
	getsocks = getsocks_new(base, claims);
	FUZZ_REQUIRE(getsocks);
	configure(configs[0]);
	return 0;
}

/* A client is accepted, and then heard. */
static void turn(void)
{
	for (int i = 0; i < 2; i++)
		FUZZ_REQUIRE(event_base_loop(base, EVLOOP_NONBLOCK) >= 0);
}

static int lowest_free_fd(void)
{
	int fd = dup(some_fd);

	FUZZ_REQUIRE(fd >= 0);
	close(fd);
	return fd;
}

static void leave(struct client *client)
{
	cleanup_close_fd(&client->fd);
	client->sockets = client->bytes = 0;
}

static void arrive(struct client *client)
{
	struct sockaddr_un address;

	if (client->fd >= 0)
		return;
	FUZZ_REQUIRE(!channel_address(path, "", &address, NULL));
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	FUZZ_REQUIRE(client->fd >= 0);
	if (connect(client->fd, (struct sockaddr *)&address, sizeof(address)))
		cleanup_close_fd(&client->fd);
}

/* One byte at a time brings each descriptor by itself or not at all, so all is asked for. */
static void read_some(struct client *client, size_t most)
{
	char text[256];
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(253 * sizeof(int))];
	} control;
	struct iovec data = {.iov_base = text, .iov_len = most % sizeof(text) + 1};
	struct msghdr message = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t got = recvmsg(client->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (got < 0)
		return;
	client->bytes += (size_t)got;
	for (struct cmsghdr *item = CMSG_FIRSTHDR(&message); item;
		item = CMSG_NXTHDR(&message, item)) {
		size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < count; i++) {
			int fd, listens = 0;
			socklen_t length = sizeof(listens);

			memcpy(&fd, CMSG_DATA(item) + i * sizeof(int), sizeof(fd));
			FUZZ_REQUIRE(!getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length));
			FUZZ_REQUIRE(listens);
			close(fd);
		}
		client->sockets += count;
	}
	/* Two addresses; the wildcard is nobody's to take. */
	FUZZ_REQUIRE(client->sockets <= 2);
	FUZZ_REQUIRE(client->bytes <= sizeof(int32_t) + 2 * ABOUT_EACH);
}

static uint8_t next(struct input *input)
{
	if (!input->left)
		return 0;
	input->left--;
	return *input->data++;
}

static void say(struct client *client, struct input *input)
{
	size_t length = next(input);

	if (length > input->left)
		length = input->left;
	send(client->fd, input->data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	input->data += length;
	input->left -= length;
}

static void take_step(struct client *client, struct input *input)
{
	uint8_t step = next(input);

	arrive(client);
	if (step & 128)
		turn();
	switch ((enum step)(step % STEP_KINDS)) {
	case STEP_SAY:
		say(client, input);
		break;
	case STEP_ASK:
		send(client->fd, "_getsocks\n", 10, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case STEP_READ:
		if (client->fd >= 0)
			read_some(client, next(input));
		break;
	case STEP_GIVE:
		channel_send(client->fd, "_", 1, client->fd, MSG_DONTWAIT);
		break;
	case STEP_SHUT:
		shutdown(client->fd, SHUT_WR);
		break;
	case STEP_LEAVE:
		leave(client);
		break;
	default:
		configure(configs[step / 64 % 2]);
	}
	turn();
}

static void on_claim(const struct claims_view *view, void *context)
{
	(void)view;
	(void)context;
	FUZZ_REQUIRE(!"a claim is left");
}

/* All as it was: clients see each other by nothing. */
static void restore(void)
{
	if (in_force != configs[0])
		configure(configs[0]);
	claims_visit(claims, on_claim, NULL);
	fake_engine_forget(engine);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int lowest = lowest_free_fd();
	struct client client = {.fd = -1};
	struct input input = {data, size};

	for (unsigned i = 0; input.left && i < MOST_STEPS; i++)
		take_step(&client, &input);
	leave(&client);
	turn();
	restore();
	FUZZ_REQUIRE(lowest_free_fd() == lowest);
	return 0;
}
