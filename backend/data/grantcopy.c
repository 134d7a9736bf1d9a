// SPDX-License-Identifier: MIT
/* Implementation of grantcopy.h over libxengnttab. Called by blkqueue.c. */
#include "backend/data/grantcopy.h"
#include <xen/grant_table.h>

void grantcopy_begin(struct grantcopy *copy, struct lane *lane, uint32_t domid)
{
	*copy = (struct grantcopy){.lane = lane, .domid = (uint16_t)domid};
}

void grantcopy_add(struct grantcopy *copy, struct request *req)
{
	bool from_guest = req->blk.op == RWY_BLK_OP_WRITE;
	char *at = req->buf;

	req->first_op = copy->nr_ops;
	for (uint16_t i = 0; i < req->blk.nr_segs; i++) {
		const struct rwy_blk_seg *seg = &req->blk.seg[i];
		xengnttab_grant_copy_segment_t *op = &copy->lane->copy[copy->nr_ops++];
		union xengnttab_copy_ptr guest = {
			.foreign = {.ref = seg->gref,
				    .offset = (uint16_t)(seg->first_sect * RWY_BLK_SECTOR_BYTES),
				    .domid = copy->domid},
		};

		op->len =
			(uint16_t)((seg->last_sect - seg->first_sect + 1u) * RWY_BLK_SECTOR_BYTES);
		op->flags = from_guest ? GNTCOPY_source_gref : GNTCOPY_dest_gref;
		op->status = GNTST_general_error;
		op->source = guest;
		op->dest = guest;
		if (from_guest)
			op->dest.virt = at;
		else
			op->source.virt = at;
		at += op->len;
	}
}

void grantcopy_run(struct grantcopy *copy)
{
	xengnttab_grant_copy_segment_t *ops = copy->lane->copy;

	if (copy->nr_ops == 0 || xengnttab_grant_copy(copy->lane->gnttab, copy->nr_ops, ops) == 0)
		return;
	/* The call as such failed: which were done is unknown, so none was. */
	for (uint32_t i = 0; i < copy->nr_ops; i++)
		ops[i].status = GNTST_general_error;
}

int grantcopy_status(const struct grantcopy *copy, const struct request *req)
{
	const xengnttab_grant_copy_segment_t *op = &copy->lane->copy[req->first_op];

	for (uint16_t i = 0; i < req->blk.nr_segs; i++) {
		if (op[i].status != GNTST_okay)
			return op[i].status;
	}
	return 0;
}
