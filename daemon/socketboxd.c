// SPDX-License-Identifier: BSD-2-Clause
// socketboxd: reads its options, brings the parts up in order, and runs the event loop.
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build_info.h"
#include "common/cleanup.h"
#include "daemon/config_reload.h"
#include "daemon/control/control.h"
#include "daemon/fdstore/systemd_notify.h"
#include "daemon/fdstore/upgrade.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/privileges/privileges.h"
#include "daemon/routes/route_table.h"
#include "daemon/state.h"
#include "exec/cgroup.h"
#include "exec/spawn.h"

#define DEFAULT_RUN_DIR "/run/socketbox"

struct options {
	const char *config, *control, *run_dir;
	bool debug, detach, check, engine_given, confinement_given;
	/* Where they are given, those of the configuration do not count. */
	enum config_engine engine;
	enum config_confinement confinement;
};

static const char usage[] =
	"usage: socketboxd [--config FILE] [--run-dir DIR] [--control PATH] [--engine ENGINE]\n"
	"                   [--confinement CONFINEMENT] [--debug]\n"
	"       socketboxd --check [--config FILE] [--engine ENGINE]\n"
	"       socketboxd --detach [--run-dir DIR]\n"
	"  --config FILE   configuration (" CONFIG_DEFAULT_PATH ")\n"
	"  --run-dir DIR   control socket, lock and pinned BPF objects (" DEFAULT_RUN_DIR ")\n"
	"  --control PATH  control socket (DIR/control.sock)\n"
	"  --engine ENGINE kernel, user or auto: what decides, in place of what the configuration says\n"
	"  --confinement CONFINEMENT   auto, required or off: in place of what the configuration says\n"
	"  --debug         log more\n"
	"  --detach        with no daemon running: stop steering, remove what is pinned, and exit\n"
	"  --check         find out whether this program could start so, change nothing, and exit\n"
	"  --version       print the version and exit\n";

static const char *const engine_names[] = {
	[CONFIG_ENGINE_AUTO] = "auto",
	[CONFIG_ENGINE_KERNEL] = "kernel",
	[CONFIG_ENGINE_USER] = "user",
};

static const char *const confinement_names[] = {
	[CONFIG_CONFINEMENT_AUTO] = "auto",
	[CONFIG_CONFINEMENT_REQUIRED] = "required",
	[CONFIG_CONFINEMENT_OFF] = "off",
};

/* The place of the text among the names. */
static int read_choice(const char *text, const char *const names[3], const char *what)
{
	for (int i = 0; i < 3; i++) {
		if (!strcmp(text, names[i]))
			return i;
	}
	fprintf(stderr, "socketboxd: '%s' is not %s\n", text, what);
	return -EINVAL;
}

static int read_daemon_engine(const char *text, struct options *options)
{
	int choice = read_choice(text, engine_names, "an engine");

	options->engine_given = true;
	if (choice >= 0)
		options->engine = (enum config_engine)choice;
	return choice;
}

static int read_daemon_confinement(const char *text, struct options *options)
{
	int choice = read_choice(text, confinement_names, "a confinement");

	options->confinement_given = true;
	if (choice >= 0)
		options->confinement = (enum config_confinement)choice;
	return choice;
}

static int parse_options(int argc, char **argv, struct options *options)
{
	static const struct option names[] = {
		{"config", required_argument, NULL, 'c'},
		{"run-dir", required_argument, NULL, 'r'},
		{"control", required_argument, NULL, 's'},
		{"engine", required_argument, NULL, 'e'},
		{"confinement", required_argument, NULL, 'f'},
		{"debug", no_argument, NULL, 'd'},
		{"detach", no_argument, NULL, 'D'},
		{"check", no_argument, NULL, 'C'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int option;

	*options = (struct options){.config = CONFIG_DEFAULT_PATH, .run_dir = DEFAULT_RUN_DIR};
	while ((option = getopt_long(argc, argv, "c:h", names, NULL)) != -1) {
		switch (option) {
		case 'c':
			options->config = optarg;
			break;
		case 'r':
			options->run_dir = optarg;
			break;
		case 's':
			options->control = optarg;
			break;
		case 'e':
			if (read_daemon_engine(optarg, options) < 0)
				return -EINVAL;
			break;
		case 'f':
			if (read_daemon_confinement(optarg, options) < 0)
				return -EINVAL;
			break;
		case 'd':
			options->debug = true;
			break;
		case 'D':
			options->detach = true;
			break;
		case 'C':
			options->check = true;
			break;
		case 'V':
			puts("socketboxd " SOCKETBOX_BUILD_VERSION);
			exit(0);
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			return -EINVAL;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "socketboxd: unexpected argument '%s'\n", argv[optind]);
		return -EINVAL;
	}
	return 0;
}

/* One daemon per run directory. The lock is released by the kernel when the process ends. */
static int lock_run_dir(const char *run_dir, int *fd_out, struct err *err)
{
	char path[PATH_MAX], holder[32] = "";
	cleanup_close int fd = -1;

	if (mkdir(run_dir, 0755) && errno != EEXIST)
		return err_errno(err, -errno, "cannot make the run directory %s", run_dir);
	if (snprintf(path, sizeof(path), "%s/lock", run_dir) >= (int)sizeof(path))
		return err_errno(err, -ENAMETOOLONG, "%s", run_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_errno(err, -errno, "cannot open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK)
			return err_errno(err, -errno, "cannot lock %s", path);
		if (read(fd, holder, sizeof(holder) - 1) > 0)
			holder[strcspn(holder, "\n")] = '\0';
		return err_set(err, -EADDRINUSE,
			"socketboxd runs on %s already (pid %s); stop it, or give this one its own --run-dir",
			run_dir, holder[0] ? holder : "unknown");
	}
	/* The pid is for people; a full disk must not keep the daemon from starting. */
	if (ftruncate(fd, 0) || dprintf(fd, "%d\n", (int)getpid()) < 0)
		log_debug("cannot write %s: %s", path, strerror(errno));
	*fd_out = take_fd(&fd);
	return 0;
}

static int load_daemon(struct daemon_state *state)
{
	struct diagnostics diagnostics = {0};
	int result = config_reload(state, &diagnostics);

	for (size_t i = 0; i < diagnostics.count; i++)
		log_warning("%s", diagnostics.lines[i]);
	diagnostics_fini(&diagnostics);
	return result;
}

static void on_hangup(evutil_socket_t signal, short what, void *context)
{
	struct daemon_state *state = context;

	(void)signal;
	(void)what;
	systemd_notify_reloading();
	if (load_daemon(state))
		log_error("reload refused: the old configuration stays in force");
	else
		log_info("reloaded: %zu services, %zu routes", state->config->service_count,
			state->config->route_count);
	systemd_notify_ready();
}

static void on_upgrade(evutil_socket_t signal, short what, void *context)
{
	(void)signal;
	(void)what;
	upgrade_begin(context);
}

static void on_daemon_stop(evutil_socket_t signal, short what, void *context)
{
	(void)signal;
	(void)what;
	event_base_loopbreak(context);
}

static void log_engine(struct daemon_state *state)
{
	struct engine_info info;

	engine_info(state->engine, &info);
	log_info("engine %s%s: %zu services, %zu routes; %s", info.name,
		info.adopted ? " (adopted from an earlier daemon)" : "",
		state->config->service_count, state->config->route_count, state->control_path);
	if (!info.steers) {
		log_warning("without BPF, each address and port is bound: %s", info.why);
		return;
	}
	if (info.pin_fault)
		log_warning(
			"nothing is pinned, so services stop receiving connections whenever this daemon ends: %s",
			info.pin_fault);
	if (!info.migrates)
		log_warning(
			"this kernel (before 5.14) resets what waits in a closing SO_REUSEPORT socket");
}

static void log_confinement(const struct confinement_info *confinement)
{
	if (!confinement->active) {
		log_warning(
			"NO CONFINEMENT: a program that is given a socket can use it to connect, bind and send elsewhere from this host: %s",
			confinement->why.text);
		return;
	}
	log_info("confinement is active%s: %s", confinement->adopted ? " (adopted)" : "",
		confinement->cgroup);
	if (confinement->limitation.text[0])
		log_warning("confinement has a limitation: %s", confinement->limitation.text);
	if (confinement->unpinned.text[0])
		log_warning("confinement is not pinned and ends with this daemon: %s",
			confinement->unpinned.text);
}

/* The engine and the confinement that the configuration wants. Its faults are told when it is
 * loaded. */
static void read_wishes(struct options *options)
{
	struct diagnostics ignored = {0};
	struct config *config = NULL;

	if (!config_load(options->config, &config, &ignored)) {
		if (!options->engine_given)
			options->engine = config->engine;
		if (!options->confinement_given)
			options->confinement = config->confinement;
	}
	diagnostics_fini(&ignored);
	config_free(config);
}

/* The confinement comes first, since sockets made before it would be outside. The engine attaches
 * last: until the first table is in force, packets go where they went. */
static int start_daemon(struct daemon_state *state, const struct options *options,
	struct event_base *base, struct err *err)
{
	int result = confinement_open(options->run_dir, options->confinement, &state->confinement,
		&state->confinement_info, err);

	if (!result && state->confinement)
		result = cgroup_set_home(state->confinement_info.outside, err);
	if (!result)
		result = engine_open(options->run_dir, options->engine, &state->engine, err);
	if (!result)
		result = state_open(state, base, err);
	if (result)
		return result;
	result = load_daemon(state);
	if (result)
		return err_set(err, result, "the configuration has errors; nothing was changed");
	result = engine_attach(state->engine, err);
	if (result)
		return result;
	log_engine(state);
	log_confinement(&state->confinement_info);
	state_restore(state);
	return 0;
}

/* What is kept stays kept; what is in hand joins it where there is a store to have it. */
static void leave_daemon(struct daemon_state *state)
{
	log_info("stopping; claimed services go on serving");
	if (fdstore_has_backend(state->fdstore)) {
		state_save_in_flight(state);
		systemd_notify_flush();
	}
}

struct signals {
	struct event *list[4];
};

static int catch_daemon_signals(struct signals *signals, struct event_base *base,
	struct daemon_state *state, struct upgrade *upgrade, struct err *err)
{
	*signals = (struct signals){{
		evsignal_new(base, SIGHUP, on_hangup, state),
		evsignal_new(base, SIGUSR2, on_upgrade, upgrade),
		evsignal_new(base, SIGTERM, on_daemon_stop, base),
		evsignal_new(base, SIGINT, on_daemon_stop, base),
	}};
	for (size_t i = 0; i < sizeof(signals->list) / sizeof(*signals->list); i++) {
		if (!signals->list[i] || event_add(signals->list[i], NULL))
			return err_errno(err, -ENOMEM, "catching signals");
	}
	upgrade_block_signals(SIG_UNBLOCK);
	return 0;
}

static void free_signals(struct signals *signals)
{
	for (size_t i = 0; i < sizeof(signals->list) / sizeof(*signals->list); i++) {
		if (signals->list[i])
			event_free(signals->list[i]);
	}
}

static int run_daemon(struct daemon_state *state, struct event_base *base, struct upgrade *upgrade,
	struct err *err)
{
	struct control *control = NULL;
	struct signals signals;
	int result = catch_daemon_signals(&signals, base, state, upgrade, err);

	if (!result)
		result = control_open(base, state, state->control_path, &control, err);
	if (!result) {
		systemd_notify_ready();
		loop_run(base);
		leave_daemon(state);
	}
	fdstore_seal(state->fdstore);
	control_close(control);
	free_signals(&signals);
	return result;
}

/* What an earlier daemon has kept for this one. */
static int inherit_daemon(struct daemon_state *state, struct err *err)
{
	state->fdstore = fdstore_new(systemd_notify_store());
	if (!state->fdstore)
		return err_errno(err, -ENOMEM, "starting");
	systemd_notify_inherit(state->fdstore);
	return fdstore_inherit_passed(state->fdstore, err);
}

/* All that can fail at a start without touching what runs. */
static int check_daemon(const struct options *options, struct err *err)
{
	struct diagnostics diagnostics = {0};
	struct config *config = NULL;
	struct table table = {0};
	int result = config_load(options->config, &config, &diagnostics);

	for (size_t i = 0; i < diagnostics.count; i++)
		log_warning("%s", diagnostics.lines[i]);
	diagnostics_fini(&diagnostics);
	if (result)
		return err_set(err, result, "%s has errors", options->config);
	result = table_build(config, TABLE_OF_PACKETS, &table, err);
	table_fini(&table);
	if (!result)
		result =
			engine_check(options->engine_given ? options->engine : config->engine, err);
	if (!result)
		result = confinement_check(
			options->confinement_given ? options->confinement : config->confinement,
			err);
	config_free(config);
	return result;
}

/* Who asks libevent for something hears of its failure, and says what it means. */
static void on_event_log(int severity, const char *text)
{
	if (severity == EVENT_LOG_ERR)
		log_error("%s", text);
	else
		log_debug("%s", text);
}

/* With no daemon running: the machine is as if there had been none. */
static int detach_daemon(const char *run_dir, struct err *err)
{
	int result = engine_remove(run_dir, err);

	if (!result)
		confinement_remove(run_dir);
	return result;
}

static int serve_daemon(struct options *options, char **argv, struct err *err)
{
	char control_path[PATH_MAX];
	struct daemon_state state = {
		.config_path = options->config,
		.control_path = options->control,
		.started = time(NULL),
	};
	struct event_base *base = event_base_new();
	struct upgrade *upgrade;
	bool parted;
	int result;

	if (!base)
		return err_errno(err, -ENOMEM, "starting the event loop");
	if (!options->control) {
		snprintf(control_path, sizeof(control_path), "%s/control.sock", options->run_dir);
		state.control_path = control_path;
	}
	/* Every held socket and control connection is a descriptor; programs get the limit as it
	 * was. */
	spawn_raise_nofile();
	read_wishes(options);
	upgrade = upgrade_new(base, &state, argv);
	result = upgrade ? inherit_daemon(&state, err) : err_errno(err, -ENOMEM, "starting");
	parted = !result && privileges_part();
	if (!result)
		result = start_daemon(&state, options, base, err);
	if (!result && parted)
		privileges_drop();
	if (!result)
		result = run_daemon(&state, base, upgrade, err);
	upgrade_free(upgrade);
	state_fini(&state);
	confinement_close(state.confinement);
	event_base_free(base);
	return result;
}

int main(int argc, char **argv)
{
	struct options options;
	cleanup_close int lock = -1;
	struct err err;
	int result;

	if (parse_options(argc, argv, &options)) {
		fputs(usage, stderr);
		return 2;
	}
	log_open(options.debug);
	event_set_log_callback(on_event_log);
	signal(SIGPIPE, SIG_IGN);
	upgrade_block_signals(SIG_BLOCK);
	if (options.check)
		result = check_daemon(&options, &err);
	else
		result = lock_run_dir(options.run_dir, &lock, &err);
	if (!result && options.detach)
		result = detach_daemon(options.run_dir, &err);
	else if (!result && !options.check)
		result = serve_daemon(&options, argv, &err);
	if (result)
		log_error("%s", err.text);
	return result ? 1 : 0;
}
