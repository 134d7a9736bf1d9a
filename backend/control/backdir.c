// SPDX-License-Identifier: MIT
/*
 * Reads and writes a vbd's backend directory. Trusts dom0, in whose tree it is; the frontend's
 * state, which is read here too, is any value. Called by device.c, verdict.c and device_link.c.
 */
#include "backend/control/backdir.h"
#include "backend/control/frontend.h"
#include "common/paths.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FLUSH_NODE "feature-flush-cache"

/* What another backend may have offered here before we took over, and we don't offer. */
static const char *const not_offered[] = {
	"feature-barrier",	  "feature-discard", "discard-granularity",
	"discard-alignment",	  "discard-secure",  "feature-max-indirect-segments",
	"multi-queue-max-queues", "max-ring-pages",
};

void backdir_init(struct backdir *b, struct rwy_xenbus *xb, uint32_t domid, uint32_t devid)
{
	b->xb = xb;
	b->domid = domid;
	b->devid = devid;
	snprintf(b->path, sizeof(b->path), RWY_XS_BACKEND_VBD_DEVICE, domid, devid);
	snprintf(b->frontend, sizeof(b->frontend), RWY_XS_FRONTEND_VBD_DEVICE, domid, devid);
}

static int read_node(const struct backdir *b, xs_transaction_t tx, const char *node, char *buf,
		     size_t size)
{
	return rwy_xenbus_read(b->xb, tx, buf, size, "%s/%s", b->path, node);
}

static bool node_is(const struct backdir *b, const char *node, const char *wanted)
{
	char value[32];

	return read_node(b, RWY_XENBUS_NO_TX, node, value, sizeof(value)) >= 0 &&
	       !strcmp(value, wanted);
}

static bool is_absent(const struct backdir *b, xs_transaction_t tx)
{
	char value[RWY_XENBUS_VALUE_BYTES];

	return rwy_xenbus_read(b->xb, tx, value, sizeof(value), "%s", b->path) == -ENOENT;
}

enum backdir_owner backdir_owner(const struct backdir *b)
{
	char script[RWY_XENBUS_VALUE_BYTES];

	if (read_node(b, RWY_XENBUS_NO_TX, "script", script, sizeof(script)) < 0)
		return is_absent(b, RWY_XENBUS_NO_TX) ? BACKDIR_ABSENT : BACKDIR_FOREIGN;

	const char *slash = strrchr(script, '/');
	return strcmp(slash ? slash + 1 : script, RWY_BLOCK_SCRIPT) ? BACKDIR_FOREIGN
								    : BACKDIR_OURS;
}

static int require_node(const struct backdir *b, const char *node, char *buf, size_t size,
			struct reason *why)
{
	int len = read_node(b, RWY_XENBUS_NO_TX, node, buf, size);

	if (len == -ENOENT)
		return reason_set(why, -ENOENT, "the node %s/%s is missing", b->path, node);
	if (len < 0)
		return reason_set(why, -EINVAL, "the node %s/%s can't be read: %s", b->path, node,
				  strerror(-len));
	return 0;
}

int backdir_read_config(const struct backdir *b, struct backdir_config *c, struct reason *why)
{
	char value[RWY_XENBUS_VALUE_BYTES];
	uint32_t id;
	int err;

	memset(c, 0, sizeof(*c));
	err = require_node(b, "state", value, sizeof(value), why);
	if (!err)
		err = require_node(b, "online", value, sizeof(value), why);
	if (!err)
		err = require_node(b, "params", c->params, sizeof(c->params), why);
	if (!err)
		err = require_node(b, "mode", value, sizeof(value), why);
	if (err)
		return err;
	c->writable = value[0] == 'w';
	c->cdrom = node_is(b, "device-type", "cdrom");
	c->removable = node_is(b, "removable", "1");

	err = require_node(b, "frontend-id", value, sizeof(value), why);
	if (err)
		return err;
	if (rwy_xenbus_read_u32(b->xb, RWY_XENBUS_NO_TX, 0, UINT32_MAX, &id, "%s/frontend-id",
				b->path) ||
	    id != b->domid)
		return reason_set(why, -EINVAL, "the node %s/frontend-id is not %u", b->path,
				  b->domid);
	err = require_node(b, "frontend", value, sizeof(value), why);
	if (!err && strcmp(value, b->frontend))
		return reason_set(why, -EINVAL, "the node %s/frontend is not %s", b->path,
				  b->frontend);
	return err;
}

enum xenbus_state backdir_own_state(const struct backdir *b)
{
	return rwy_xenbus_read_state(b->xb, "%s/state", b->path);
}

enum xenbus_state backdir_peer_state(const struct backdir *b)
{
	return rwy_xenbus_read_state(b->xb, "%s/state", b->frontend);
}

bool backdir_is_online(const struct backdir *b)
{
	return node_is(b, "online", "1");
}

bool backdir_is_plugged(const struct backdir *b)
{
	return node_is(b, RWY_XS_HOTPLUG_STATUS_NODE, "connected");
}

/* The node is one that xen-blkback writes only when it connects, which it does not get to do. */
bool backdir_is_offered(const struct backdir *b)
{
	char value[RWY_XENBUS_VALUE_BYTES];
	int len = read_node(b, RWY_XENBUS_NO_TX, FLUSH_NODE, value, sizeof(value));

	return len < 0 ? len != -ENOENT : !strcmp(value, "1");
}

bool backdir_says(const struct backdir *b, const struct backdir_config *c)
{
	char params[RWY_XENBUS_VALUE_BYTES], mode[RWY_XENBUS_VALUE_BYTES];

	if (read_node(b, RWY_XENBUS_NO_TX, "params", params, sizeof(params)) < 0 ||
	    read_node(b, RWY_XENBUS_NO_TX, "mode", mode, sizeof(mode)) < 0)
		return true;
	return !strcmp(params, c->params) && (mode[0] == 'w') == c->writable;
}

/* What is there already is not written again: each write is an event for everybody who watches, and
 * a frontend decides how often it comes back. */
static int write_number(const struct backdir *b, xs_transaction_t tx, const char *node,
			uint64_t value)
{
	char path[RWY_XENBUS_PATH_BYTES];
	uint64_t now;

	if (!rwy_xenbus_read_u64(b->xb, tx, value, value, &now, "%s/%s", b->path, node))
		return 0;
	snprintf(path, sizeof(path), "%s/%s", b->path, node);
	return rwy_xenbus_write(b->xb, tx, path, "%llu", (unsigned long long)value);
}

static int write_features(const struct backdir *b, xs_transaction_t tx)
{
	int err = write_number(b, tx, "max-ring-page-order", FRONTEND_MAX_RING_ORDER);

	if (!err)
		err = write_number(b, tx, FLUSH_NODE, 1);
	if (!err)
		err = write_number(b, tx, "feature-persistent", 0);
	for (size_t i = 0; !err && i < sizeof(not_offered) / sizeof(not_offered[0]); i++)
		err = rwy_xenbus_remove(b->xb, tx, "%s/%s", b->path, not_offered[i]);
	return err;
}

static int write_disk(const struct backdir *b, xs_transaction_t tx, const struct backdir_disk *disk)
{
	int err = write_number(b, tx, "sectors", disk->capacity_sect);

	if (!err)
		err = write_number(b, tx, "sector-size", 512);
	if (!err)
		err = write_number(b, tx, "physical-sector-size", disk->physical_sector_bytes);
	if (!err)
		err = write_number(b, tx, "info", disk->info);
	return err;
}

struct switch_ctx {
	const struct backdir *b;
	const struct backdir_switch *s;
};

static int switch_body(struct rwy_xenbus *xb, xs_transaction_t tx, void *ctx)
{
	const struct switch_ctx *c = ctx;
	const struct backdir *b = c->b;
	uint32_t state;
	int err = rwy_xenbus_read_u32(xb, tx, XenbusStateUnknown, XenbusStateReconfigured, &state,
				      "%s/state", b->path);

	if (err == -ENOENT)
		return err;
	if (err)
		state = XenbusStateUnknown;
	if (state != c->s->from)
		return -ESTALE;

	err = c->s->offer ? write_features(b, tx) : 0;
	if (!err && c->s->disk)
		err = write_disk(b, tx, c->s->disk);
	if (!err)
		err = write_number(b, tx, "state", c->s->to);
	return err;
}

int backdir_switch(const struct backdir *b, const struct backdir_switch *s)
{
	struct switch_ctx c = {.b = b, .s = s};

	return rwy_xenbus_transact(b->xb, switch_body, &c);
}

struct error_ctx {
	const struct backdir *b;
	const char *text;
};

static int error_body(struct rwy_xenbus *xb, xs_transaction_t tx, void *ctx)
{
	const struct error_ctx *c = ctx;
	char path[RWY_XENBUS_PATH_BYTES];

	if (is_absent(c->b, tx))
		return -ENOENT;
	if (!c->text[0])
		return rwy_xenbus_remove(xb, tx, "%s/%s", c->b->path, RWY_XS_ERROR_NODE);
	snprintf(path, sizeof(path), "%s/%s", c->b->path, RWY_XS_ERROR_NODE);
	return rwy_xenbus_write(xb, tx, path, "%s", c->text);
}

int backdir_write_error(const struct backdir *b, const char *text)
{
	struct error_ctx c = {.b = b, .text = text};

	return rwy_xenbus_transact(b->xb, error_body, &c);
}
