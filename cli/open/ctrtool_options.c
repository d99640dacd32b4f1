// SPDX-License-Identifier: BSD-2-Clause
// Each -n begins a socket, and the options after it are about that one.
#include "cli/open/ctrtool_options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "common/cleanup.h"

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

/* The original's own, of which some are known only to say that they are not taken. */
#define OPTIONS	  "+:nUN:d:t:p:l:4:6:P:o:AmTfM:z:2O:R:L:s:i:I:"
#define NOT_TAKEN "mTfMz2ORLsiI"

struct preset {
	const char *name;
	int value;
};

static const struct preset domains[] = {
	{"inet", AF_INET},
	{"inet6", AF_INET6},
	{"netlink", AF_NETLINK},
	{"packet", AF_PACKET},
	{"unix", AF_UNIX},
	{"vsock", AF_VSOCK},
	{NULL, 0},
};

static const struct preset types[] = {
	{"dgram", SOCK_DGRAM},
	{"dgram_nb", SOCK_DGRAM | SOCK_NONBLOCK},
	{"raw", SOCK_RAW},
	{"raw_nb", SOCK_RAW | SOCK_NONBLOCK},
	{"seqpacket", SOCK_SEQPACKET},
	{"seqpacket_nb", SOCK_SEQPACKET | SOCK_NONBLOCK},
	{"stream", SOCK_STREAM},
	{"stream_nb", SOCK_STREAM | SOCK_NONBLOCK},
	{"tcp", SOCK_STREAM},
	{"tcp_nb", SOCK_STREAM | SOCK_NONBLOCK},
	{"udp", SOCK_DGRAM},
	{"udp_nb", SOCK_DGRAM | SOCK_NONBLOCK},
	{NULL, 0},
};

static const struct preset protocols[] = {
	{"icmp", IPPROTO_ICMP},
	{"ip", IPPROTO_IP},
	{"ipv6", IPPROTO_IPV6},
	{"tcp", IPPROTO_TCP},
	{"udp", IPPROTO_UDP},
	{NULL, 0},
};

/* A number in C's notation: 10, 0x80000. */
static int read_ctrtool_number(int option, const char *text, unsigned long long most,
	unsigned long long *out, struct err *err)
{
	unsigned long long value = 0;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (*text < '0' || *text > '9' || *end || errno || value > most)
		return err_set(err, -EINVAL, "-%c takes a number from 0 to %llu, not '%.64s'",
			option, most, text);
	*out = value;
	return 0;
}

static int read_preset(
	int option, const char *text, const struct preset *presets, int *out, struct err *err)
{
	unsigned long long value = 0;

	if (*text >= '0' && *text <= '9') {
		int result = read_ctrtool_number(option, text, INT_MAX, &value, err);

		if (!result)
			*out = (int)value;
		return result;
	}
	for (; presets->name; presets++) {
		if (!strcasecmp(presets->name, text)) {
			*out = presets->value;
			return 0;
		}
	}
	return err_set(
		err, -EINVAL, "-%c takes a number or a known name, not '%.64s'", option, text);
}

static int read_flags(int option, const char *flags, struct socket_spec *spec,
	bool *scope_is_number, struct err *err)
{
	for (; *flags; flags++) {
		switch (*flags) {
		case 'a':
			spec->reuseaddr = true;
			break;
		case 'p':
			spec->reuseport = true;
			break;
		case 'f':
			spec->freebind = true;
			break;
		case 't':
			spec->transparent = true;
			break;
		case 'd':
			spec->defer_accept_s = 1;
			break;
		case 'o':
			spec->v6only = 1;
			break;
		case 'O':
			spec->v6only = 0;
			break;
		case 'e':
			spec->nodelay = true;
			break;
		case 'I':
			*scope_is_number = true;
			break;
		case ':':
			break;
		default:
			return err_set(err, -EINVAL,
				"-%c has no flag '%c'; the flags are a p f t d o O e I and :",
				option, *flags >= ' ' && *flags < 0x7f ? *flags : '?');
		}
	}
	return 0;
}

static int bad_address(int option, const char *text, struct err *err)
{
	return err_set(err, -EINVAL,
		"-%c takes ADDRESS,PORT[,FLAGS%s], such as -%c %s,80,a, not '%.128s'", option,
		option == '6' ? "[,SCOPE]" : "", option, option == '6' ? "::" : "0.0.0.0", text);
}

/* ADDRESS,PORT[,FLAGS[,SCOPE]]. Empty parts count for nothing: "::,80,,eth0" has the flags e, t,
 * h and 0, as in the original; "::,80,:,eth0" has none. */
static int read_ctrtool_address(
	int option, const char *text, struct socket_spec *spec, struct err *err)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&spec->address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&spec->address;
	cleanup_free char *copy = strdup(text);
	char *rest = NULL, *host = copy ? strtok_r(copy, ",", &rest) : NULL;
	const char *port = host ? strtok_r(NULL, ",", &rest) : NULL;
	const char *flags = port ? strtok_r(NULL, ",", &rest) : NULL;
	const char *scope = flags ? strtok_r(NULL, ",", &rest) : NULL;
	bool scope_is_number = false;
	unsigned long long number = 0;

	if (!host || !port || read_ctrtool_number(option, port, 65535, &number, NULL) ||
		inet_pton(option == '6' ? AF_INET6 : AF_INET, host,
			option == '6' ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr) != 1)
		return bad_address(option, text, err);
	if (flags && read_flags(option, flags, spec, &scope_is_number, err))
		return -EINVAL;
	if (option == '4') {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)number);
		spec->address_size = sizeof(*v4);
		return 0;
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)number);
	spec->address_size = sizeof(*v6);
	if (scope_is_number) {
		if (!scope || read_ctrtool_number(option, scope, UINT32_MAX, &number, NULL))
			return bad_address(option, text, err);
		v6->sin6_scope_id = (uint32_t)number;
	} else if (scope) {
		if (strlen(scope) >= sizeof(spec->scope))
			return bad_address(option, text, err);
		strcpy(spec->scope, scope);
	}
	return 0;
}

/* A path that fills sun_path has no NUL behind it: bind(2) takes it so. */
static int read_ctrtool_path(const char *text, struct socket_spec *spec, struct err *err)
{
	struct sockaddr_un *address = (struct sockaddr_un *)&spec->address;
	size_t length = strlen(text);

	if (!length || length > sizeof(address->sun_path))
		return err_set(err, -EINVAL, "-P takes a path or @NAME of up to %zu characters",
			sizeof(address->sun_path));
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, text, length);
	if (*text == '@')
		address->sun_path[0] = '\0';
	spec->address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	return 0;
}

static int add_ctrtool(struct ctrtool_options *options, struct err *err)
{
	struct socket_spec *specs =
		reallocarray(options->specs, options->count + 1, sizeof(*options->specs));

	if (!specs)
		return err_errno(err, -ENOMEM, "reading the command line");
	options->specs = specs;
	specs[options->count] = SOCKET_SPEC_INIT;
	specs[options->count].domain = AF_INET6;
	specs[options->count++].type = SOCK_STREAM;
	return 0;
}

/* An option that is about one socket. */
static int take_for(struct socket_spec *spec, int option, struct err *err)
{
	unsigned long long number = 0;
	int result;

	switch (option) {
	case 'U':
		spec->place.userns = true;
		return 0;
	case 'A':
		spec->place.anonymous = true;
		return 0;
	case 'N':
		/* A file, always: what has no slash is in the working directory. */
		if (!*optarg || strlen(optarg) >= sizeof(spec->place.netns) - 2)
			return err_set(err, -EINVAL, "-N takes the path of a namespace");
		strcpy(spec->place.netns, strchr(optarg, '/') ? "" : "./");
		strcat(spec->place.netns, optarg);
		return 0;
	case 'd':
		return read_preset(option, optarg, domains, &spec->domain, err);
	case 't':
		return read_preset(option, optarg, types, &spec->type, err);
	case 'p':
		return read_preset(option, optarg, protocols, &spec->protocol, err);
	case 'l':
		result = read_ctrtool_number(option, optarg, INT_MAX, &number, err);
		if (!result) {
			spec->backlog = (int)number;
			spec->listen = number > 0; /* 0 is the original's "not" */
		}
		return result;
	default:
		if (spec->address_size)
			return err_set(err, -EINVAL,
				"-%c %.64s: this socket already has an address; begin another with -n",
				option, optarg);
		return option == 'P' ? read_ctrtool_path(optarg, spec, err)
				     : read_ctrtool_address(option, optarg, spec, err);
	}
}

static int take_ctrtool(struct ctrtool_options *options, int option, struct err *err)
{
	if (option == '?')
		return err_set(err, -EINVAL, "there is no option '-%c'",
			optopt > ' ' && optopt < 0x7f ? optopt : '?');
	if (option == ':')
		return err_set(err, -EINVAL, "a value for -%c is missing", optopt);
	if (strchr(NOT_TAKEN, option))
		return err_set(err, -EINVAL,
			"-%c is not about sockets, which are all that this ctrtool opens (-n and the options -N -U -A -d -t -p -l -4 -6 -P, and -o); for files, use the original",
			option);
	if (option == 'n')
		return add_ctrtool(options, err);
	if (option == 'o')
		return read_ctrtool_number(option, optarg, LLONG_MAX, &options->offset, err);
	if (!options->count)
		return err_set(err, -EINVAL, "-%c is about a socket: it stands after -n", option);
	return take_for(&options->specs[options->count - 1], option, err);
}

/* What only the whole of a socket's options shows. */
static int finish_ctrtool(struct socket_spec *spec, struct err *err)
{
	int family = ((const struct sockaddr *)&spec->address)->sa_family;

	if (spec->address_size && family != spec->domain)
		return err_set(err, -EINVAL, "%s (without -d, a socket is inet6)",
			family == AF_INET    ? "-4 needs -d inet"
			: family == AF_INET6 ? "-6 needs -d inet6"
					     : "-P needs -d unix");
	spec->place.netns_is_userns = spec->place.anonymous && spec->place.userns;
	if (!spec->place.netns[0])
		spec->place.userns = false; /* as in the original, -U is nothing without -N */
	return 0;
}

/* Errors quote words, which may hold anything. */
static void make_ctrtool_printable(struct err *err)
{
	for (char *c = err->text; *c; c++) {
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
			*c = '?';
	}
}

int ctrtool_options_parse(int argc, char **argv, struct ctrtool_options *options, struct err *err)
{
	int option, result = 0;

	*options = (struct ctrtool_options){0};
	opterr = 0;
	optind = 0; /* starts anew, glibc's way */
	while (!result && (option = getopt(argc, argv, OPTIONS)) != -1)
		result = take_ctrtool(options, option, err);
	for (size_t i = 0; i < options->count && !result; i++)
		result = finish_ctrtool(&options->specs[i], err);
	if (!result && !argv[optind])
		result = err_set(err, -EINVAL, "no program is named");
	options->command = argv + optind;
	if (result) {
		make_ctrtool_printable(err);
		ctrtool_options_fini(options);
	}
	return result;
}

void ctrtool_options_fini(struct ctrtool_options *options)
{
	free(options->specs);
	*options = (struct ctrtool_options){0};
}
