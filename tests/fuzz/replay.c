// SPDX-License-Identifier: BSD-2-Clause
// Runs every file of a corpus through a fuzzer's entry point: replay_NAME DIRECTORY.
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "tests/fuzz/fuzz.h"

#define LARGEST_INPUT (1024 * 1024)

static int run_file(const char *directory, const char *name)
{
	cleanup_free uint8_t *data = malloc(LARGEST_INPUT);
	cleanup_fclose FILE *file = NULL;
	cleanup_free char *path = NULL;
	uint8_t *exact;
	size_t size;

	if (!data || asprintf(&path, "%s/%s", directory, name) < 0)
		return -ENOMEM;
	file = fopen(path, "rb");
	if (!file)
		return -errno;
	size = fread(data, 1, LARGEST_INPUT, file);
	if (ferror(file))
		return -EIO;
	/* Of exactly its size, so that AddressSanitizer sees reads past its end. */
	exact = malloc(size ? size : 1);
	if (!exact)
		return -ENOMEM;
	memcpy(exact, data, size);
	printf("%s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	return 0;
}

int main(int argc, char **argv)
{
	cleanup_closedir DIR *directory = NULL;
	struct dirent *entry;
	int count = 0;

	LLVMFuzzerInitialize(&argc, &argv);
	if (argc != 2 || !(directory = opendir(argv[1]))) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	while ((entry = readdir(directory))) {
		int result;

		if (entry->d_name[0] == '.')
			continue;
		result = run_file(argv[1], entry->d_name);
		if (result) {
			fprintf(stderr, "%s: %s\n", entry->d_name, strerror(-result));
			return 1;
		}
		count++;
	}
	/* An empty corpus would prove nothing. */
	return count ? 0 : 1;
}
