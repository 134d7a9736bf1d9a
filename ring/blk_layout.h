/* SPDX-License-Identifier: MIT */
/*
 * Where the bytes of a blkif slot are, in the two layouts that the three ABIs come down to: x86_64
 * (also Arm: 64-bit words are 8-aligned) and x86_32 (the i386 ABI aligns them to 4). Packed, so
 * that they are the same whatever builds them, and pinned to the protocol header of the build: the
 * x86_64 layout by a 64-bit build, the x86_32 one by an i386 build. Private to blk_wire.c. Source:
 * Xen's io/blkif.h.
 */
#pragma once
#include "ring/blk_wire.h"

#define RWY_BLK_PACKED __attribute__((__packed__))

struct rwy_blk_wire_seg {
	uint32_t gref;
	uint8_t first_sect;
	uint8_t last_sect;
	uint8_t pad[2];
} RWY_BLK_PACKED;

struct rwy_blk_wire64_rw {
	uint8_t operation;
	uint8_t nr_segments;
	uint16_t handle;
	uint8_t pad[4];
	uint64_t id;
	uint64_t sector_number;
	struct rwy_blk_wire_seg seg[RWY_BLK_MAX_DIRECT_SEGS];
} RWY_BLK_PACKED;

struct rwy_blk_wire64_discard {
	uint8_t operation;
	uint8_t flag;
	uint16_t handle;
	uint8_t pad[4];
	uint64_t id;
	uint64_t sector_number;
	uint64_t nr_sectors;
} RWY_BLK_PACKED;

struct rwy_blk_wire64_indirect {
	uint8_t operation;
	uint8_t indirect_op;
	uint16_t nr_segments;
	uint8_t pad[4];
	uint64_t id;
	uint64_t sector_number;
	uint16_t handle;
	uint8_t pad2[2];
	uint32_t indirect_grefs[RWY_BLK_MAX_INDIRECT_PAGES];
} RWY_BLK_PACKED;

struct rwy_blk_wire64_response {
	uint64_t id;
	uint8_t operation;
	uint8_t pad;
	int16_t status;
	uint8_t pad2[4];
} RWY_BLK_PACKED;

struct rwy_blk_wire32_rw {
	uint8_t operation;
	uint8_t nr_segments;
	uint16_t handle;
	uint64_t id;
	uint64_t sector_number;
	struct rwy_blk_wire_seg seg[RWY_BLK_MAX_DIRECT_SEGS];
} RWY_BLK_PACKED;

struct rwy_blk_wire32_discard {
	uint8_t operation;
	uint8_t flag;
	uint16_t handle;
	uint64_t id;
	uint64_t sector_number;
	uint64_t nr_sectors;
} RWY_BLK_PACKED;

struct rwy_blk_wire32_indirect {
	uint8_t operation;
	uint8_t indirect_op;
	uint16_t nr_segments;
	uint64_t id;
	uint64_t sector_number;
	uint16_t handle;
	uint8_t pad2[2];
	uint32_t indirect_grefs[RWY_BLK_MAX_INDIRECT_PAGES];
} RWY_BLK_PACKED;

struct rwy_blk_wire32_response {
	uint64_t id;
	uint8_t operation;
	uint8_t pad;
	int16_t status;
} RWY_BLK_PACKED;

#if defined(__i386__)
#define RWY_BLK_NATIVE(form) struct rwy_blk_wire32_##form
#else
#define RWY_BLK_NATIVE(form) struct rwy_blk_wire64_##form
#endif

#define RWY_BLK_ASSERT_RW(field) \
	RWY_STATIC_ASSERT(offsetof(RWY_BLK_NATIVE(rw), field) == RWY_XEN_OFFSET_RW(field), #field)
#define RWY_BLK_ASSERT_DISCARD(field) \
	RWY_STATIC_ASSERT(            \
		offsetof(RWY_BLK_NATIVE(discard), field) == RWY_XEN_OFFSET_DISCARD(field), #field)
#define RWY_BLK_ASSERT_INDIRECT(field)                                 \
	RWY_STATIC_ASSERT(offsetof(RWY_BLK_NATIVE(indirect), field) == \
				  RWY_XEN_OFFSET_INDIRECT(field),      \
			  #field)
#define RWY_BLK_ASSERT_RESPONSE(field)                                    \
	RWY_STATIC_ASSERT(offsetof(RWY_BLK_NATIVE(response), field) ==    \
				  offsetof(struct blkif_response, field), \
			  #field)

RWY_BLK_ASSERT_RW(nr_segments);
RWY_BLK_ASSERT_RW(handle);
RWY_BLK_ASSERT_RW(id);
RWY_BLK_ASSERT_RW(sector_number);
RWY_BLK_ASSERT_RW(seg);
RWY_BLK_ASSERT_DISCARD(flag);
RWY_BLK_ASSERT_DISCARD(id);
RWY_BLK_ASSERT_DISCARD(sector_number);
RWY_BLK_ASSERT_DISCARD(nr_sectors);
RWY_BLK_ASSERT_INDIRECT(indirect_op);
RWY_BLK_ASSERT_INDIRECT(nr_segments);
RWY_BLK_ASSERT_INDIRECT(id);
RWY_BLK_ASSERT_INDIRECT(sector_number);
RWY_BLK_ASSERT_INDIRECT(handle);
RWY_BLK_ASSERT_INDIRECT(indirect_grefs);
RWY_BLK_ASSERT_RESPONSE(id);
RWY_BLK_ASSERT_RESPONSE(operation);
RWY_BLK_ASSERT_RESPONSE(status);
RWY_STATIC_ASSERT(offsetof(struct blkif_request, operation) == 0, "operation");
RWY_STATIC_ASSERT(sizeof(RWY_BLK_NATIVE(rw)) == sizeof(union blkif_sring_entry), "slot");
RWY_STATIC_ASSERT(sizeof(RWY_BLK_NATIVE(rw)) == sizeof(struct blkif_request), "request");
RWY_STATIC_ASSERT(sizeof(RWY_BLK_NATIVE(response)) == sizeof(struct blkif_response), "response");
RWY_STATIC_ASSERT(sizeof(struct rwy_blk_wire_seg) == sizeof(struct blkif_request_segment), "seg");
RWY_STATIC_ASSERT(offsetof(struct rwy_blk_wire_seg, first_sect) ==
			  offsetof(struct blkif_request_segment, first_sect),
		  "first_sect");
RWY_STATIC_ASSERT(offsetof(struct rwy_blk_wire_seg, last_sect) ==
			  offsetof(struct blkif_request_segment, last_sect),
		  "last_sect");
RWY_STATIC_ASSERT(RWY_BLK_SEG_BYTES == sizeof(struct rwy_blk_wire_seg), "seg bytes");
RWY_STATIC_ASSERT(RWY_BLK_MAX_DIRECT_SEGS == BLKIF_MAX_SEGMENTS_PER_REQUEST, "direct segments");
RWY_STATIC_ASSERT(RWY_BLK_MAX_INDIRECT_PAGES == BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST, "pages");

/* Decoding reads id and sector before it knows the form: they are at one place in all three. */
#define RWY_BLK_ASSERT_COMMON(bits, form, field)                                   \
	RWY_STATIC_ASSERT(offsetof(struct rwy_blk_wire##bits##_##form, field) ==   \
				  offsetof(struct rwy_blk_wire##bits##_rw, field), \
			  #field " at one place")
RWY_BLK_ASSERT_COMMON(64, discard, id);
RWY_BLK_ASSERT_COMMON(64, discard, sector_number);
RWY_BLK_ASSERT_COMMON(64, indirect, id);
RWY_BLK_ASSERT_COMMON(64, indirect, sector_number);
RWY_BLK_ASSERT_COMMON(32, discard, id);
RWY_BLK_ASSERT_COMMON(32, discard, sector_number);
RWY_BLK_ASSERT_COMMON(32, indirect, id);
RWY_BLK_ASSERT_COMMON(32, indirect, sector_number);

/* The numbers the i386 ABI gives, for builds that can't ask an i386 header. */
RWY_STATIC_ASSERT(sizeof(struct rwy_blk_wire32_rw) == 108, "x86_32 slot");
RWY_STATIC_ASSERT(offsetof(struct rwy_blk_wire32_rw, seg) == 20, "x86_32 seg");
RWY_STATIC_ASSERT(offsetof(struct rwy_blk_wire32_discard, nr_sectors) == 20, "x86_32 nr_sectors");
RWY_STATIC_ASSERT(offsetof(struct rwy_blk_wire32_indirect, handle) == 20, "x86_32 handle");
RWY_STATIC_ASSERT(offsetof(struct rwy_blk_wire32_indirect, indirect_grefs) == 24, "x86_32 grefs");
RWY_STATIC_ASSERT(sizeof(struct rwy_blk_wire32_response) == 12, "x86_32 response");
RWY_STATIC_ASSERT(sizeof(struct rwy_blk_wire64_rw) == RWY_BLK_MAX_SLOT_BYTES, "x86_64 slot");
