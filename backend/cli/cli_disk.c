// SPDX-License-Identifier: MIT
/*
 * A disk's two xenstore directories. The tables below are what libxl 4.17 writes for a `script=`
 * disk, plus what its hotplug script would add; the guest may read the one and write the other.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cli/cli_disk.h"
#include "common/cleanup.h"
#include "common/paths.h"

#define SCRIPT		  "/etc/xen/scripts/" RWY_BLOCK_SCRIPT
#define NUMBER_BYTES	  12u
#define STATE_INITIALISED "1"				/* XenbusStateInitialising */
#define FRONTEND_VBD	  "/local/domain/%u/device/vbd" /* domid */
#define BACKEND_DOMAIN	  RWY_XS_BACKEND_VBD "/%u"	/* domid */
#define LIBXL_VBD	  "/libxl/%u/device/vbd/%u"	/* domid, devid */

/* What the values of the nodes are made of; NULL: no such node. */
struct plan {
	char frontend[RWY_XENBUS_PATH_BYTES];
	char backend[RWY_XENBUS_PATH_BYTES];
	char domid[NUMBER_BYTES];
	char devid[NUMBER_BYTES];
	char vdev[RWY_VDEV_NAME_BYTES];
	const char *target;
	const char *mode;
	const char *discard;
	const char *plugged;
};

enum source {
	LITERAL,
	FRONTEND,
	BACKEND,
	DOMID,
	DEVID,
	VDEV,
	TARGET,
	MODE,
	DISCARD,
	PLUGGED,
};

struct node {
	const char *name;
	enum source source;
	const char *literal;
};

static const struct node backend_nodes[] = {
	{"frontend", FRONTEND, NULL},
	{"frontend-id", DOMID, NULL},
	{"params", TARGET, NULL},
	{"script", LITERAL, SCRIPT},
	{"online", LITERAL, "1"},
	{"removable", LITERAL, "0"},
	{"bootable", LITERAL, "1"},
	{"dev", VDEV, NULL},
	{"type", LITERAL, "phy"},
	{"mode", MODE, NULL},
	{"device-type", LITERAL, "disk"},
	{"discard-enable", DISCARD, NULL},
	{RWY_XS_HOTPLUG_STATUS_NODE, PLUGGED, NULL},
	{"state", LITERAL, STATE_INITIALISED},
};

/* Without `protocol`: that is the guest's to say. */
static const struct node frontend_nodes[] = {
	{"backend", BACKEND, NULL},	 {"backend-id", LITERAL, "0"},
	{"virtual-device", DEVID, NULL}, {"device-type", LITERAL, "disk"},
	{"trusted", LITERAL, "1"},	 {"state", LITERAL, STATE_INITIALISED},
};

static const char *value_of(const struct plan *plan, const struct node *node)
{
	switch (node->source) {
	case FRONTEND:
		return plan->frontend;
	case BACKEND:
		return plan->backend;
	case DOMID:
		return plan->domid;
	case DEVID:
		return plan->devid;
	case VDEV:
		return plan->vdev;
	case TARGET:
		return plan->target;
	case MODE:
		return plan->mode;
	case DISCARD:
		return plan->discard;
	case PLUGGED:
		return plan->plugged;
	case LITERAL:
		break;
	}
	return node->literal;
}

/* Permissions go on the empty directory: what is created under it inherits them. */
static int write_directory(struct rwy_xenbus *xb, xs_transaction_t tx, const struct plan *plan,
			   const char *directory, const struct node *nodes, size_t nr_nodes,
			   uint32_t owner_domid, uint32_t reader_domid)
{
	char path[RWY_XENBUS_PATH_BYTES];
	int err = rwy_xenbus_mkdir(xb, tx, directory);

	if (!err)
		err = rwy_xenbus_set_owner_reader(xb, tx, directory, owner_domid, reader_domid);
	for (size_t i = 0; !err && i < nr_nodes; i++) {
		const char *value = value_of(plan, &nodes[i]);
		int len = snprintf(path, sizeof(path), "%s/%s", directory, nodes[i].name);

		if (len < 0 || (size_t)len >= sizeof(path))
			return -ENAMETOOLONG;
		err = value ? rwy_xenbus_write(xb, tx, path, "%s", value) : 0;
	}
	return err;
}

/* 1, 0, or -errno. */
static int disk_exists(struct rwy_xenbus *xb, xs_transaction_t tx, uint32_t domid, uint32_t devid)
{
	char value[RWY_XENBUS_VALUE_BYTES];
	int backend = rwy_xenbus_read(xb, tx, value, sizeof(value), RWY_XS_BACKEND_VBD_DEVICE,
				      domid, devid);

	if (backend != -ENOENT)
		return backend < 0 ? backend : 1;
	int frontend = rwy_xenbus_read(xb, tx, value, sizeof(value), RWY_XS_FRONTEND_VBD_DEVICE,
				       domid, devid);
	if (frontend == -ENOENT)
		return 0;
	/* Its value may be any bytes: that it can't be read as text is no error here. */
	return frontend == -EACCES ? frontend : 1;
}

int cli_disk_create(struct rwy_xenbus *xb, xs_transaction_t tx, const struct cli_disk *disk)
{
	struct plan plan = {
		.target = disk->target,
		.mode = disk->writable ? "w" : "r",
		.discard = disk->writable ? "1" : "0",
		.plugged = disk->plugged ? "connected" : NULL,
	};
	int exists = disk_exists(xb, tx, disk->domid, disk->devid);

	if (exists)
		return exists < 0 ? exists : -EEXIST;
	snprintf(plan.frontend, sizeof(plan.frontend), RWY_XS_FRONTEND_VBD_DEVICE, disk->domid,
		 disk->devid);
	snprintf(plan.backend, sizeof(plan.backend), RWY_XS_BACKEND_VBD_DEVICE, disk->domid,
		 disk->devid);
	snprintf(plan.domid, sizeof(plan.domid), "%u", disk->domid);
	snprintf(plan.devid, sizeof(plan.devid), "%u", disk->devid);
	rwy_vdev_format(disk->devid, plan.vdev);

	int err = write_directory(xb, tx, &plan, plan.backend, backend_nodes,
				  sizeof(backend_nodes) / sizeof(backend_nodes[0]), 0, disk->domid);
	if (!err)
		err = write_directory(xb, tx, &plan, plan.frontend, frontend_nodes,
				      sizeof(frontend_nodes) / sizeof(frontend_nodes[0]),
				      disk->domid, 0);
	return err;
}

int cli_disk_first_free(struct rwy_xenbus *xb, xs_transaction_t tx, uint32_t domid, uint32_t *devid)
{
	for (uint32_t disk = 0; !rwy_vdev_encode_xvd(disk, 0, devid); disk++) {
		int exists = disk_exists(xb, tx, domid, *devid);

		if (exists <= 0)
			return exists;
	}
	return -ENOSPC;
}

/* A value that is no text is a node all the same. */
static bool exists_at(int read_result)
{
	return read_result >= 0 || read_result == -EINVAL || read_result == -ENAMETOOLONG;
}

int cli_disk_owner(struct rwy_xenbus *xb, uint32_t domid, uint32_t devid,
		   enum cli_disk_owner *owner)
{
	char value[RWY_XENBUS_VALUE_BYTES];
	int got = rwy_xenbus_read(xb, RWY_XENBUS_NO_TX, value, sizeof(value),
				  RWY_XS_BACKEND_VBD_DEVICE, domid, devid);

	if (got < 0) {
		*owner = CLI_DISK_NONE;
		return got == -ENOENT ? 0 : got;
	}
	got = rwy_xenbus_read(xb, RWY_XENBUS_NO_TX, value, sizeof(value),
			      RWY_XS_BACKEND_VBD_DEVICE "/script", domid, devid);
	const char *slash = got < 0 ? NULL : strrchr(value, '/');
	if (got < 0 || strcmp(slash ? slash + 1 : value, RWY_BLOCK_SCRIPT)) {
		*owner = CLI_DISK_FOREIGN;
		return 0;
	}
	got = rwy_xenbus_read(xb, RWY_XENBUS_NO_TX, value, sizeof(value), LIBXL_VBD, domid, devid);
	*owner = exists_at(got) ? CLI_DISK_LIBXL : CLI_DISK_OURS;
	return 0;
}

/*
 * A parent that has become empty goes too; in a transaction, since an attach may be adding to it.
 */
static int remove_if_empty(struct rwy_xenbus *xb, xs_transaction_t tx, void *ctx)
{
	const char *path = ctx;
	_rwy_free char **names = NULL;
	unsigned int count = 0;
	int err = rwy_xenbus_list(xb, tx, &names, &count, "%s", path);

	if (err)
		return err == -ENOENT ? 0 : err;
	return count ? 0 : rwy_xenbus_remove(xb, tx, "%s", path);
}

int cli_disk_remove(struct rwy_xenbus *xb, uint32_t domid, uint32_t devid)
{
	char parents[3][RWY_XENBUS_PATH_BYTES];
	int err = rwy_xenbus_remove(xb, RWY_XENBUS_NO_TX, RWY_XS_BACKEND_VBD_DEVICE, domid, devid);

	if (!err)
		err = rwy_xenbus_remove(xb, RWY_XENBUS_NO_TX, RWY_XS_FRONTEND_VBD_DEVICE, domid,
					devid);
	snprintf(parents[0], sizeof(parents[0]), BACKEND_DOMAIN, domid);
	snprintf(parents[1], sizeof(parents[1]), RWY_XS_BACKEND_VBD);
	snprintf(parents[2], sizeof(parents[2]), FRONTEND_VBD, domid);
	for (size_t i = 0; !err && i < sizeof(parents) / sizeof(parents[0]); i++)
		err = rwy_xenbus_transact(xb, remove_if_empty, parents[i]);
	return err;
}
