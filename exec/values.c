// SPDX-License-Identifier: BSD-2-Clause
// Numbers, durations, rates, limits and signals as text.
#include "exec/values.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

#define WEEK_MS		(7ull * 24 * 3600 * 1000)
#define MOST_PER_SECOND 1000000u

/* Reads the digits at *text and moves it behind them; false if there are none or too many. */
static bool take_number(const char **text, uint64_t most, uint64_t *out)
{
	const char *at = *text;
	uint64_t number = 0;

	for (; *at >= '0' && *at <= '9'; at++) {
		uint64_t digit = (uint64_t)(*at - '0');

		if (number > (most - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	if (at == *text)
		return false;
	*text = at;
	*out = number;
	return true;
}

int value_number(
	const char *text, long least, long most, const char *what, long *out, struct err *err)
{
	const char *at = text;
	bool negative = *at == '-';
	uint64_t number;

	at += negative;
	if (take_number(&at, 0xffffffffu, &number) && !*at) {
		long value = negative ? -(long)number : (long)number;

		if (value >= least && value <= most) {
			*out = value;
			return 0;
		}
	}
	return err_set(err, -EINVAL, "'%s' is not %s; write a number from %ld to %ld", text, what,
		least, most);
}

int value_duration(const char *text, uint32_t *out_ms, struct err *err)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
	const char *at = text;
	uint64_t number;

	if (!strcmp(text, "0")) {
		*out_ms = 0;
		return 0;
	}
	if (take_number(&at, WEEK_MS, &number)) {
		for (size_t u = 0; u < sizeof(units) / sizeof(*units); u++) {
			if (strcmp(at, units[u].unit) != 0 || number > WEEK_MS / units[u].ms)
				continue;
			*out_ms = (uint32_t)(number * units[u].ms);
			return 0;
		}
	}
	return err_set(err, -EINVAL,
		"'%s' is not a duration; write a number with its unit, such as 500ms, 10s, 2m or 1h, up to 7d",
		text);
}

int value_rate(const char *text, struct exec_rate *out, struct err *err)
{
	static const char word[] = " burst ";
	const char *at = text;
	uint64_t count = 0, burst, seconds = 0;

	if (take_number(&at, MOST_PER_SECOND, &count) && count && at[0] == '/' && at[1]) {
		seconds = at[1] == 's' ? 1 : at[1] == 'm' ? 60 : at[1] == 'h' ? 3600 : 0;
		at += 2;
	}
	burst = count;
	if (seconds && !strncmp(at, word, strlen(word))) {
		at += strlen(word);
		if (!take_number(&at, MOST_PER_SECOND, &burst) || !burst)
			seconds = 0;
	}
	if (!seconds || *at)
		return err_set(err, -EINVAL,
			"'%s' is not a rate; write 50/s, 100/m or 1000/h, with a burst if it differs: 50/s burst 200",
			text);
	*out = (struct exec_rate){
		.count = (unsigned)count,
		.burst = (unsigned)burst,
		.interval_ns = seconds * 1000000000u,
	};
	return 0;
}

static const struct {
	const char *name;
	int resource;
} resources[] = {
	{"as", RLIMIT_AS},
	{"core", RLIMIT_CORE},
	{"cpu", RLIMIT_CPU},
	{"data", RLIMIT_DATA},
	{"fsize", RLIMIT_FSIZE},
	{"locks", RLIMIT_LOCKS},
	{"memlock", RLIMIT_MEMLOCK},
	{"msgqueue", RLIMIT_MSGQUEUE},
	{"nice", RLIMIT_NICE},
	{"nofile", RLIMIT_NOFILE},
	{"nproc", RLIMIT_NPROC},
	{"rss", RLIMIT_RSS},
	{"rtprio", RLIMIT_RTPRIO},
	{"rttime", RLIMIT_RTTIME},
	{"sigpending", RLIMIT_SIGPENDING},
	{"stack", RLIMIT_STACK},
};

/* Reads "1024", "512M" or "unlimited" up to ':' or the end. */
static bool take_limit(const char **text, rlim_t *out)
{
	static const char unlimited[] = "unlimited";
	static const char units[] = "KMGT";
	const char *unit;
	uint64_t number;

	if (!strncmp(*text, unlimited, strlen(unlimited))) {
		*text += strlen(unlimited);
		*out = RLIM_INFINITY;
		return true;
	}
	if (!take_number(text, (uint64_t)1 << 60, &number))
		return false;
	unit = **text ? strchr(units, **text) : NULL;
	if (unit) {
		unsigned shift = 10 * (unsigned)(unit - units + 1);

		if (number > (uint64_t)1 << (60 - shift))
			return false;
		number <<= shift;
		(*text)++;
	}
	*out = number;
	return true;
}

int value_rlimit(const char *text, struct exec_rlimit *out, struct err *err)
{
	const char *equals = strchr(text, '='), *at = equals ? equals + 1 : text;
	size_t length = equals ? (size_t)(equals - text) : 0;
	struct rlimit limit;

	for (size_t r = 0; r < sizeof(resources) / sizeof(*resources); r++) {
		if (strlen(resources[r].name) != length ||
			strncmp(resources[r].name, text, length) != 0)
			continue;
		if (!take_limit(&at, &limit.rlim_cur))
			break;
		limit.rlim_max = limit.rlim_cur;
		if (*at == ':') {
			at++;
			if (!take_limit(&at, &limit.rlim_max))
				break;
		}
		if (*at)
			break;
		if (limit.rlim_cur > limit.rlim_max)
			return err_set(err, -EINVAL,
				"'%s' has a soft limit above its hard one; write the smaller one first",
				text);
		*out = (struct exec_rlimit){resources[r].resource, limit};
		return 0;
	}
	return err_set(err, -EINVAL,
		"'%s' is not a limit; write a name of setrlimit(2) in lower case, '=', and a number, SOFT:HARD or unlimited: nofile=1024, core=0:unlimited, as=512M",
		text);
}

int value_signal(const char *text, int *out, struct err *err)
{
	const char *name = !strncmp(text, "SIG", 3) ? text + 3 : text, *at = text;
	uint64_t number;

	if (take_number(&at, SIGRTMAX, &number) && number && !*at) {
		*out = (int)number;
		return 0;
	}
	for (int s = 1; s < SIGRTMIN; s++) {
		const char *known = sigabbrev_np(s);

		if (known && !strcmp(known, name)) {
			*out = s;
			return 0;
		}
	}
	return err_set(err, -EINVAL,
		"'%s' is not a signal; write TERM, HUP, INT or a number from 1 to %d", text,
		SIGRTMAX);
}

int value_banner(const char *text, char **out, struct err *err)
{
	cleanup_free char *copy = calloc(1, EXEC_MAX_BANNER + 2);
	size_t length = strlen(text);

	if (!copy)
		return err_errno(err, -ENOMEM, "a banner");
	if (text[0] == '@') {
		cleanup_close int fd = open(text + 1, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		ssize_t got = fd < 0 ? -1 : read(fd, copy, EXEC_MAX_BANNER + 1);

		if (got < 0)
			return err_errno(err, -errno, "cannot read the banner's file %s", text + 1);
		length = (size_t)got;
	} else if (length <= EXEC_MAX_BANNER) {
		strcpy(copy, text);
	}
	if (length > EXEC_MAX_BANNER)
		return err_set(err, -EINVAL, "a banner has %u bytes at most", EXEC_MAX_BANNER);
	*out = take_ptr(&copy);
	return 0;
}

int value_word(const char *text, const char *const *words, unsigned *out, struct err *err)
{
	char known[128] = "";

	for (unsigned w = 0; words[w]; w++) {
		if (!strcmp(words[w], text)) {
			*out = w;
			return 0;
		}
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s",
			!w	       ? ""
			: words[w + 1] ? ", "
				       : " or ",
			words[w]);
	}
	return err_set(err, -EINVAL, "'%s' cannot stand here; write %s", text, known);
}
