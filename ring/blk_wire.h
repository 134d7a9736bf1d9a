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
#define RWY_BLK_MAX_SLOT_BYTES	   112u
#define RWY_BLK_MAX_CAPACITY_SECT  ((uint64_t)INT64_MAX / RWY_BLK_SECTOR_BYTES)

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
	enum rwy_blk_op inner; /* of an indirect request; READ otherwise */
	uint8_t wire_op;       /* as on the wire; the response must carry it */
	uint16_t handle;
	uint64_t id; /* the frontend's; echoed, never interpreted by a backend */
	uint64_t sector;
	uint64_t nr_sect; /* discard: from the wire; read, write, barrier: filled by
			     rwy_blk_validate from the segments */
	uint16_t nr_segs; /* decoded, not yet bounded until validated */
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
	RWY_BLK_TOO_MANY_SEGMENTS, /* over 11 direct, or over what was offered indirect */
	RWY_BLK_SEGMENT_PAST_PAGE, /* last_sect > 7 */
	RWY_BLK_SEGMENT_BACKWARDS, /* first_sect > last_sect */
	RWY_BLK_PAST_END,	   /* sector + length overflows or passes the capacity */
	RWY_BLK_BAD_INNER_OP, /* indirect request whose inner operation is neither read nor write */
	RWY_BLK_NR_FAULTS,
};

/* Bytes of a ring slot (the larger of request and response, as DEFINE_RING_TYPES makes it), of a
 * request, of a response. */
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

/* Encode a request into a zeroed slot buffer of RWY_BLK_MAX_SLOT_BYTES; returns the bytes to put,
 * -EINVAL when it can't be expressed. */
int rwy_blk_encode_request(enum rwy_blk_abi abi, const struct rwy_blk_request *req, void *slot);

/* Judge a decoded request, and fill nr_sect. After RWY_BLK_OK the handlers rely on every bound
 * named above. */
enum rwy_blk_fault rwy_blk_validate(struct rwy_blk_request *req, const struct rwy_blk_limits *lim);

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
