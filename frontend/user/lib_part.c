// SPDX-License-Identifier: MIT
/*
 * Parts (contract: lib_part.h). Offsets and lengths have been checked against the disk by lib_io:
 * multiples of 512, and inside the capacity.
 */
#include <string.h>
#include "frontend/user/lib_part.h"

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* A flush has no bytes but is one part: it counts as one byte, issued or not. */
static size_t total_bytes(const struct rwy_vbd_io *io)
{
	return io->op == RWY_VBD_FLUSH ? 1 : io->len;
}

bool lib_part_left(const struct rwy_vbd_io *io)
{
	return io->own.issued_bytes < total_bytes(io);
}

uint32_t lib_part_next_bytes(const struct rwy_vbd_io *io)
{
	if (io->op == RWY_VBD_FLUSH)
		return 0;
	return (uint32_t)min_size(io->len - io->own.issued_bytes, LIB_PART_MAX_BYTES);
}

uint32_t lib_part_pages_of(uint32_t len_bytes)
{
	return (len_bytes + RWY_RING_PAGE_BYTES - 1) / RWY_RING_PAGE_BYTES;
}

void lib_part_cut(struct lib_part *part, struct rwy_vbd_io *io)
{
	uint32_t len = lib_part_next_bytes(io);

	*part = (struct lib_part){
		.io = io,
		.start_bytes = io->own.issued_bytes,
		.len_bytes = len,
		.nr_pages = lib_part_pages_of(len),
	};
	io->own.issued_bytes += len ? len : 1;
	io->own.parts++;
}

/* Bytes of the part in its i-th page: full pages, the last one maybe less. */
static size_t bytes_in_page(const struct lib_part *part, uint32_t i)
{
	return min_size(part->len_bytes - i * RWY_RING_PAGE_BYTES, RWY_RING_PAGE_BYTES);
}

void lib_part_copy_in(const struct lib_part *part, const struct lib_pool *pool)
{
	const uint8_t *from;
	uint32_t i;

	if (part->io->op != RWY_VBD_WRITE)
		return;
	from = (const uint8_t *)part->io->buf + part->start_bytes;
	for (i = 0; i < part->nr_pages; i++)
		memcpy(lib_pool_page(pool, part->page[i]), from + i * RWY_RING_PAGE_BYTES,
		       bytes_in_page(part, i));
}

void lib_part_copy_out(const struct lib_part *part, const struct lib_pool *pool)
{
	uint8_t *to;
	uint32_t i;

	if (part->io->op != RWY_VBD_READ)
		return;
	to = (uint8_t *)part->io->buf + part->start_bytes;
	for (i = 0; i < part->nr_pages; i++)
		memcpy(to + i * RWY_RING_PAGE_BYTES, lib_pool_page(pool, part->page[i]),
		       bytes_in_page(part, i));
}

void lib_part_request(const struct lib_part *part, const struct lib_pool *pool,
		      enum rwy_blk_op flush_op, struct rwy_blkfront_request *request)
{
	const struct rwy_vbd_io *io = part->io;
	uint32_t i;

	*request = (struct rwy_blkfront_request){.op = flush_op, .cookie = (void *)part};
	if (io->op == RWY_VBD_FLUSH)
		return;
	request->op = io->op == RWY_VBD_READ ? RWY_BLK_OP_READ : RWY_BLK_OP_WRITE;
	request->sector = (io->offset + part->start_bytes) / RWY_BLK_SECTOR_BYTES;
	request->nr_segs = (uint16_t)part->nr_pages;
	for (i = 0; i < part->nr_pages; i++)
		request->seg[i] = (struct rwy_blk_seg){
			.gref = pool->gref[part->page[i]],
			.last_sect = (uint8_t)(bytes_in_page(part, i) / RWY_BLK_SECTOR_BYTES - 1),
		};
}
