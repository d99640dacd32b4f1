// SPDX-License-Identifier: BSD-2-Clause
// Binds as 32-bit programs do: by socketcall(2), through the 32-bit system call entry, with
// everything in the first 4 GiB of memory.
#include <linux/net.h>
#include <stdint.h>
#include <sys/mman.h>

#include "serve.h"

#define I386_SOCKETCALL 102

int main(void)
{
	struct low {
		uint32_t arguments[3];
		struct sockaddr_in6 address;
	} *low = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	long result;

	if (low == MAP_FAILED)
		die("mmap");
	low->address = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
	low->arguments[0] = (uint32_t)fd;
	low->arguments[1] = (uint32_t)(uintptr_t)&low->address;
	low->arguments[2] = sizeof(low->address);
	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "0"((long)I386_SOCKETCALL), "b"((long)SYS_BIND), "c"(low->arguments)
			 : "memory");
	errno = (int)-result;
	if (result || listen(fd, 16))
		die("bind");
	serve(fd, "socketcall");
}
