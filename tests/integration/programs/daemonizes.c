// SPDX-License-Identifier: BSD-2-Clause
// Goes into the background as daemons do, and only then binds; writes its pid to the file it is
// told.
#include "serve.h"

int main(int argc, char **argv)
{
	FILE *pid_file;
	int fd;

	if (argc < 2 || daemon(1, 1))
		die("daemon");
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	if (bind_wildcard(fd, AF_INET6, PORT) || listen(fd, 16))
		die("bind");
	pid_file = fopen(argv[1], "w");
	if (!pid_file)
		die(argv[1]);
	fprintf(pid_file, "%d\n", (int)getpid());
	fclose(pid_file);
	serve(fd, "daemon");
}
