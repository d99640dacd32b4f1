// SPDX-License-Identifier: BSD-2-Clause
// Prints no_new_privs and the effective user; installed setuid root by a test.
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(void)
{
	printf("no_new_privs %d euid %u\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
		(unsigned)geteuid());
	return 0;
}
