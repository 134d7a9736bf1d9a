// SPDX-License-Identifier: MIT
/*
 * Takes paths of watch events apart. A path is a hint and may be anything; all that comes out is
 * numbers in range and a name that fits. Called by watcher.c.
 */
#include "backend/control/watcher_path.h"
#include "common/paths.h"
#include "common/xs_parse.h"
#include <stdbool.h>
#include <string.h>

#define MAX_DOMID 0x7fefu /* DOMID_FIRST_RESERVED - 1 */

/* The next component of *rest, or NULL at its end or when it does not fit. */
static const char *next_component(const char **rest, char *buf, size_t size)
{
	if (**rest != '/')
		return NULL;

	size_t len = strcspn(*rest + 1, "/");
	if (!len || len >= size)
		return NULL;
	memcpy(buf, *rest + 1, len);
	buf[len] = '\0';
	*rest += 1 + len;
	return buf;
}

static bool next_number(const char **rest, uint32_t max, uint32_t *out)
{
	char buf[16];
	const char *component = next_component(rest, buf, sizeof(buf));

	return component && !rwy_xs_parse_component(component, max, out);
}

struct watcher_path watcher_path_parse(const char *path)
{
	struct watcher_path p = {.kind = WATCHER_PATH_COARSE};
	size_t root = strlen(RWY_XS_BACKEND_VBD);
	const char *rest = path + root;

	if (strncmp(path, RWY_XS_BACKEND_VBD, root) || !next_number(&rest, MAX_DOMID, &p.domid) ||
	    !next_number(&rest, UINT32_MAX, &p.devid))
		return p;
	if (!*rest) {
		p.kind = WATCHER_PATH_DEVICE;
		return p;
	}
	p.kind = WATCHER_PATH_NODE;
	if (!next_component(&rest, p.node, sizeof(p.node)))
		p.node[0] = '\0';
	return p;
}
