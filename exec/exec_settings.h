/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a service's programs are started and how many of them: what `exec:` says in the configuration
 * and the options of `socketbox inetd`. Both read one table of keys, each of which takes text.
 */
#ifndef SOCKETBOX_EXEC_EXEC_SETTINGS_H
#define SOCKETBOX_EXEC_EXEC_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "common/addr.h"
#include "common/err.h"

#define EXEC_DEFAULT_INSTANCES	  1000u
#define EXEC_DEFAULT_STOP_TIME_MS 10000u
#define EXEC_MAX_BANNER		  4096u /* bytes */

struct exec_prefixes {
	struct addr_prefix *list;
	size_t count;
};

/* `count` starts per interval, of which `burst` may come at once. count 0: no limit. */
struct exec_rate {
	unsigned count, burst;
	uint64_t interval_ns;
};

/* What decides whether a connection gets a process; quota.c judges by it. */
struct exec_bounds {
	unsigned instances;	/* processes at a time; 0: no limit */
	unsigned per_source;	/* of which for one client address; 0: no limit */
	unsigned source_length; /* IPv6 clients are told apart by so many leading bits */
	struct exec_rate rate;
	bool refuse;			  /* at `instances` or `rate`: refuse instead of wait */
	struct exec_prefixes allow, deny; /* the longest match decides; allow empty: all */
};

/* A limit that is -1 (RLIM_INFINITY) is none. */
struct exec_rlimit {
	int resource; /* RLIMIT_* */
	struct rlimit limit;
};

enum exec_stderr { EXEC_STDERR_LOG, EXEC_STDERR_SOCKET, EXEC_STDERR_NULL };

/* A list of words that ends with NULL, which count does not count; NULL where it is empty. */
struct exec_words {
	char **list;
	size_t count;
};

/* Plain data; strings are the settings' own. */
struct exec_settings {
	struct exec_words command; /* its first word has a '/' or is looked for in $PATH */

	/* Whose the program is. user and what is beside it is NULL if no user was named; uid and
	 * gid are -1 where the program keeps the caller's. */
	char *user, *home, *shell;
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* supplementary; set if ids is */
	size_t group_count;
	bool groups_given;
	bool ids; /* user, group or groups were named */

	bool nice_given;
	int nice;
	int umask; /* -1: the caller's */
	struct exec_rlimit *rlimits;
	size_t rlimit_count;
	struct exec_words env;	    /* "NAME=VALUE" */
	struct exec_words pass_env; /* names that are passed on from the caller's environment */
	bool pass_all;		    /* all are, but for what is the caller's alone */
	char *chdir;		    /* NULL: the caller's */
	char *netns;		    /* a name, pid or path; NULL: the caller's */
	bool no_cgroup;		    /* leave the program in the caller's */

	struct exec_bounds bounds;
	char *banner, *banner_start; /* what a refused, a served client is sent; NULL: nothing */
	enum exec_stderr stderr_to;
	bool wait; /* one process gets the listening socket */
	bool log_failures_only;

	uint32_t max_time_ms; /* 0: as long as it likes */
	bool end_with_us;     /* on-stop: end */
	int kill_signal;
	uint32_t stop_timeout_ms; /* between kill_signal and SIGKILL */
};

enum exec_shape {
	EXEC_KEY_VALUE, /* set once */
	EXEC_KEY_LIST,	/* set for each element */
	EXEC_KEY_PAIRS, /* a mapping in YAML; set for each "NAME=VALUE" */
	EXEC_KEY_FLAG,	/* true or false; an option without a value is true */
};

struct exec_key {
	const char *name; /* as in YAML; the option has "--" before it */
	enum exec_shape shape;
	const char *value; /* what is to be written, for people: "N" */
	/* Reads text into settings. Negative errno, with a sentence that does not name the key. */
	int (*set)(struct exec_settings *settings, const char *text, struct err *err);
};

extern const struct exec_key exec_keys[];
extern const size_t exec_key_count;

const struct exec_key *exec_key_find(const char *name); /* NULL: there is none */

struct exec_settings *exec_settings_new(void);		 /* the defaults; NULL out of memory */
void exec_settings_free(struct exec_settings *settings); /* NULL is allowed */

/* After the last key: looks up the user's groups, and refuses what does not go together. -EINVAL
 * with a sentence, or -ENOMEM. */
int exec_settings_finish(struct exec_settings *settings, struct err *err);

/* Adds a copy of text. -ENOMEM. */
int exec_words_add(struct exec_words *words, const char *text);

#endif
