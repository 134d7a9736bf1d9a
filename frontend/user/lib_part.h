/* SPDX-License-Identifier: MIT */
/*
 * A part: the piece of a user's request that one ring request carries (up to 11 pages). How
 * requests are cut into parts, how a part becomes a ring request, and the copying between user
 * memory and granted pages. Called by lib_io. It trusts its caller; the granted pages may change
 * under the copies, which is the backend's own loss. Threads: a part belongs to one thread at a
 * time.
 */
#pragma once
#include "frontend/core/blkfront.h"
#include "frontend/user/lib_pool.h"
#include "frontend/user/libringway.h"

#define LIB_PART_MAX_BYTES (RWY_BLK_MAX_DIRECT_SEGS * RWY_RING_PAGE_BYTES)

struct lib_part {
	struct lib_part *next;
	struct rwy_vbd_io *io;
	size_t start_bytes; /* within the user's buffer */
	uint32_t len_bytes; /* 0: flush */
	uint32_t nr_pages;
	int status; /* the backend's verdict, once taken */
	uint16_t page[RWY_BLK_MAX_DIRECT_SEGS];
};

/* Is there anything of this request that no part carries yet? */
bool lib_part_left(const struct rwy_vbd_io *io);

/* Bytes and pages of the request's next part. */
uint32_t lib_part_next_bytes(const struct rwy_vbd_io *io);
uint32_t lib_part_pages_of(uint32_t len_bytes);

/* Cut the next part off; advances io->own. The pages (lib_part_pages_of) are filled in by the
 * caller. */
void lib_part_cut(struct lib_part *part, struct rwy_vbd_io *io);

/* A write's data into its pages; nothing for other operations. */
void lib_part_copy_in(const struct lib_part *part, const struct lib_pool *pool);
/* A read's data out of its pages; nothing for other operations. */
void lib_part_copy_out(const struct lib_part *part, const struct lib_pool *pool);

/* The ring request for a part. flush_op: what a flush is sent as, FLUSH or BARRIER. */
void lib_part_request(const struct lib_part *part, const struct lib_pool *pool,
		      enum rwy_blk_op flush_op, struct rwy_blkfront_request *request);
