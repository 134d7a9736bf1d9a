/* SPDX-License-Identifier: MIT */
/*
 * blkif on the wire: requests of the three x86 ABIs to one struct and back, responses likewise, and
 * one flat function that validates a request. Works on private copies only: the caller has taken
 * the slot from the ring (ring.h) and never looks at shared memory again. Used by backend/data
 * (decode, validate, encode response) and frontend/core (encode request, decode response). Sources:
 * Xen's io/blkif.h; XSA-155, XSA-216, XSA-142.
 *
 * Units: *_sect are 512-byte sectors whatever the device's sector size (blkif.h of 2024-09).
 * Threads: pure functions. Nothing here allocates.
 */
#pragma once
#include "ring/port.h"

#define RWY_BLK_SECTOR_BYTES	   512u
#define RWY_BLK_PAGE_SECT	   8u
#define RWY_BLK_MAX_DIRECT_SEGS	   11u
#define RWY_BLK_MAX_INDIRECT_PAGES 8u
#define RWY_BLK_SEGS_PER_PAGE	   512u /* in an indirect page, in every ABI */
#define RWY_BLK_SEG_BYTES	   8u
#define RWY_BLK_MAX_INDIRECT_SEGS  (RWY_BLK_MAX_INDIRECT_PAGES * RWY_BLK_SEGS_PER_PAGE)
#define RWY_BLK_MAX_SLOT_BYTES	   112u
#define RWY_BLK_MAX_CAPACITY_SECT  ((((uint64_t)1 << 63) - 1) / RWY_BLK_SECTOR_BYTES)

/* The frontend's `protocol` node; absent means native. */
enum rwy_blk_abi {
	RWY_BLK_ABI_NATIVE,
	RWY_BLK_ABI_X86_32,
	RWY_BLK_ABI_X86_64,
};

/* Operations after decoding. Anything else on the wire becomes RWY_BLK_OP_UNKNOWN. */
enum rwy_blk_op {
	RWY_BLK_OP_READ,
	RWY_BLK_OP_WRITE,
	RWY_BLK_OP_BARRIER, /* write barrier: drain, write, flush */
	RWY_BLK_OP_FLUSH,
	RWY_BLK_OP_DISCARD,
	RWY_BLK_OP_INDIRECT, /* segments are in indirect pages; `inner` is read or write */
	RWY_BLK_OP_UNKNOWN,
};

struct rwy_blk_seg {
	uint32_t gref;
	uint8_t first_sect; /* 0 to 7, inclusive, within the granted page */
	uint8_t last_sect;  /* first_sect to 7, inclusive */
};

/* One request, whatever ABI it came in. Fields that an operation does not use are zero. */
struct rwy_blk_request {
	enum rwy_blk_op op;
	enum rwy_blk_op inner; /* of an indirect request (READ, WRITE or UNKNOWN); READ otherwise */
	/* What the response must carry: the operation as on the wire, for an indirect request its
	 * inner one (xen-blkfront disables the disk otherwise). Encoding ignores it. */
	uint8_t wire_op;
	uint16_t handle;
	uint64_t id; /* the frontend's; echoed, never interpreted by a backend */
	uint64_t sector;
	/* Discard: from the wire, may be 0. Read, write, barrier: filled by rwy_blk_validate from the
	 * segments. Indirect: 0 until rwy_blk_validate_segs has filled it. */
	uint64_t nr_sect;
	uint16_t nr_segs; /* as decoded: not bounded until validated */
	uint8_t flag;	  /* discard: BLKIF_DISCARD_SECURE or 0 */
	struct rwy_blk_seg seg[RWY_BLK_MAX_DIRECT_SEGS];
	uint32_t indirect_gref[RWY_BLK_MAX_INDIRECT_PAGES];
};

struct rwy_blk_response {
	uint64_t id;
	uint8_t wire_op;
	int16_t status; /* BLKIF_RSP_OKAY, _ERROR, _EOPNOTSUPP */
};

/* What this device offers at this moment; requests are judged against it. */
struct rwy_blk_limits {
	uint64_t capacity_sect; /* <= RWY_BLK_MAX_CAPACITY_SECT */
	bool read_only;
	bool flush;		/* feature-flush-cache was offered */
	bool barrier;		/* feature-barrier */
	bool discard;		/* feature-discard */
	uint16_t indirect_segs; /* feature-max-indirect-segments; 0: not offered */
};

/* Why a request was refused; RWY_BLK_OK is 0. One value per rule; rwy_blk_fault_text names it. */
enum rwy_blk_fault {
	RWY_BLK_OK,
	RWY_BLK_BAD_OP,	     /* unknown operation */
	RWY_BLK_NOT_OFFERED, /* flush, barrier, discard or indirect without having been offered */
	RWY_BLK_READ_ONLY,   /* write, barrier or discard on a read-only device */
	RWY_BLK_NO_SEGMENTS, /* read, write or indirect with none (barrier may have none: a bare
				flush) */
	RWY_BLK_TOO_MANY_SEGMENTS, /* over 11 direct, over the indirect offer, any on a flush */
	RWY_BLK_SEGMENT_PAST_PAGE, /* last_sect > 7 */
	RWY_BLK_SEGMENT_BACKWARDS, /* first_sect > last_sect */
	RWY_BLK_PAST_END,	   /* sector + length overflows or passes the capacity */
	RWY_BLK_BAD_INNER_OP, /* indirect request whose inner operation is neither read nor write */
	RWY_BLK_NR_FAULTS,
};

/* Bytes of a ring slot (the larger of request and response, as DEFINE_RING_TYPES makes it: the size
 * of a request), and of a response. */
uint32_t rwy_blk_slot_bytes(enum rwy_blk_abi abi);
uint32_t rwy_blk_response_bytes(enum rwy_blk_abi abi);

/* Parse the `protocol` node's value (NUL-terminated, NULL: node absent). -EINVAL: a protocol we
 * don't speak. */
int rwy_blk_abi_parse(const char *protocol, enum rwy_blk_abi *abi);
/* The node's value for an ABI, for frontends; a static string. */
const char *rwy_blk_abi_name(enum rwy_blk_abi abi);

/* Decode a private copy of a slot (rwy_blk_slot_bytes long). Never fails: what it can't make sense
 * of is UNKNOWN. */
void rwy_blk_decode_request(enum rwy_blk_abi abi, const void *slot, struct rwy_blk_request *req);

/*
 * Encode a request into a slot buffer of RWY_BLK_MAX_SLOT_BYTES, zeroing what it does not use;
 * returns the bytes to put (a whole slot, so that nothing stale stays in it). -EINVAL when the wire
 * can't express it: unknown operation, more segments than the form holds, any segments on a flush.
 * It judges nothing else: tests encode hostile requests with it.
 */
int rwy_blk_encode_request(enum rwy_blk_abi abi, const struct rwy_blk_request *req, void *slot);

/*
 * Judge a decoded request, and fill nr_sect. After RWY_BLK_OK the handlers rely on every bound
 * named above. Of an indirect request this judges all but its segments, and that sector + nr_segs
 * (each segment is at least one sector) stays within the capacity: fetch the pages, then
 * rwy_blk_validate_segs.
 */
enum rwy_blk_fault rwy_blk_validate(struct rwy_blk_request *req, const struct rwy_blk_limits *lim);

/* Indirect pages that nr_segs segments fill: 0 to RWY_BLK_MAX_INDIRECT_PAGES. */
uint32_t rwy_blk_indirect_pages(uint32_t nr_segs);

/* Decode nr segments (0 to RWY_BLK_SEGS_PER_PAGE) from a private copy of an indirect page; the
 * layout is the same in every ABI. */
void rwy_blk_decode_segs(const void *page, uint32_t nr, struct rwy_blk_seg *seg);

/* Encode nr segments into the front of an indirect page, which the caller has zeroed. */
void rwy_blk_encode_segs(const struct rwy_blk_seg *seg, uint32_t nr, void *page);

/*
 * Judge the req->nr_segs segments of an indirect request that rwy_blk_validate passed; fill nr_sect.
 */
enum rwy_blk_fault rwy_blk_validate_segs(struct rwy_blk_request *req, const struct rwy_blk_seg *seg,
					 const struct rwy_blk_limits *lim);

/* One sentence about a fault, for the log; a static string, valid for any value. */
const char *rwy_blk_fault_text(enum rwy_blk_fault fault);

/* The response status a fault calls for: EOPNOTSUPP for operations not known or not offered, else
 * ERROR. */
int16_t rwy_blk_fault_status(enum rwy_blk_fault fault);

/* Encode a response into buf (RWY_BLK_MAX_SLOT_BYTES), every padding byte zeroed; returns the bytes
 * to put. */
uint32_t rwy_blk_encode_response(enum rwy_blk_abi abi, const struct rwy_blk_response *rsp,
				 void *buf);

/* Decode a private copy of a response. */
void rwy_blk_decode_response(enum rwy_blk_abi abi, const void *buf, struct rwy_blk_response *rsp);
