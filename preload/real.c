// SPDX-License-Identifier: BSD-2-Clause
// Resolves the real functions, all of them once.
#include "preload/real.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

static struct real real;
static atomic_bool resolved;

/* POSIX lets dlsym's result be used as a function; ISO C has no way to write it. */
#define RESOLVE(name) (*(void **)&real.name = dlsym(RTLD_NEXT, #name))

/* Two threads that come here at once write the same values. A libc without one of these functions
 * is none that this library was linked against. */
static void resolve_real(void)
{
	if (!RESOLVE(bind) || !RESOLVE(listen) || !RESOLVE(accept) || !RESOLVE(accept4) ||
		!RESOLVE(getsockname) || !RESOLVE(getpeername) || !RESOLVE(getsockopt) ||
		!RESOLVE(setsockopt))
		abort();
	atomic_store_explicit(&resolved, true, memory_order_release);
}

__attribute__((constructor)) static void load(void)
{
	int saved = errno;

	resolve_real();
	errno = saved;
}

const struct real *real_get(void)
{
	if (!atomic_load_explicit(&resolved, memory_order_acquire))
		load();
	return &real;
}

int real_number(int fd, int name)
{
	int saved = errno, value = -1;
	socklen_t length = sizeof(value);

	if (real_get()->getsockopt(fd, SOL_SOCKET, name, &value, &length))
		value = -1;
	errno = saved;
	return value;
}
