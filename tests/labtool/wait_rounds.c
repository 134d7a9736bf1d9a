// SPDX-License-Identifier: MIT
/*
 * wait-rounds SECONDS NODE...: until each of these counters has grown by two. A round that was about to end may be
 * counted without a request of its own; the next one has some.
 */
#include "tests/labtool/tool.h"

#include <stdio.h>
#include <stdlib.h>

/* 0: not begun. */
static uint32_t read_round(struct xs_handle *xsh, const char *path)
{
	char *value = tool_read(xsh, path);
	uint32_t round = value ? (uint32_t)strtoul(value, NULL, 10) : 0;

	free(value);
	return round;
}

static bool grows(struct xs_handle *xsh, const char *path, uint32_t from, int64_t deadline)
{
	uint32_t round = from;

	tool_watch(xsh, path);
	while (round < from + 2) {
		if (!tool_pause(xsh, deadline)) {
			fprintf(stderr, "gave up waiting for %s to go on from %u\n", path, from);
			return false;
		}
		round = read_round(xsh, path);
	}
	return true;
}

int wait_rounds_main(struct xs_handle *xsh, char **argv)
{
	int64_t deadline = tool_now() + atoi(argv[0]) * 1000ll;
	uint32_t from[16] = {0};
	size_t nr = 0;

	for (; nr < sizeof(from) / sizeof(from[0]) && argv[1 + nr]; nr++)
		from[nr] = read_round(xsh, argv[1 + nr]);
	if (argv[1 + nr])
		tool_die("so many counters");
	for (size_t i = 0; i < nr; i++) {
		if (!grows(xsh, argv[1 + i], from[i], deadline))
			return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
