// SPDX-License-Identifier: BSD-2-Clause
// socketbox import: prints the YAML that serves what another program's configuration serves.
#include "cli/import/import.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli/subcommands.h"
#include "common/cleanup.h"

#define LARGEST_FILE (1024 * 1024)

/* The whole file with a NUL behind it; the caller's. */
static int read_import_file(const char *path, char **out, struct err *err)
{
	cleanup_fclose FILE *file = fopen(path, "re");
	cleanup_free char *text = malloc(LARGEST_FILE + 1);
	size_t length;

	if (!file)
		return err_errno(err, -errno, "%s", path);
	if (!text)
		return err_errno(err, -ENOMEM, "%s", path);
	length = fread(text, 1, LARGEST_FILE + 1, file);
	if (ferror(file))
		return err_errno(err, -EIO, "%s", path);
	if (length > LARGEST_FILE)
		return err_set(err, -EFBIG, "%s is larger than 1 MiB", path);
	if (memchr(text, '\0', length))
		return err_set(err, -EINVAL, "%s is not a text file", path);
	text[length] = '\0';
	*out = take_ptr(&text);
	return 0;
}

static int do_xinetd(const char *path, struct err *err)
{
	cleanup_free char *text = NULL;
	int result = read_import_file(path, &text, err);

	if (result)
		return result;
	result = import_xinetd(path, text, stdout, stderr, err);
	return result ? err_prefix(err, "%s", path) : 0;
}

static int do_systemd(const char *path, struct err *err)
{
	cleanup_free char *text = NULL, *service_text = NULL;
	const char *slash = strrchr(path, '/');
	char service[NAME_MAX + 1], beside[PATH_MAX];
	struct err missing;
	int result = read_import_file(path, &text, err);

	if (!result)
		result = import_systemd_service(path, text, service, sizeof(service), err);
	if (result)
		return result;
	if (snprintf(beside, sizeof(beside), "%.*s%s", slash ? (int)(slash - path + 1) : 0, path,
		    service) >= PATH_MAX)
		return err_set(err, -ENAMETOOLONG, "%s: too long a path", path);
	if (read_import_file(beside, &service_text, &missing))
		fprintf(stderr, "%s: warning: %s\n", path, missing.text);
	return import_systemd(path, text, service_text, stdout, stderr, err);
}

int import_main(int argc, char **argv, struct err *err)
{
	static const struct {
		const char *kind;
		int (*import)(const char *path, struct err *err);
	} kinds[] = {{"xinetd", do_xinetd}, {"systemd", do_systemd}};

	for (size_t i = 0; argc == 3 && i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!strcmp(argv[1], kinds[i].kind))
			return kinds[i].import(argv[2], err) ? EXIT_FAILED : EXIT_DONE;
	}
	if (argc == 3)
		err_set(err, -EINVAL, "'%s' cannot be imported; write xinetd or systemd", argv[1]);
	else
		err_set(err, -EINVAL, "a kind and a file are needed");
	return EXIT_USAGE;
}
