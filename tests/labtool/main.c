// SPDX-License-Identifier: MIT
#include "tests/labtool/tool.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ANY (-1)

static const struct {
	const char *name;
	int args;
	int (*run)(struct xs_handle *xsh, char **argv);
	const char *usage;
} commands[] = {
	{"wait-node", 3, wait_node_main, "SECONDS PATH PATTERN"},
	{"wait-rounds", ANY, wait_rounds_main, "SECONDS PATH..."},
	{"domid", 1, domid_main, "GUEST"},
	{"use-disk", 3, use_disk_main, "FILE PAUSE NODE"},
	{"use-files", 3, use_files_main, "FOLDER PAUSE NODE"},
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

void tool_fill(void *buffer, size_t bytes, uint32_t round)
{
	uint32_t *words = buffer, x = round * 2654435761u + 1;

	for (size_t i = 0; i < bytes / sizeof(*words); i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		words[i] = x;
	}
}

void tool_say_round(struct xs_handle *xsh, const char *node, uint32_t round)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", round);

	if (!xs_write(xsh, XBT_NULL, node, text, (unsigned int)len))
		tool_die(node);
}

bool tool_is_told_to_stop(struct xs_handle *xsh)
{
	char *stop = tool_read(xsh, TOOL_STOP);
	bool told = stop;

	free(stop);
	return told;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < COMMANDS; i++) {
		struct xs_handle *xsh;

		if (strcmp(argv[1], commands[i].name) || argc < 3 ||
		    (commands[i].args != ANY && argc - 2 != commands[i].args))
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
