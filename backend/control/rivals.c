// SPDX-License-Identifier: MIT
/*
 * Looks for other users of a target. Trusts dom0 for what its nodes say; no path in them is opened.
 * Called by verdict.c.
 */
#include "backend/control/rivals.h"
#include "common/cleanup.h"
#include "common/paths.h"
#include "common/xs_parse.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#define BACKENDS      "/local/domain/0/backend"
#define MAX_DOMID     0x7fefu /* DOMID_FIRST_RESERVED - 1 */
#define MOUNTS	      "/proc/1/mountinfo"
#define MOUNTS_OF_OWN "/proc/self/mountinfo" /* where init's can't be read */

/* The trees in which a disk's backend can be; libxl 4.17 uses the first two and virtio_disk. */
static const char *const kinds[] = {"vbd", "qdisk", "vbd3", "virtio_disk"};

/* The next field, up to a blank; NULL at the end. */
static char *next_field(char **rest)
{
	char *field;

	do
		field = strsep(rest, " \n");
	while (field && !*field);
	return field;
}

/* id parent MAJOR:MINOR root FOLDER options [optional...] - type SOURCE OPTIONS */
bool rivals_parse_mount(char *line, struct rivals_mount *mount)
{
	unsigned int major, minor;
	char *field[5], *rest = line, *word;

	for (unsigned int i = 0; i < 5; i++) {
		field[i] = next_field(&rest);
		if (!field[i])
			return false;
	}
	do
		word = next_field(&rest);
	while (word && strcmp(word, "-"));
	word = next_field(&rest);
	mount->source = next_field(&rest);
	const char *options = next_field(&rest);
	if (!word || !mount->source || !options || sscanf(field[2], "%u:%u", &major, &minor) != 2)
		return false;
	mount->folder = field[4];
	mount->writable = !strncmp(options, "rw", 2) && (!options[2] || options[2] == ',');
	mount->dev = major ? makedev(major, minor) : 0;
	return mount->dev || !strncmp(mount->source, "/dev/", 5);
}

static int judge_mount(const struct rivals_search *s, const struct rivals_mount *mount,
		       struct reason *why)
{
	struct backing mounted = {0};

	if (!mount->writable && !s->writable)
		return 0;
	if (mount->dev)
		backing_of_device(&mounted, mount->dev);
	if (!backing_overlaps(s->backing, &mounted) &&
	    (backing_of_path(&mounted, mount->source) || !backing_overlaps(s->backing, &mounted)))
		return 0;
	return reason_set(why, -EBUSY,
			  "is mounted in dom0 on %s%s; umount it, or attach it with mode r and "
			  "mount it read-only",
			  mount->folder, mount->writable ? ", writable" : "");
}

static int search_mounts(const struct rivals_search *s, struct reason *why)
{
	struct rivals_mount mount;
	_rwy_free char *line = NULL;
	size_t size = 0;
	int err = 0;
	FILE *mounts = fopen(MOUNTS, "re") ?: fopen(MOUNTS_OF_OWN, "re");

	if (!mounts)
		return 0;
	while (!err && getline(&line, &size, mounts) > 0) {
		if (rivals_parse_mount(line, &mount))
			err = judge_mount(s, &mount, why);
	}
	fclose(mounts);
	return err;
}

/* One disk of another backend. */
struct rival {
	const char *kind;
	uint32_t domid;
	uint32_t devid;
};

static int read_node(const struct rivals_search *s, const struct rival *r, const char *node,
		     char *value, size_t size)
{
	return rwy_xenbus_read(s->xb, RWY_XENBUS_NO_TX, value, size, BACKENDS "/%s/%u/%u/%s",
			       r->kind, r->domid, r->devid, node);
}

static bool node_is(const struct rivals_search *s, const struct rival *r, const char *node,
		    const char *wanted)
{
	char value[32];

	return read_node(s, r, node, value, sizeof(value)) >= 0 && !strcmp(value, wanted);
}

static bool is_ringways(const struct rivals_search *s, const struct rival *r)
{
	char script[RWY_XENBUS_VALUE_BYTES];

	if (!strcmp(r->kind, "vbd") && s->is_ours(s->ctx, r->domid, r->devid))
		return true;
	if (read_node(s, r, "script", script, sizeof(script)) < 0)
		return false;
	const char *slash = strrchr(script, '/');
	return !strcmp(slash ? slash + 1 : script, RWY_BLOCK_SCRIPT);
}

/* "/path", or "format:/path" as qdisk's are. */
static const char *path_in(const char *params)
{
	const char *colon = strchr(params, ':');

	if (params[0] == '/')
		return params;
	return colon && colon[1] == '/' ? colon + 1 : NULL;
}

/* By the device that its hotplug script found, and by the path that the admin gave. */
static bool uses_target(const struct rivals_search *s, const struct rival *r)
{
	char value[RWY_XENBUS_VALUE_BYTES];
	unsigned int major, minor;
	struct backing backing = {0};

	if (read_node(s, r, "physical-device", value, sizeof(value)) >= 0 &&
	    sscanf(value, "%x:%x", &major, &minor) == 2)
		backing_of_device(&backing, makedev(major, minor));
	if (backing_overlaps(s->backing, &backing))
		return true;

	const char *path =
		read_node(s, r, "params", value, sizeof(value)) < 0 ? NULL : path_in(value);
	return path && !backing_of_path(&backing, path) && backing_overlaps(s->backing, &backing);
}

bool rivals_same_vm(struct rwy_xenbus *xb, uint32_t domid, uint32_t other_domid)
{
	char vm[128], other[128];

	return rwy_xenbus_read(xb, RWY_XENBUS_NO_TX, vm, sizeof(vm), RWY_XS_DOMAIN "/vm", domid) >
		       0 &&
	       rwy_xenbus_read(xb, RWY_XENBUS_NO_TX, other, sizeof(other), RWY_XS_DOMAIN "/vm",
			       other_domid) > 0 &&
	       !strcmp(vm, other);
}

/*
 * A directory may be left over from a domain that is dead, or from a disk that its script refused:
 * nobody serves these.
 */
static bool is_dead(const struct rivals_search *s, const struct rival *r)
{
	return node_is(s, r, "state", "6") || node_is(s, r, RWY_XS_HOTPLUG_STATUS_NODE, "error") ||
	       node_is(s, r, RWY_XS_HOTPLUG_STATUS_NODE, "busy") ||
	       !xs_is_domain_introduced(rwy_xenbus_handle(s->xb), r->domid);
}

static int judge_rival(const struct rivals_search *s, const struct rival *r, struct reason *why)
{
	char mode[16];

	if (is_ringways(s, r))
		return 0;
	bool writes = read_node(s, r, "mode", mode, sizeof(mode)) < 0 || mode[0] == 'w';

	if ((!writes && !s->writable) || !uses_target(s, r) || is_dead(s, r))
		return 0;
	if (r->domid != s->domid && rivals_same_vm(s->xb, s->domid, r->domid))
		return 0;

	bool leaving = node_is(s, r, "online", "0");
	return reason_set(why, leaving ? -EAGAIN : -EBUSY,
			  "is in use by %s %u/%u of another backend%s; detach that one, or attach "
			  "both with mode r",
			  r->kind, r->domid, r->devid, writes ? ", which may write to it" : "");
}

/* The numbers among the children of a directory: an array to free(), NULL when there are none. */
static uint32_t *list_numbers(struct rwy_xenbus *xb, uint32_t max, unsigned int *nr,
			      const char *path)
{
	_rwy_free char **names = NULL;
	unsigned int nr_names;

	*nr = 0;
	if (rwy_xenbus_list(xb, RWY_XENBUS_NO_TX, &names, &nr_names, "%s", path))
		return NULL;
	uint32_t *numbers = calloc(nr_names + 1, sizeof(*numbers));
	for (unsigned int i = 0; numbers && i < nr_names; i++) {
		if (!rwy_xs_parse_component(names[i], max, &numbers[*nr]))
			(*nr)++;
	}
	return numbers;
}

static int search_domain(const struct rivals_search *s, const char *kind, uint32_t domid,
			 struct reason *why)
{
	char path[RWY_XENBUS_PATH_BYTES];
	unsigned int nr;
	int err = 0;

	snprintf(path, sizeof(path), BACKENDS "/%s/%u", kind, domid);
	_rwy_free uint32_t *devids = list_numbers(s->xb, UINT32_MAX, &nr, path);
	for (unsigned int i = 0; !err && i < nr; i++) {
		const struct rival r = {.kind = kind, .domid = domid, .devid = devids[i]};

		err = judge_rival(s, &r, why);
	}
	return err;
}

static int search_kind(const struct rivals_search *s, const char *kind, struct reason *why)
{
	char path[RWY_XENBUS_PATH_BYTES];
	unsigned int nr;
	int err = 0;

	snprintf(path, sizeof(path), BACKENDS "/%s", kind);
	_rwy_free uint32_t *domids = list_numbers(s->xb, MAX_DOMID, &nr, path);
	for (unsigned int i = 0; !err && i < nr; i++)
		err = search_domain(s, kind, domids[i], why);
	return err;
}

int rivals_find(const struct rivals_search *search, struct reason *why)
{
	int err = search_mounts(search, why);

	for (size_t i = 0; !err && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		err = search_kind(search, kinds[i], why);
	return err;
}
