/* SPDX-License-Identifier: BSD-2-Clause */
/* One operation through io_uring, by bare system calls: the way around filters of system calls. */
#ifndef SOCKETBOX_TESTS_URING_H
#define SOCKETBOX_TESTS_URING_H

#include <errno.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define URING_BIND 56 /* IORING_OP_BIND, Linux 6.11 */

/* What the operation returns, or the negative errno of getting there. Rings are left to exit. */
static inline int uring_do(uint8_t operation, int fd, const void *address, uint64_t offset)
{
	struct io_uring_params params = {0};
	int ring = (int)syscall(SYS_io_uring_setup, 1, &params);
	unsigned *tail, *array, *cq_head;
	struct io_uring_sqe *entries;
	struct io_uring_cqe *done;
	size_t size = params.cq_off.cqes + params.cq_entries * sizeof(*done);
	size_t other = params.sq_off.array + params.sq_entries * sizeof(unsigned);
	char *rings;

	if (ring < 0)
		return -errno;
	size = size > other ? size : other;
	rings = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	entries = mmap(
		NULL, sizeof(*entries), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	if (rings == MAP_FAILED || (void *)entries == MAP_FAILED)
		return -errno;
	memset(entries, 0, sizeof(*entries));
	entries->opcode = operation;
	entries->fd = fd;
	entries->addr = (uint64_t)(uintptr_t)address;
	entries->off = offset;
	entries->len = operation == IORING_OP_SENDMSG;
	tail = (unsigned *)(rings + params.sq_off.tail);
	array = (unsigned *)(rings + params.sq_off.array);
	array[0] = 0;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -errno;
	cq_head = (unsigned *)(rings + params.cq_off.head);
	done = (struct io_uring_cqe *)(rings + params.cq_off.cqes);
	return done[*cq_head & (params.cq_entries - 1)].res;
}

#endif
