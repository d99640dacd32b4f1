/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ownership by scope: a variable with one of these attributes releases what it holds when it goes
 * out of scope; take_fd and take_ptr give it away.
 */
#ifndef SOCKETBOX_COMMON_CLEANUP_H
#define SOCKETBOX_COMMON_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Closes *fd if it is open. Never retried: after EINTR Linux has already freed the number. */
static inline void cleanup_close_fd(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

static inline void cleanup_free_pointer(void *pointer)
{
	free(*(void **)pointer);
}

static inline void cleanup_close_stream(FILE **stream)
{
	if (*stream)
		fclose(*stream);
}

static inline void cleanup_close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

#define cleanup_close	 __attribute__((cleanup(cleanup_close_fd)))
#define cleanup_free	 __attribute__((cleanup(cleanup_free_pointer)))
#define cleanup_fclose	 __attribute__((cleanup(cleanup_close_stream)))
#define cleanup_closedir __attribute__((cleanup(cleanup_close_dir)))

/* Returns what *fd holds and leaves -1 there: the caller owns it now. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define take_ptr(pointer)                        \
	({                                       \
		__auto_type taken_ = *(pointer); \
		*(pointer) = NULL;               \
		taken_;                          \
	})

#endif
