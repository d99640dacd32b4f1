// SPDX-License-Identifier: BSD-2-Clause
// socketbox relay: the relay delivery without the daemon.
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/relay_listener.h"
#include "cli/subcommands.h"
#include "common/cleanup.h"
#include "relay/relay.h"

/* For what is no connection: the event loop, signals, the log, listeners, a message's socket. */
#define RESERVED_DESCRIPTORS 24
#define MOST_LISTENERS	     16

struct options {
	struct relay_settings settings;
	struct relay_accept_proxy proxy;
	struct {
		int kind; /* the option's letter */
		const char *value;
	} sources[MOST_LISTENERS];
	size_t source_count;
	unsigned connections; /* 0: as many as descriptors allow */
};

struct service {
	struct options *options;
	struct event_base *base;
	struct relay *relay;
	struct relay_listener *listeners[MOST_LISTENERS];
	size_t count;
	bool stopping;
};

static void say_relay_command(const char *text)
{
	fprintf(stderr, "socketbox relay: %s\n", text);
}

static int read_relay_command_number(
	const char *text, unsigned long most, unsigned *out, struct err *err)
{
	char *end;
	unsigned long number;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || number > most)
		return err_set(err, -EINVAL, "'%s' is not a number from 0 to %lu", text, most);
	*out = (unsigned)number;
	return 0;
}

/* "500ms", "10s", "2m", "1h" or "0". */
static int read_duration(const char *text, uint32_t *out_ms, struct err *err)
{
	static const struct {
		const char *unit;
		uint32_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	size_t digits = strspn(text, "0123456789");
	unsigned long number = strtoul(text, NULL, 10);

	if (!strcmp(text, "0")) {
		*out_ms = 0;
		return 0;
	}
	for (size_t u = 0; u < sizeof(units) / sizeof(*units); u++) {
		if (!digits || digits > 7 || strcmp(text + digits, units[u].unit) != 0 ||
			number > 3600000 / units[u].ms)
			continue;
		*out_ms = (uint32_t)number * units[u].ms;
		return 0;
	}
	return err_set(err, -EINVAL,
		"'%s' is not a duration; write a number with its unit, such as 500ms, 10s or 2m, up to 1h",
		text);
}

static int read_relay_command_prefix(
	const char *text, struct addr_prefix **list, size_t *count, struct err *err)
{
	struct addr_prefix prefix;

	if (addr_prefix_parse(text, &prefix, err))
		return err->code;
	if (relay_prefixes_add(list, count, &prefix))
		return err_errno(err, -ENOMEM, "'%s'", text);
	return 0;
}

static int add_backend(struct options *options, const char *text, struct err *err)
{
	struct relay_backend backend;

	if (relay_backend_parse(text, &backend, err))
		return err->code;
	return relay_settings_add_backend(&options->settings, &backend, err);
}

static int add_mapping(struct options *options, const char *prefix, struct err *err)
{
	char text[128];

	snprintf(text, sizeof(text), "nat64:%.100s", prefix);
	return add_backend(options, text, err);
}

static int add_source(struct options *options, int kind, const char *value, struct err *err)
{
	if (options->source_count == MOST_LISTENERS)
		return err_set(
			err, -E2BIG, "connections come from %d places at most", MOST_LISTENERS);
	options->sources[options->source_count].kind = kind;
	options->sources[options->source_count++].value = value;
	return 0;
}

static int read_others(const char *text, bool *plain, struct err *err)
{
	if (strcmp(text, "plain") != 0 && strcmp(text, "refuse") != 0)
		return err_set(err, -EINVAL,
			"'%s' says nothing of other sources; write plain or refuse", text);
	*plain = !strcmp(text, "plain");
	return 0;
}

static int read_relay_command_option(
	struct options *options, int option, const char *value, struct err *err)
{
	struct relay_settings *settings = &options->settings;

	switch (option) {
	case 'l':
	case 'r':
	case 'f':
		return add_source(options, option, value, err);
	case 'N':
		return add_mapping(options, value, err);
	case 'a':
		return read_relay_command_prefix(
			value, &settings->nat64_allow, &settings->nat64_allow_count, err);
	case 's':
		return relay_source_parse(value, settings, err);
	case 'p':
		return relay_proxy_version_parse(value, &settings->proxy_protocol, err);
	case 'P':
		return read_relay_command_prefix(
			value, &options->proxy.from, &options->proxy.from_count, err);
	case 'o':
		return read_others(value, &options->proxy.others_plain, err);
	case 't':
		return read_duration(value, &options->proxy.timeout_ms, err);
	case 'c':
		return read_duration(value, &settings->connect_timeout_ms, err);
	case 'i':
		return read_duration(value, &settings->idle_timeout_ms, err);
	case 'n':
		return read_relay_command_number(value, 1000000, &options->connections, err);
	default:
		return err_set(err, -EINVAL, "an option is unknown or lacks its value");
	}
}

static int read_relay_command_options(
	int argc, char **argv, struct options *options, struct err *err)
{
	static const struct option names[] = {
		{"listen", required_argument, NULL, 'l'},
		{"receive", required_argument, NULL, 'r'},
		{"fd", required_argument, NULL, 'f'},
		{"nat64", required_argument, NULL, 'N'},
		{"nat64-allow", required_argument, NULL, 'a'},
		{"source", required_argument, NULL, 's'},
		{"proxy-protocol", required_argument, NULL, 'p'},
		{"accept-proxy", required_argument, NULL, 'P'},
		{"accept-proxy-others", required_argument, NULL, 'o'},
		{"accept-proxy-timeout", required_argument, NULL, 't'},
		{"connect-timeout", required_argument, NULL, 'c'},
		{"idle-timeout", required_argument, NULL, 'i'},
		{"connections", required_argument, NULL, 'n'},
		{0},
	};
	int option, result = 0;

	while (!result && (option = getopt_long(argc, argv, "N:", names, NULL)) != -1)
		result = read_relay_command_option(options, option, optarg, err);
	for (int i = optind; !result && i < argc; i++)
		result = add_backend(options, argv[i], err);
	if (result)
		return result;
	if (!options->source_count)
		return err_set(err, -EINVAL,
			"one of --listen ADDR:PORT, --receive SOCKET and --fd N is needed");
	return relay_settings_check(&options->settings, err);
}

static void on_relay_command_ready(void *context)
{
	struct service *service = context;

	for (size_t i = 0; i < service->count; i++)
		relay_listener_resume(service->listeners[i]);
}

/* Ends a soft stop once nothing is left. */
static void on_relay_command_ended(void *context)
{
	struct service *service = context;
	struct relay_report report = relay_report(service->relay);
	unsigned left = report.connecting + report.established;

	for (size_t i = 0; i < service->count; i++)
		left += relay_listener_pending(service->listeners[i]);
	if (service->stopping && !left)
		event_base_loopbreak(service->base);
}

static void on_relay_command_say(void *context, const char *text)
{
	(void)context;
	say_relay_command(text);
}

static void on_relay_command_stop(evutil_socket_t number, short what, void *context)
{
	(void)number;
	(void)what;
	event_base_loopbreak(((struct service *)context)->base);
}

/* Ends when those that are connected have ended. */
static void on_soft_stop(evutil_socket_t number, short what, void *context)
{
	struct service *service = context;

	(void)number;
	(void)what;
	service->stopping = true;
	for (size_t i = 0; i < service->count; i++)
		relay_listener_close(service->listeners[i]);
	on_relay_command_ended(service);
}

/* One line of counts, and one for each backend. */
static void on_report(evutil_socket_t number, short what, void *context)
{
	struct service *service = context;
	struct relay_report report = relay_report(service->relay);
	struct relay_backend_report backend;

	(void)number;
	(void)what;
	fprintf(stderr,
		"socketbox relay: connecting=%u established=%u waiting=%u taken=%lu finished=%lu reset=%lu idle=%lu failed=%lu refused=%lu to-backends=%lu to-clients=%lu pipes=%u\n",
		report.connecting, report.established, report.waiting, report.taken,
		report.finished, report.reset, report.idle, report.failed, report.refused,
		report.to_backends, report.to_clients, report.pipes);
	for (size_t i = 0; relay_report_backend(service->relay, i, &backend); i++)
		fprintf(stderr,
			"socketbox relay: backend %s connections=%lu failures=%u skipped-ms=%u\n",
			backend.text, backend.connections, backend.failures, backend.retry_ms);
}

static int open_source(struct service *service, size_t index, struct err *err)
{
	const char *value = service->options->sources[index].value;
	struct relay_listener_settings settings = {
		.proxy = service->options->proxy.from_count ? &service->options->proxy : NULL,
		.relay = service->relay,
		.say = say_relay_command,
		.pending_ended = on_relay_command_ended,
		.context = service,
	};
	unsigned number = 0;
	int fd = -1, result;

	switch (service->options->sources[index].kind) {
	case 'l':
		result = relay_listener_listen(value, &fd, err);
		break;
	case 'r':
		result = relay_listener_bind(value, &fd, err);
		break;
	default:
		result = read_relay_command_number(value, 1000000, &number, err);
		fd = (int)number;
	}
	if (!result)
		result = relay_listener_new(
			service->base, &settings, fd, &service->listeners[service->count], err);
	if (!result)
		service->count++;
	return result;
}

static int catch_relay_command_signals(
	struct service *service, struct event **signals, struct err *err)
{
	static const struct {
		int number;
		event_callback_fn call;
	} table[] = {
		{SIGTERM, on_relay_command_stop},
		{SIGINT, on_relay_command_stop},
		{SIGUSR1, on_report},
		{SIGUSR2, on_soft_stop},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		signals[i] = evsignal_new(service->base, table[i].number, table[i].call, service);
		if (!signals[i] || event_add(signals[i], NULL))
			return err_errno(err, -ENOMEM, "catching signals");
	}
	return 0;
}

/* How many connections there may be: what descriptors allow, or fewer if the user says so. */
static struct relay_limits limits_of(const struct options *options)
{
	struct rlimit limit = {.rlim_cur = 1024};
	unsigned reserved = RESERVED_DESCRIPTORS + (unsigned)options->source_count;
	struct relay_limits limits;

	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur > 2000000)
		limit.rlim_cur = 2000000;
	limits = relay_limits_for(
		limit.rlim_cur > reserved ? (unsigned)limit.rlim_cur - reserved : 0);
	if (!limits.connections)
		limits.connections = 1;
	if (options->connections && options->connections < limits.connections)
		limits.connections = options->connections;
	return limits;
}

static int serve_relay_command(struct options *options, struct err *err)
{
	struct service service = {.options = options, .base = event_base_new()};
	struct relay_limits limits = limits_of(options);
	struct relay_events events = {.ready = on_relay_command_ready,
		.empty = on_relay_command_ended,
		.say = on_relay_command_say,
		.context = &service};
	struct event *signals[4] = {0};
	int result;

	if (!service.base)
		return err_errno(err, -ENOMEM, "starting the event loop");
	signal(SIGPIPE, SIG_IGN);
	result = relay_new(service.base, &options->settings, &limits, &events, &service.relay, err);
	for (size_t i = 0; !result && i < options->source_count; i++)
		result = open_source(&service, i, err);
	if (!result)
		result = catch_relay_command_signals(&service, signals, err);
	if (!result)
		event_base_dispatch(service.base);
	for (size_t i = 0; i < service.count; i++)
		relay_listener_free(service.listeners[i]);
	for (size_t i = 0; i < 4; i++) {
		if (signals[i])
			event_free(signals[i]);
	}
	relay_free(service.relay);
	event_base_free(service.base);
	return result;
}

int relay_main(int argc, char **argv, struct err *err)
{
	struct options options = {
		.settings.connect_timeout_ms = RELAY_DEFAULT_CONNECT_TIMEOUT_MS,
		.proxy.timeout_ms = RELAY_DEFAULT_PROXY_TIMEOUT_MS,
	};
	int status = EXIT_USAGE;

	if (!read_relay_command_options(argc, argv, &options, err))
		status = serve_relay_command(&options, err) ? EXIT_FAILED : EXIT_DONE;
	relay_settings_fini(&options.settings);
	free(options.proxy.from);
	return status;
}
