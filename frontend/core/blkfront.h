/* SPDX-License-Identifier: MIT */
/*
 * A block frontend without a system under it: requests in, completions out, over one blkif ring in
 * pages that the caller has granted. FREESTANDING: it includes ring/ only, allocates nothing, and
 * knows no xenstore, grant table or event channel; a driver brings those and this table of what it
 * must be able to do. Used by libringway; written to be copied by driver authors.
 *
 * Trust: the backend may write anything into the shared pages at any time. Its responses are copied
 * once and matched against a private table: the tag must be in range, be outstanding, carry the
 * very id it was sent with (so that the answer to an earlier request with the same tag is not taken
 * for this one's), and the operation must be the one in our record. Anything else breaks the device
 * for good: no call touches shared memory again, `fault` says why. What remains the backend's word
 * is the data itself and whether it was stored. Source: Xen's io/blkif.h; XSA-155, XSA-376,
 * XSA-391.
 *
 * A driver's order of calls:
 *   init, publish the ring's grefs and port in xenstore, wait for the backend, set_limits;
 *   to send:     put_request (any number), push;
 *   on an event: do { take_completion until it returns 0 } while (arm(bf, 1) > 0);
 *   to end:      stop calling the above; take_abandoned until it returns false.
 *
 * Threads: one at a time; the caller locks. Memory: all of it is the caller's, kept valid from init
 * to the last call. Errors: -EINVAL our caller, -EPROTO the backend.
 */
#pragma once
#include "ring/blk_wire.h"
#include "ring/ring.h"

/* Slots of the largest ring (16 pages), so an array of this many tags is always enough. */
#define RWY_BLKFRONT_MAX_TAGS 512u

struct rwy_blkfront_platform {
	/* Send an event to the backend over the ring's port. Called from push only. */
	void (*notify)(void *ctx);
};

/* The private record of one outstanding request. Opaque to callers. */
struct rwy_blkfront_tag {
	uint64_t id; /* as sent; 0: the tag is free */
	void *cookie;
	uint8_t wire_op;
	uint16_t next_free;
};

struct rwy_blkfront_config {
	void *sring_pages; /* nr_pages * 4096 bytes, 8-byte aligned; zeroed by init */
	uint32_t nr_pages; /* 1 to RWY_RING_MAX_PAGES */
	struct rwy_blkfront_tag *tags;
	uint32_t nr_tags; /* at least rwy_blkfront_slots(nr_pages) */
	uint16_t handle;  /* the device id's low 16 bits; backends ignore it */
	const struct rwy_blkfront_platform *platform;
	void *platform_ctx;
};

/* What broke the device; RWY_BLKFRONT_OK is 0. */
enum rwy_blkfront_fault {
	RWY_BLKFRONT_OK,
	RWY_BLKFRONT_RING_OVERRUN,    /* more responses than requests */
	RWY_BLKFRONT_BAD_TAG,	      /* an id with a tag out of range */
	RWY_BLKFRONT_NOT_OUTSTANDING, /* an id that is not, or no longer, outstanding */
	RWY_BLKFRONT_WRONG_OP,	      /* another operation than the request's */
	RWY_BLKFRONT_NR_FAULTS,
};

/* Treat the fields as read-only. */
struct rwy_blkfront {
	struct rwy_ring_front ring;
	struct rwy_blk_limits limits;
	struct rwy_blkfront_tag *tags;
	uint32_t nr_tags;
	uint32_t nr_outstanding;
	uint16_t first_free; /* nr_tags: none */
	uint16_t handle;
	uint64_t serial;
	bool ready; /* limits are set */
	enum rwy_blkfront_fault fault;
	const struct rwy_blkfront_platform *platform;
	void *platform_ctx;
};

/* A request. Fields that an operation does not use are ignored. */
struct rwy_blkfront_request {
	enum rwy_blk_op op; /* READ, WRITE, BARRIER, FLUSH, DISCARD */
	uint64_t sector;    /* of 512 bytes */
	uint64_t nr_sect;   /* discard only; elsewhere the segments say it */
	uint8_t flag;	    /* discard: BLKIF_DISCARD_SECURE or 0 */
	uint16_t nr_segs;
	struct rwy_blk_seg seg[RWY_BLK_MAX_DIRECT_SEGS]; /* granted to the backend, for the whole
							    life of the request */
	void *cookie;					 /* the caller's, handed back */
};

struct rwy_blkfront_completion {
	void *cookie;
	int status; /* 0; -EOPNOTSUPP: the backend doesn't do this operation; -EIO: it failed */
};

/* Requests that a ring of nr_pages holds; 0 when nr_pages is out of range. */
uint32_t rwy_blkfront_slots(uint32_t nr_pages);

/* Initialise the shared pages and our end. -EINVAL: the config breaks a bound above. Also how a
 * device starts over after take_abandoned has emptied it. */
int rwy_blkfront_init(struct rwy_blkfront *bf, const struct rwy_blkfront_config *config);

/* What the backend offers, read from xenstore and bounded by the caller; again whenever it changes.
 * Requests put later are judged by it, those outstanding are not. -EINVAL: capacity out of range.
 */
int rwy_blkfront_set_limits(struct rwy_blkfront *bf, const struct rwy_blk_limits *limits);

/*
 * Judge, record and write one request; the backend sees it at the next push. -ENOTCONN before
 * set_limits, -EINVAL for a request out of bounds, -EROFS, -EOPNOTSUPP for one that the backend did
 * not offer, -ENOSPC when the ring is full, -EPROTO when broken. After 0 the segments belong to the
 * backend until the request's completion has been taken.
 */
int rwy_blkfront_put_request(struct rwy_blkfront *bf, const struct rwy_blkfront_request *request);

/* Publish all requests put so far; notifies when the backend asked for it. */
void rwy_blkfront_push(struct rwy_blkfront *bf);

/* The next completion: 1 and *completion, 0 when none waits, -EPROTO when broken. */
int rwy_blkfront_take_completion(struct rwy_blkfront *bf,
				 struct rwy_blkfront_completion *completion);

/* Before sleeping: ask for an event after `after` more responses (see rwy_ring_front_arm).
 * Positive: responses slipped in, take them first. 0: sleep. -EPROTO. */
int rwy_blkfront_arm(struct rwy_blkfront *bf, uint32_t after);

/*
 * Take back a request that the backend will not answer any more, status -EIO; false when none is
 * left. Allowed on a broken device. The backend may still read or write the segments until it has
 * unmapped them (its state Closed): pages of abandoned requests must not be used for anything else
 * before that (XSA-396).
 */
bool rwy_blkfront_take_abandoned(struct rwy_blkfront *bf,
				 struct rwy_blkfront_completion *completion);

/* One sentence about a fault; a static string, valid for any value. */
const char *rwy_blkfront_fault_text(enum rwy_blkfront_fault fault);
