// SPDX-License-Identifier: BSD-2-Clause
// Reads a program's mode, capabilities and ELF header.
#include "cli/run/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/cleanup.h"

#if __SIZEOF_POINTER__ == 8
#define ELF_CLASS ELFCLASS64
typedef Elf64_Ehdr elf_header;
typedef Elf64_Phdr elf_segment;
#else
#define ELF_CLASS ELFCLASS32
typedef Elf32_Ehdr elf_header;
typedef Elf32_Phdr elf_segment;
#endif

#define REMEDY "start it without --preload, which needs nothing of the program"

/* As execvp finds it. */
static bool find_program(const char *name, char path[PATH_MAX])
{
	const char *list = getenv("PATH");

	if (strchr(name, '/'))
		return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX;
	for (list = list ? list : "/bin:/usr/bin"; *list;) {
		size_t length = strcspn(list, ":");

		if (snprintf(path, PATH_MAX, "%.*s/%s", (int)length, list, name) < PATH_MAX &&
			!access(path, X_OK))
			return true;
		list += length + (list[length] == ':');
	}
	return false;
}

/* The kernel sets AT_SECURE for a program that gains ids or capabilities, and ld.so then ignores
 * LD_PRELOAD (ld.so(8)). */
static int check_privileges(int fd, const char *path, struct err *err)
{
	const char *what = NULL;
	struct stat file;

	if (fstat(fd, &file))
		return 0;
	if (file.st_mode & S_ISUID && file.st_uid != geteuid())
		what = "is setuid";
	else if (file.st_mode & S_ISGID && file.st_mode & S_IXGRP && file.st_gid != getegid())
		what = "is setgid";
	else if (geteuid() && fgetxattr(fd, "security.capability", NULL, 0) > 0)
		what = "has file capabilities";
	if (!what)
		return 0;
	return err_set(err, -ENOTSUP,
		"%s %s, so the dynamic loader ignores LD_PRELOAD: %s, or give it its privileges by other means",
		path, what, REMEDY);
}

/* Reads the name of the dynamic loader; empty if the program is static. */
static bool read_loader(int fd, char *loader, size_t size)
{
	elf_header header;
	elf_segment segment;

	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
		memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
		header.e_ident[EI_CLASS] != ELF_CLASS || header.e_phentsize != sizeof(segment))
		return false;
	loader[0] = '\0';
	for (unsigned i = 0; i < header.e_phnum; i++) {
		off_t at = (off_t)header.e_phoff + (off_t)(i * sizeof(segment));

		if (pread(fd, &segment, sizeof(segment), at) != sizeof(segment))
			return false;
		if (segment.p_type != PT_INTERP)
			continue;
		if (!segment.p_filesz || segment.p_filesz > size ||
			pread(fd, loader, segment.p_filesz, (off_t)segment.p_offset) !=
				(ssize_t)segment.p_filesz)
			return false;
		loader[segment.p_filesz - 1] = '\0';
	}
	return true;
}

static int check_file(const char *path, bool script, struct err *err);

/* The first word after "#!". */
static int check_interpreter(int fd, struct err *err)
{
	char line[PATH_MAX], *start = line + 2;
	ssize_t length = pread(fd, line, sizeof(line) - 1, 0);

	if (length < 3 || line[0] != '#' || line[1] != '!')
		return 0;
	line[length] = '\0';
	start += strspn(start, " \t");
	start[strcspn(start, " \t\n")] = '\0';
	return check_file(start, true, err);
}

static int check_file(const char *path, bool script, struct err *err)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char loader[PATH_MAX];
	int result;

	if (fd < 0)
		return 0;
	result = check_privileges(fd, path, err);
	if (result)
		return result;
	if (!read_loader(fd, loader, sizeof(loader)))
		return script ? 0 : check_interpreter(fd, err);
	if (!loader[0])
		return err_set(err, -ENOTSUP,
			"%s is a static program, into which nothing can be preloaded: %s", path,
			REMEDY);
	if (strstr(loader, "/ld-musl-"))
		return err_set(err, -ENOTSUP,
			"%s uses musl (%s), and this libsocketbox-preload.so glibc: %s", path,
			loader, REMEDY);
	return 0;
}

int program_check_preload(const char *name, struct err *err)
{
	char path[PATH_MAX];

	return find_program(name, path) ? check_file(path, false, err) : 0;
}
