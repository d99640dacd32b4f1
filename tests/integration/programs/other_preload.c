// SPDX-License-Identifier: BSD-2-Clause
// Another preload library, which counts accepts and binds and passes them on, as real ones do.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static unsigned binds, accepts;

__attribute__((destructor)) static void tell(void)
{
	printf("other library: %u binds, %u accepts\n", binds, accepts);
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
	int (*next)(int, const struct sockaddr *, socklen_t);

	*(void **)&next = dlsym(RTLD_NEXT, "bind");
	binds++;
	return next(fd, address, length);
}

int accept(int fd, struct sockaddr *address, socklen_t *length)
{
	int (*next)(int, struct sockaddr *, socklen_t *);

	*(void **)&next = dlsym(RTLD_NEXT, "accept");
	accepts++;
	return next(fd, address, length);
}
