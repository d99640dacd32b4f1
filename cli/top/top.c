// SPDX-License-Identifier: BSD-2-Clause
// socketbox top: the daemon's status again and again, as rates.
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli/control_json.h"
#include "cli/subcommands.h"
#include "cli/top/page.h"
#include "cli/top/screen.h"
#include "common/cleanup.h"
#include "exec/values.h"

#define DEFAULT_INTERVAL_MS 1000
#define LEAST_INTERVAL_MS   100

struct options {
	const char *path;
	uint32_t interval_ms;
	bool batch;
	long times; /* 0: without end */
};

struct top {
	const struct options *options;
	struct status_model now;
	struct rates rates;
	enum rates_order order;
	int64_t looked_ms; /* when `now` was */
	struct err fault;  /* code 0: the last look went well */
};

static int64_t now_top_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int read_interval(const char *text, struct options *options, struct err *err)
{
	if (value_duration(text, &options->interval_ms, err))
		return err_prefix(err, "--interval");
	if (options->interval_ms < LEAST_INTERVAL_MS)
		return err_set(err, -EINVAL, "--interval %s is too short; write %d ms or more",
			text, LEAST_INTERVAL_MS);
	return 0;
}

static int read_top_option(int option, struct options *options, struct err *err)
{
	switch (option) {
	case 'c':
		options->path = optarg;
		return 0;
	case 'i':
		return read_interval(optarg, options, err);
	case 'o':
		options->batch = true;
		options->times = 1;
		return 0;
	case 'b':
		options->batch = true;
		return value_number(optarg, 1, LONG_MAX, "a number of times", &options->times, err);
	default:
		return err_set(err, -EINVAL, "an option is unknown, or its value is missing");
	}
}

static int read_top_options(int argc, char **argv, struct options *options, struct err *err)
{
	static const struct option names[] = {
		{"control", required_argument, NULL, 'c'},
		{"interval", required_argument, NULL, 'i'},
		{"once", no_argument, NULL, 'o'},
		{"batch", required_argument, NULL, 'b'},
		{0},
	};
	int option, result = 0;

	opterr = 0;
	while (!result && (option = getopt_long(argc, argv, "", names, NULL)) != -1)
		result = read_top_option(option, options, err);
	if (!result && optind < argc)
		result = err_set(err, -EINVAL, "unexpected argument '%s'", argv[optind]);
	options->path = control_json_path(options->path);
	return result;
}

/* Where it goes wrong, what was seen last stays to be shown. */
static int look_top(struct top *top)
{
	struct status_model model;
	struct rates rates;
	int64_t when;

	top->fault.code = 0;
	if (status_model_read(top->options->path, &model, &top->fault))
		return top->fault.code;
	when = now_top_ms();
	/* The first has nothing to be compared with but itself. */
	if (rates_compute(top->now.status ? &top->now : &model, &model,
		    (double)(when > top->looked_ms ? when - top->looked_ms : 1) / 1000, &rates)) {
		status_model_fini(&model);
		return err_errno(&top->fault, -ENOMEM, "comparing");
	}
	status_model_fini(&top->now);
	rates_fini(&top->rates);
	top->now = model;
	top->rates = rates;
	top->looked_ms = when;
	return 0;
}

static void print_top(struct top *top, struct page *page)
{
	rates_sort(&top->rates, top->order);
	page->fault = top->fault.code ? top->fault.text : NULL;
	page->interval_ms = top->options->interval_ms;
	page_print(page, &top->now, &top->rates);
}

static void draw_top(struct top *top)
{
	cleanup_free char *text = NULL;
	size_t length = 0;
	struct page page = {.out = open_memstream(&text, &length)};

	if (!page.out)
		return;
	screen_size(&page.width, &page.height);
	print_top(top, &page);
	fclose(page.out);
	screen_write(text, length);
}

static void rest_top(int64_t ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	if (ms > 0)
		nanosleep(&time, NULL);
}

/* Prints a page after each interval, and tells on stderr of those for which there is none. */
static int run_batch(struct top *top, struct err *err)
{
	struct page page = {.out = stdout};
	int64_t due = top->looked_ms;

	for (long n = 0; !top->options->times || n < top->options->times; n++) {
		due += top->options->interval_ms;
		rest_top(due - now_top_ms());
		if (look_top(top)) {
			if (n + 1 == top->options->times)
				return err_set(err, top->fault.code, "%s", top->fault.text);
			fprintf(stderr, "socketbox top: %s\n", top->fault.text);
			continue;
		}
		if (n)
			putchar('\n');
		print_top(top, &page);
		if (fflush(stdout))
			return err_errno(err, -errno, "writing");
	}
	return 0;
}

/* False: enough. */
static bool obey_top(struct top *top, int key, int64_t *due)
{
	static const struct {
		int key;
		enum rates_order order;
	} orders[] = {
		{'c', RATES_BY_DECIDED},
		{'u', RATES_BY_NO_SOCKET},
		{'w', RATES_BY_WAITING},
		{'n', RATES_BY_NAME},
	};

	if (key == 'q' || key == 'Q' || key == SCREEN_END)
		return false;
	for (size_t i = 0; i < sizeof(orders) / sizeof(*orders); i++) {
		if (key != orders[i].key)
			continue;
		top->order = orders[i].order;
		return true;
	}
	if (key >= 0)
		*due = now_top_ms();
	return true;
}

static int run_screen(struct top *top, struct err *err)
{
	int64_t due = top->looked_ms + top->options->interval_ms;
	int result = screen_open(), key;

	if (result)
		return err_errno(err, result, "the terminal");
	do {
		int64_t left = due - now_top_ms();

		if (left <= 0) {
			look_top(top);
			due = now_top_ms() + top->options->interval_ms;
			left = top->options->interval_ms;
		}
		draw_top(top);
		key = screen_wait(left);
	} while (obey_top(top, key, &due));
	screen_close();
	return 0;
}

int top_main(int argc, char **argv, struct err *err)
{
	struct options options = {.interval_ms = DEFAULT_INTERVAL_MS};
	struct top top = {.options = &options};
	int result;

	if (read_top_options(argc, argv, &options, err))
		return EXIT_USAGE;
	result = look_top(&top);
	if (result)
		err_set(err, result, "%s", top.fault.text);
	else if (options.batch || !isatty(STDOUT_FILENO))
		result = run_batch(&top, err);
	else
		result = run_screen(&top, err);
	status_model_fini(&top.now);
	rates_fini(&top.rates);
	return result ? EXIT_FAILED : EXIT_DONE;
}
