/* SPDX-License-Identifier: MIT */
/*
 * A disk's two xenstore directories: made as libxl and the hotplug script make them, and removed as
 * libxl removes them, for hosts where neither does.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "common/vdev.h"
#include "common/xenbus.h"

struct cli_disk {
	uint32_t domid;
	uint32_t devid;
	const char *target; /* borrowed; as ringwayd understands it */
	bool writable;
	bool plugged; /* hotplug-status is "connected" from the start, without a verdict */
};

enum cli_disk_owner {
	CLI_DISK_NONE,	  /* no backend directory */
	CLI_DISK_OURS,	  /* ringwayd's, attached by us or left by a toolstack */
	CLI_DISK_LIBXL,	  /* ringwayd's, attached by xl: xl keeps records of it */
	CLI_DISK_FOREIGN, /* another backend's */
};

/* Writes both directories inside tx. -EEXIST: the guest has a disk of that id, from whatever
 * backend. */
int cli_disk_create(struct rwy_xenbus *xb, xs_transaction_t tx, const struct cli_disk *disk);
/* The first xvd disk that the guest does not have. -ENOSPC: it has them all. */
int cli_disk_first_free(struct rwy_xenbus *xb, xs_transaction_t tx, uint32_t domid,
			uint32_t *devid);
/* 0 or -errno of the store. */
int cli_disk_owner(struct rwy_xenbus *xb, uint32_t domid, uint32_t devid,
		   enum cli_disk_owner *owner);
/*
 * Removes both directories and the parents left empty. Not one transaction: the guest writes into
 * its own directory, and one that never stops doing so must not be able to prevent this. Absent is
 * fine.
 */
int cli_disk_remove(struct rwy_xenbus *xb, uint32_t domid, uint32_t devid);
