// SPDX-License-Identifier: MIT
/* wait-node SECONDS PATH PATTERN: until the node is there and its value matches the shell pattern. */
#include "tests/labtool/tool.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>

static bool matches(struct xs_handle *xsh, const char *path, const char *pattern)
{
	char *value = tool_read(xsh, path);
	bool yes = value && !fnmatch(pattern, value, FNM_EXTMATCH);

	free(value);
	return yes;
}

int wait_node_main(struct xs_handle *xsh, char **argv)
{
	int64_t deadline = tool_now() + atoi(argv[0]) * 1000ll;

	tool_watch(xsh, argv[1]);
	while (!matches(xsh, argv[1], argv[2])) {
		if (!tool_pause(xsh, deadline)) {
			fprintf(stderr, "gave up waiting for %s to be %s\n", argv[1], argv[2]);
			return EXIT_FAILURE;
		}
	}
	return EXIT_SUCCESS;
}
