// SPDX-License-Identifier: BSD-2-Clause
// Preloaded into a program under test: fails the n-th of its calls of chosen kinds with a chosen
// errno, and shifts its wall clock. A test steers it through the file that $SOCKETBOX_FAULTS names
// (tests/support/faults.py), which is mapped, so that it changes a program that runs. Programs that
// the program starts are left alone.
#undef _FILE_OFFSET_BITS /* it would rename what is defined here */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* Kinds of calls; Faults in faults.py has the same numbers. */
enum kind {
	MEMORY = 1 << 0,
	DESCRIPTORS = 1 << 1, /* what makes one */
	SOCKETS = 1 << 2,     /* what sets one up */
	MESSAGES = 1 << 3,
	BPF = 1 << 4,
	QUESTIONS = 1 << 6, /* getsockopt */
	EVENTS = 1 << 5,    /* what asks for them */
};

/* The file. */
struct steering {
	uint32_t armed, kinds;
	int32_t error;
	uint32_t first, count; /* calls first .. first + count - 1 fail, counted from 1 */
	uint32_t calls, failed;
	int64_t live;	 /* allocations less frees */
	int64_t shift_s; /* added to CLOCK_REALTIME */
	char last[32];	 /* the call that failed last */
};

static struct steering nobody;
static struct steering *steering = &nobody;

__attribute__((constructor)) static void attach(void)
{
	const char *path = getenv("SOCKETBOX_FAULTS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *map = MAP_FAILED;

	if (fd >= 0) {
		map = mmap(NULL, sizeof(*steering), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
	}
	unsetenv("LD_PRELOAD");
	unsetenv("SOCKETBOX_FAULTS");
	if (map != MAP_FAILED)
		steering = map;
}

static bool fails(enum kind kind, const char *name)
{
	struct steering *now = steering;

	if (!now->armed || !(now->kinds & kind))
		return false;
	now->calls++;
	if (now->calls < now->first || now->calls - now->first >= now->count)
		return false;
	now->failed++;
	strncpy(now->last, name, sizeof(now->last) - 1);
	errno = now->error;
	return true;
}

/* Without a lock: whoever comes first, all find the same. */
#define REAL(name)                                                       \
	static __typeof__(name) *real;                                   \
                                                                         \
	if (!real) {                                                     \
		void *found = dlsym(RTLD_NEXT, #name);                   \
                                                                         \
		memcpy(&real, &found, sizeof(found)); /* ISO C's wish */ \
	}

#define WRAP(kind, result, failure, name, parameters, ...) \
	result name parameters                             \
	{                                                  \
		REAL(name)                                 \
		if (fails(kind, #name))                    \
			return failure;                    \
		return real(__VA_ARGS__);                  \
	}

static void *counted(void *pointer)
{
	if (pointer)
		__atomic_add_fetch(&steering->live, 1, __ATOMIC_RELAXED);
	return pointer;
}

/* Found early: dlsym(3), called by free(), would free what an earlier error has left. */
static void (*real_free)(void *);

static void find_free(void)
{
	static bool looking;
	void *found;

	if (looking)
		return;
	looking = true;
	found = dlsym(RTLD_NEXT, "free");
	memcpy(&real_free, &found, sizeof(found));
}

void *malloc(size_t size)
{
	REAL(malloc)
	find_free();
	return fails(MEMORY, "malloc") ? NULL : counted(real(size));
}

void *calloc(size_t count, size_t size)
{
	REAL(calloc)
	find_free();
	return fails(MEMORY, "calloc") ? NULL : counted(real(count, size));
}

void *realloc(void *pointer, size_t size)
{
	REAL(realloc)
	find_free();
	if (fails(MEMORY, "realloc"))
		return NULL;
	return pointer ? real(pointer, size) : counted(real(pointer, size));
}

void *reallocarray(void *pointer, size_t count, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(count, size, &total)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(pointer, total);
}

void free(void *pointer)
{
	/* What is freed before anything was allocated by this is not this library's. */
	if (!real_free || !pointer)
		return;
	__atomic_sub_fetch(&steering->live, 1, __ATOMIC_RELAXED);
	real_free(pointer);
}

WRAP(DESCRIPTORS, int, -1, socket, (int domain, int type, int protocol), domain, type, protocol)
WRAP(DESCRIPTORS, int, -1, socketpair, (int domain, int type, int protocol, int pair[2]), domain,
	type, protocol, pair)
WRAP(DESCRIPTORS, int, -1, accept4,
	(int fd, struct sockaddr *address, socklen_t *length, int flags), fd, address, length,
	flags)
WRAP(DESCRIPTORS, int, -1, memfd_create, (const char *name, unsigned flags), name, flags)
WRAP(DESCRIPTORS, int, -1, pipe2, (int pair[2], int flags), pair, flags)
WRAP(DESCRIPTORS, int, -1, dup, (int fd), fd)
WRAP(DESCRIPTORS, int, -1, epoll_create1, (int flags), flags)
WRAP(DESCRIPTORS, int, -1, inotify_init1, (int flags), flags)
WRAP(DESCRIPTORS, int, -1, timerfd_create, (int clock, int flags), clock, flags)
WRAP(SOCKETS, int, -1, bind, (int fd, const struct sockaddr *address, socklen_t length), fd,
	address, length)
WRAP(SOCKETS, int, -1, connect, (int fd, const struct sockaddr *address, socklen_t length), fd,
	address, length)
WRAP(SOCKETS, int, -1, listen, (int fd, int backlog), fd, backlog)
WRAP(SOCKETS, int, -1, setsockopt,
	(int fd, int level, int name, const void *value, socklen_t length), fd, level, name, value,
	length)

/* Every socket has its number, whatever else may be missing. */
int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict length)
{
	REAL(getsockopt)
	if ((level != SOL_SOCKET || name != SO_COOKIE) && fails(QUESTIONS, "getsockopt"))
		return -1;
	return real(fd, level, name, value, length);
}

WRAP(MESSAGES, ssize_t, -1, sendmsg, (int fd, const struct msghdr *message, int flags), fd, message,
	flags)
WRAP(MESSAGES, ssize_t, -1, recvmsg, (int fd, struct msghdr *message, int flags), fd, message,
	flags)
WRAP(MESSAGES, ssize_t, -1, send, (int fd, const void *data, size_t length, int flags), fd, data,
	length, flags)
WRAP(MESSAGES, ssize_t, -1, recv, (int fd, void *data, size_t length, int flags), fd, data, length,
	flags)
/* Only what is asked for must be there: the kernel cannot fail to forget a descriptor. */
int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
	REAL(epoll_ctl)
	if (operation != EPOLL_CTL_DEL && fails(EVENTS, "epoll_ctl"))
		return -1;
	return real(epoll, operation, fd, event);
}

static bool makes_descriptor(int command)
{
	return command == F_DUPFD || command == F_DUPFD_CLOEXEC;
}

int fcntl64(int fd, int command, ...)
{
	REAL(fcntl64)
	va_list list;
	void *argument;

	va_start(list, command);
	argument = va_arg(list, void *);
	va_end(list);
	if (makes_descriptor(command) && fails(DESCRIPTORS, "fcntl"))
		return -1;
	return real(fd, command, argument);
}

int fcntl(int fd, int command, ...)
{
	va_list list;
	void *argument;

	va_start(list, command);
	argument = va_arg(list, void *);
	va_end(list);
	return fcntl64(fd, command, argument);
}

static int open_file(const char *path, int flags, mode_t mode)
{
	if (fails(DESCRIPTORS, "open"))
		return -1;
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

#define WRAP_OPEN(name)                              \
	int name(const char *path, int flags, ...)   \
	{                                            \
		va_list list;                        \
		mode_t mode;                         \
                                                     \
		va_start(list, flags);               \
		mode = va_arg(list, mode_t);         \
		va_end(list);                        \
		return open_file(path, flags, mode); \
	}

WRAP_OPEN(open)
WRAP_OPEN(open64)

/* libbpf's way to bpf(2). */
long syscall(long number, ...)
{
	REAL(syscall)
	unsigned long words[6];
	va_list list;

	va_start(list, number);
	for (size_t i = 0; i < 6; i++)
		words[i] = va_arg(list, unsigned long);
	va_end(list);
	if (number == SYS_bpf && fails(BPF, "bpf"))
		return -1;
	return real(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	REAL(clock_gettime)
	int result = real(clock, now);

	if (!result && clock == CLOCK_REALTIME)
		now->tv_sec += steering->shift_s;
	return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec precise;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &precise);
	now->tv_sec = precise.tv_sec;
	now->tv_usec = precise.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *out)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (out)
		*out = now.tv_sec;
	return now.tv_sec;
}
