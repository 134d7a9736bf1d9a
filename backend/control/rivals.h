/* SPDX-License-Identifier: MIT */
/*
 * Who else in dom0 uses what a disk is to be made of: file systems mounted from it, and other
 * backends' disks (xen-blkback, QEMU's qdisk, ...), as their nodes in xenstore say. Ringwayd's own
 * devices are verdict.c's. Trusts dom0's xenstore nodes and the kernel. Called by verdict.c.
 */
#pragma once
#include "backend/control/backing.h"
#include "backend/control/reason.h"
#include "common/xenbus.h"
#include <stdbool.h>
#include <stdint.h>

struct rivals_search {
	struct rwy_xenbus *xb;
	const struct backing *backing; /* of the target */
	bool writable;		       /* it is to be written */
	uint32_t domid;		       /* whose disk it is to be */
	/* Is backend/vbd/<domid>/<devid> known to be Ringwayd's? Spares its nodes being read. */
	bool (*is_ours)(void *ctx, uint32_t domid, uint32_t devid);
	void *ctx;
};

/*
 * Two that only read don't disturb each other, and a disk of the same VM under another domain id is
 * a migration on this host. 0: nobody; -EBUSY with "is ...", who it is and what to do, in `why`;
 * -EAGAIN: the same, but it is being closed.
 */
int rivals_find(const struct rivals_search *search, struct reason *why);

/*
 * One line of mountinfo, proc(5). False: it makes no sense, or is of a file system without a device.
 * The text in line is changed.
 */
struct rivals_mount {
	dev_t dev;	    /* of the file system; 0: see source */
	const char *source; /* points into line */
	const char *folder; /* the same */
	bool writable;	    /* the file system itself, whatever this mount of it is */
};
bool rivals_parse_mount(char *line, struct rivals_mount *mount);

/* Are they the same VM, under two ids? */
bool rivals_same_vm(struct rwy_xenbus *xb, uint32_t domid, uint32_t other_domid);
