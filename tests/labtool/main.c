// SPDX-License-Identifier: MIT
#include "tests/labtool/tool.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct {
	const char *name;
	int args;
	int (*run)(struct xs_handle *xsh, char **argv);
	const char *usage;
} commands[] = {
	{"wait-node", 3, wait_node_main, "SECONDS PATH PATTERN"},
	{"domid", 1, domid_main, "GUEST"},
	{"use-disk", 2, use_disk_main, "DEVICE PAUSE"},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

char *tool_read(struct xs_handle *xsh, const char *path)
{
	unsigned int len;

	return xs_read(xsh, XBT_NULL, path, &len);
}

void tool_watch(struct xs_handle *xsh, const char *path)
{
	if (!xs_watch(xsh, path, "t"))
		tool_die(path);
}

bool tool_pause(struct xs_handle *xsh, int64_t deadline_ms)
{
	struct pollfd fd = {.fd = xs_fileno(xsh), .events = POLLIN};
	int64_t left = deadline_ms - tool_now();
	bool fired = left > 0 && poll(&fd, 1, (int)left) > 0;

	for (char **event; (event = xs_check_watch(xsh));)
		free(event);
	return fired;
}

int64_t tool_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void tool_die(const char *what)
{
	fprintf(stderr, "labtool: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
	exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < COMMANDS; i++) {
		struct xs_handle *xsh;

		if (strcmp(argv[1], commands[i].name) || argc - 2 != commands[i].args)
			continue;
		xsh = xs_open(0);
		if (!xsh)
			tool_die("xenstore");
		return commands[i].run(xsh, argv + 2);
	}
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(stderr, "usage: labtool %s %s\n", commands[i].name, commands[i].usage);
	return 2;
}
