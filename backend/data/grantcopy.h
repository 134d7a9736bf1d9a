/* SPDX-License-Identifier: MIT */
/*
 * Grant copies of one turn: the data of several requests moves between a guest's pages and their
 * grant buffers in one call to the hypervisor. Uses the lane's scratch, so one batch at a time.
 * Trust: a gref is any number; the hypervisor checks it, and a bad one fails its own request only.
 * Threads: the lane's.
 */
#pragma once
#include "backend/data/lane.h"
#include "backend/data/request.h"

struct grantcopy {
	struct lane *lane;
	uint16_t domid;
	uint32_t nr_ops;
};

void grantcopy_begin(struct grantcopy *copy, struct lane *lane, uint32_t domid);
/* Add all segments of a validated read (buffer to guest) or write (guest to buffer). At most
 * DATA_TURN_REQUESTS requests to a batch: there is room for them whatever their size. */
void grantcopy_add(struct grantcopy *copy, struct request *req);
/* Do all that was added. Nothing to do is fine. */
void grantcopy_run(struct grantcopy *copy);
/* After grantcopy_run: 0, or the hypervisor's negative GNTST_* for the first segment of the request
 * that was not copied. */
int grantcopy_status(const struct grantcopy *copy, const struct request *req);
