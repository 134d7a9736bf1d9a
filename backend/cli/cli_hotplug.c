// SPDX-License-Identifier: MIT
/*
 * Writes hotplug nodes. Called by the attach and hotplug commands. Source of the nodes' names and
 * values: libxl 4.17 (libxl_device.c, libxl_disk.c) and Xen's block-common.sh.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/cli/cli_hotplug.h"
#include "common/paths.h"

/* What is to be written; NULL or "": the node is removed. */
struct outcome {
	uint32_t domid;
	uint32_t devid;
	const char *status;
	const char *error;
	const char *path;
	const char *device;
};

static int read_node(struct rwy_xenbus *xb, xs_transaction_t tx, const struct outcome *o,
		     const char *node, char *value, size_t size)
{
	return rwy_xenbus_read(xb, tx, value, size, RWY_XS_BACKEND_VBD_DEVICE "/%s", o->domid,
			       o->devid, node);
}

static int check_directory(struct rwy_xenbus *xb, xs_transaction_t tx, const struct outcome *o)
{
	char value[RWY_XENBUS_VALUE_BYTES];
	int got = read_node(xb, tx, o, "script", value, sizeof(value));

	if (got < 0)
		return got;
	const char *slash = strrchr(value, '/');
	if (strcmp(slash ? slash + 1 : value, RWY_BLOCK_SCRIPT))
		return -EPERM;
	got = read_node(xb, tx, o, "online", value, sizeof(value));
	return got >= 0 && !strcmp(value, "0") ? -ESHUTDOWN : 0;
}

static int put(struct rwy_xenbus *xb, xs_transaction_t tx, const struct outcome *o,
	       const char *node, const char *value)
{
	char path[RWY_XENBUS_PATH_BYTES];

	if (!value || !*value)
		return rwy_xenbus_remove(xb, tx, RWY_XS_BACKEND_VBD_DEVICE "/%s", o->domid,
					 o->devid, node);
	snprintf(path, sizeof(path), RWY_XS_BACKEND_VBD_DEVICE "/%s", o->domid, o->devid, node);
	return rwy_xenbus_write(xb, tx, path, "%s", value);
}

static int write_outcome(struct rwy_xenbus *xb, xs_transaction_t tx, void *ctx)
{
	const struct outcome *o = ctx;
	int err = check_directory(xb, tx, o);

	if (!err)
		err = put(xb, tx, o, "physical-device", o->device);
	if (!err)
		err = put(xb, tx, o, "physical-device-path", o->path);
	if (!err)
		err = put(xb, tx, o, RWY_XS_HOTPLUG_ERROR_NODE, o->error);
	if (!err)
		err = put(xb, tx, o, RWY_XS_HOTPLUG_STATUS_NODE, o->status);
	return err;
}

int cli_hotplug_connect(struct rwy_xenbus *xb, uint32_t domid, uint32_t devid,
			const struct cli_verdict *v)
{
	struct outcome o = {.domid = domid,
			    .devid = devid,
			    .status = "connected",
			    .path = v->path,
			    .device = v->device};

	return rwy_xenbus_transact(xb, write_outcome, &o);
}

int cli_hotplug_fail(struct rwy_xenbus *xb, uint32_t domid, uint32_t devid, const char *reason)
{
	struct outcome o = {.domid = domid, .devid = devid, .status = "error", .error = reason};

	return rwy_xenbus_transact(xb, write_outcome, &o);
}
