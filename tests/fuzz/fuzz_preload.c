// SPDX-License-Identifier: BSD-2-Clause
// What the preload library reads: SKBOX_ and SOCKETBOX_PRELOAD_ variables, addresses of binds,
// records of directory files, bound names, options in socket filters. The input is a list of steps,
// each a byte and what it needs. Whatever is there, a bind gets a path that can be used, stays
// the program's own, or is refused.
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/handoff_message.h"
#include "preload/listener_state.h"
#include "preload/name.h"
#include "preload/preload_settings.h"
#include "tests/fuzz/fuzz.h"

#define MOST_STEPS	64
#define RECORDS_SIZE	1024
#define WORDS_OF(entry) (1 + ((entry) % 256 + 3) / 4)

enum step {
	STEP_SET,    /* which variable, length (2 bytes), text: "@" at its start is the directory */
	STEP_READ,   /* the environment */
	STEP_RECORD, /* offset, length, bytes */
	STEP_VIRTUAL, /* kind, X, Y, port (2 bytes each): bind fe8f::KIND:X:Y */
	STEP_BIND,    /* family, address, port */
	STEP_DECODE,  /* length, bytes */
	STEP_ENCODE,  /* family, address, port, process and number, length, path */
	STEP_FILTER,  /* count, words: a filter that somebody has attached */
	STEP_OPTION,  /* level, name, length, bytes: an option that the program sets */
	STEP_KINDS,
};

enum variable { ROOT, ROOT2, STEALTH, PORTS6, WILDCARD4, WILDCARD6, SOCKET, PORTS, ADDRESSES };

static const char *const variables[] = {
	[ROOT] = "SKBOX_DIRECTORY_ROOT",
	[ROOT2] = "SKBOX_DIRECTORY_ROOT2",
	[STEALTH] = "SKBOX_STEALTH_MODE",
	[PORTS6] = "SKBOX_PORT_FILTER_IPV6",
	[WILDCARD4] = "SKBOX_PORT_FILTER_WILDCARD4",
	[WILDCARD6] = "SKBOX_PORT_FILTER_WILDCARD6",
	[SOCKET] = "SOCKETBOX_PRELOAD_SOCKET",
	[PORTS] = "SOCKETBOX_PRELOAD_PORTS",
	[ADDRESSES] = "SOCKETBOX_PRELOAD_ADDRESSES",
};

#define VARIABLES (sizeof(variables) / sizeof(*variables))

struct input {
	const uint8_t *data;
	size_t left;
};

static char directory[] = "/tmp/socketbox-fuzz-XXXXXX";
static char records_path[64], missing_path[64];
static int records, receiver;
static uint8_t written[RECORDS_SIZE]; /* what the records are */
static char *environment[VARIABLES];
static bool records_lead; /* virtual addresses are looked up in the records */

static void clean_up(void)
{
	unlink(records_path);
	unlink(missing_path);
	rmdir(directory);
}

/* X is 0 for the records, 1 for a file that cannot be read; there are no others. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char target[64];

	(void)argc;
	(void)argv;
	records = memfd_create("records", MFD_CLOEXEC);
	receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	FUZZ_REQUIRE(records >= 0 && receiver >= 0 && mkdtemp(directory));
	atexit(clean_up);
	snprintf(target, sizeof(target), "/proc/self/fd/%d", records);
	snprintf(records_path, sizeof(records_path), "%s/skbox_dir_00000", directory);
	snprintf(missing_path, sizeof(missing_path), "%s/skbox_dir_00001", directory);
	FUZZ_REQUIRE(!symlink(target, records_path) && !symlink("/", missing_path));
	return 0;
}

static uint8_t take_byte(struct input *input)
{
	if (!input->left)
		return 0;
	input->left--;
	return *input->data++;
}

static uint16_t take_number(struct input *input)
{
	uint16_t high = take_byte(input);

	return (uint16_t)(high * 256u + take_byte(input));
}

static size_t take_bytes(struct input *input, void *out, size_t size)
{
	size_t got = size < input->left ? size : input->left;

	memcpy(out, input->data, got);
	input->data += got;
	input->left -= got;
	return got;
}

/* The caller's; of exactly its size, so that AddressSanitizer sees reads past its end. */
static char *take_text(struct input *input, size_t length)
{
	char *text;

	if (length > input->left)
		length = input->left;
	text = strndup((const char *)input->data, length);
	FUZZ_REQUIRE(text);
	input->data += length;
	input->left -= length;
	return text;
}

static void set_variable(struct input *input)
{
	unsigned which = take_byte(input) % VARIABLES;
	cleanup_free char *text = take_text(input, take_number(input));
	bool inside = text[0] == '@';

	free(environment[which]);
	FUZZ_REQUIRE(asprintf(&environment[which], "%s=%s%s", variables[which],
			     inside ? directory : "", text + inside) > 0);
}

/* Whether the variable begins with the text, or, a directory, is it. */
static bool is_set(enum variable which, const char *text)
{
	const char *value = environment[which] ? strchr(environment[which], '=') + 1 : "";

	return which == STEALTH ? !strncmp(value, text, strlen(text)) : !strcmp(value, text);
}

static void read_environment(void)
{
	char *list[VARIABLES + 1] = {0}, **own = environ;
	size_t count = 0;

	for (size_t i = 0; i < VARIABLES; i++) {
		if (environment[i])
			list[count++] = environment[i];
	}
	environ = list;
	settings_load();
	environ = own;
	FUZZ_REQUIRE(settings_stealth() == is_set(STEALTH, "1"));
	records_lead = is_set(ROOT, directory) && !environment[SOCKET];
}

static void write_records(struct input *input)
{
	size_t at = take_byte(input) * 4, length = take_byte(input);
	uint8_t text[256];

	length = take_bytes(input, text, length);
	if (length > sizeof(written) - at)
		length = sizeof(written) - at;
	memcpy(written + at, text, length);
	FUZZ_REQUIRE(pwrite(records, text, length, (off_t)at) == (ssize_t)length);
}

/* Record Y with the port in it, as it has to be in the address. */
static void check_record(const struct settings_target *target, unsigned y, uint16_t port)
{
	size_t size = sizeof(target->address.sun_path);
	char expected[sizeof(target->address.sun_path)];

	FUZZ_REQUIRE(y < RECORDS_SIZE / 128);
	memcpy(expected, written + (size_t)y * 128, size);
	handoff_fill_port(expected, size, port);
	FUZZ_REQUIRE(!memcmp(expected, target->address.sun_path, size));
}

static void check_target(const struct settings_target *target)
{
	const char *path = target->address.sun_path;
	size_t start = offsetof(struct sockaddr_un, sun_path);

	FUZZ_REQUIRE(target->address.sun_family == AF_UNIX);
	FUZZ_REQUIRE(target->type == SOCK_DGRAM || target->type == SOCK_STREAM);
	FUZZ_REQUIRE(target->length <= sizeof(target->address));
	if (!path[0]) {
		FUZZ_REQUIRE(target->length == sizeof(target->address) && path[1]);
		return;
	}
	FUZZ_REQUIRE(memchr(path, '\0', sizeof(target->address.sun_path)));
	FUZZ_REQUIRE(target->length >= start + strlen(path) + 1);
}

/* True if the bind is taken over. */
static bool dispatcher(
	int family, const struct addr_endpoint *endpoint, struct settings_target *target)
{
	struct settings_target again;
	int result = settings_match(family, endpoint, target);

	FUZZ_REQUIRE(result <= 1 && settings_match(family, endpoint, &again) == result);
	if (!endpoint->port)
		FUZZ_REQUIRE(!result);
	if (result < 1)
		return false;
	FUZZ_REQUIRE(!memcmp(&again.address, &target->address, sizeof(again.address)));
	check_target(target);
	return true;
}

static void bind_virtual(struct input *input)
{
	unsigned kind = take_byte(input) % 5, x = take_number(input), y = take_number(input);
	struct addr_endpoint endpoint = {
		.addr.bytes = {0xfe, 0x8f, [11] = (uint8_t)kind, [12] = (uint8_t)(x >> 8),
			[13] = (uint8_t)x, [14] = (uint8_t)(y >> 8), [15] = (uint8_t)y},
		.port = take_number(input)};
	struct settings_target target;

	if (dispatcher(AF_INET6, &endpoint, &target) && records_lead) {
		FUZZ_REQUIRE(kind < 4 && (kind > 1 || !x));
		if (kind < 2)
			check_record(&target, y, endpoint.port);
	}
}

static int take_bind(struct input *input, struct addr_endpoint *endpoint)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	int family = take_byte(input) % 2 ? AF_INET6 : AF_INET;
	size_t fixed = family == AF_INET ? sizeof(mapped) : 0;

	*endpoint = (struct addr_endpoint){0};
	memcpy(endpoint->addr.bytes, mapped, fixed);
	take_bytes(input, endpoint->addr.bytes + fixed, sizeof(endpoint->addr.bytes) - fixed);
	endpoint->port = take_number(input);
	return family;
}

static void bind_any(struct input *input)
{
	struct settings_target target;
	struct addr_endpoint endpoint;
	int family = take_bind(input, &endpoint);

	dispatcher(family, &endpoint, &target);
}

static void decode_name(struct input *input)
{
	struct sockaddr_un *address = malloc(sizeof(*address)), again;
	size_t length = take_byte(input) % sizeof(address->sun_path);
	struct name name, back;

	FUZZ_REQUIRE(address);
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	length = take_bytes(input, address->sun_path, length);
	length += offsetof(struct sockaddr_un, sun_path);
	if (name_decode(address, (socklen_t)length, &name)) {
		FUZZ_REQUIRE(name.family == AF_INET || name.family == AF_INET6);
		FUZZ_REQUIRE(name.fd >= 0 && name.fd < 1 << 24);
		FUZZ_REQUIRE(!name_encode(&name, "/x", &again));
		FUZZ_REQUIRE(name_decode(&again, sizeof(again), &back));
		FUZZ_REQUIRE(back.endpoint.port == name.endpoint.port && back.fd == name.fd);
		FUZZ_REQUIRE(addr_equal(&back.endpoint.addr, &name.endpoint.addr));
	}
	free(address);
}

static void encode_name(struct input *input)
{
	struct name name = {0}, back;
	cleanup_free char *path = NULL;
	struct sockaddr_un address;

	name.family = take_bind(input, &name.endpoint);
	name.process = take_number(input) * 65536u + take_number(input);
	name.fd = take_number(input);
	name.v6only = name.fd & 1;
	name.reuseport = name.fd & 2;
	path = take_text(input, take_byte(input));
	if (name_encode(&name, path, &address))
		return;
	FUZZ_REQUIRE(memchr(address.sun_path, '\0', sizeof(address.sun_path)));
	FUZZ_REQUIRE(name_decode(&address, sizeof(address), &back));
	FUZZ_REQUIRE(back.family == name.family && back.v6only == name.v6only);
	FUZZ_REQUIRE(back.reuseport == name.reuseport && back.process == name.process);
	FUZZ_REQUIRE(back.endpoint.port == name.endpoint.port && back.fd == name.fd);
	FUZZ_REQUIRE(addr_equal(&back.endpoint.addr, &name.endpoint.addr));
}

/* Whole entries, with nothing behind them. */
static void check_state(const struct state *state)
{
	size_t at = 0;

	FUZZ_REQUIRE(state->used <= STATE_MOST_WORDS);
	while (at < state->used)
		at += WORDS_OF(state->words[at]);
	FUZZ_REQUIRE(at == state->used);
}

static void read_filter(struct input *input)
{
	struct sock_filter filter[STATE_MOST_WORDS + 4];
	unsigned count = take_byte(input) % (STATE_MOST_WORDS + 3);
	struct sock_fprog program = {.len = (unsigned short)(count + 1), .filter = filter};
	struct state *state = malloc(sizeof(*state));
	bool found;

	FUZZ_REQUIRE(state);
	for (unsigned i = 0; i < count; i++) {
		uint32_t word = 0;

		take_bytes(input, &word, sizeof(word));
		filter[i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, word);
	}
	filter[count] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
	FUZZ_REQUIRE(
		!setsockopt(receiver, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
	found = state_read(receiver, state);
	check_state(state);
	if (found && state_set(state, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int)))
		FUZZ_REQUIRE(state_apply_one(state, receiver, SOL_SOCKET, SO_KEEPALIVE));
	check_state(state);
	free(state);
}

static void set_option(struct state *state, struct input *input)
{
	int level = (int)(int8_t)take_byte(input), name = take_number(input);
	uint8_t value[STATE_MOST_DATA + 1];
	size_t length = take_bytes(input, value, take_byte(input) % sizeof(value));

	state_set(state, level, name, value, (socklen_t)length);
	check_state(state);
}

static void take_step(struct state *state, struct input *input)
{
	switch ((enum step)(take_byte(input) % STEP_KINDS)) {
	case STEP_SET:
		set_variable(input);
		break;
	case STEP_READ:
		read_environment();
		break;
	case STEP_RECORD:
		write_records(input);
		break;
	case STEP_VIRTUAL:
		bind_virtual(input);
		break;
	case STEP_BIND:
		bind_any(input);
		break;
	case STEP_DECODE:
		decode_name(input);
		break;
	case STEP_ENCODE:
		encode_name(input);
		break;
	case STEP_FILTER:
		read_filter(input);
		break;
	default:
		set_option(state, input);
	}
}

static void forget(void)
{
	for (size_t i = 0; i < VARIABLES; i++) {
		free(environment[i]);
		environment[i] = NULL;
	}
	read_environment();
	memset(written, 0, sizeof(written));
	FUZZ_REQUIRE(!ftruncate(records, 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	struct state state = {0};

	for (unsigned i = 0; input.left && i < MOST_STEPS; i++)
		take_step(&state, &input);
	forget();
	return 0;
}
