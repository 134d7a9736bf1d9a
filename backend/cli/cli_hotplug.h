/* SPDX-License-Identifier: MIT */
/*
 * The hotplug nodes of a disk's backend directory: what ringwayd waits for before it serves the
 * disk, and where xl looks for the reason when it does not get it. Written all at once, and only
 * into a directory that is there and Ringway's.
 */
#pragma once
#include <stdint.h>

#include "backend/cli/cli_verdict.h"
#include "common/xenbus.h"

/*
 * v: granted. hotplug-status becomes "connected"; physical-device-path, and physical-device for a
 * block device, say what it is made of: the first is what libxl gives QEMU for an HVM guest's
 * emulated disk, the second what the stock block script looks for before it gives a device to
 * another guest. -ENOENT: no such directory; -EPERM: another backend's; -ESHUTDOWN: being removed.
 */
int cli_hotplug_connect(struct rwy_xenbus *xb, uint32_t domid, uint32_t devid,
			const struct cli_verdict *v);
/* hotplug-status becomes "error", and hotplug-error the reason. The same errors. */
int cli_hotplug_fail(struct rwy_xenbus *xb, uint32_t domid, uint32_t devid, const char *reason);
