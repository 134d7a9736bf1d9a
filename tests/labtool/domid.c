// SPDX-License-Identifier: MIT
/* domid GUEST: what `xl domid` says, which loads thirty libraries for it. The newest, if several have the name. */
#include "tests/labtool/tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int domid_main(struct xs_handle *xsh, char **argv)
{
	unsigned int count = 0;
	char **ids = xs_directory(xsh, XBT_NULL, "/local/domain", &count);
	int newest = -1;

	for (unsigned int i = 0; ids && i < count; i++) {
		char path[64], *name;

		snprintf(path, sizeof(path), "/local/domain/%s/name", ids[i]);
		name = tool_read(xsh, path);
		if (name && !strcmp(name, argv[0]) && atoi(ids[i]) > newest)
			newest = atoi(ids[i]);
		free(name);
	}
	free(ids);
	if (newest < 0)
		return EXIT_FAILURE;
	printf("%d\n", newest);
	return EXIT_SUCCESS;
}
