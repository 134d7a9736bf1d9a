/* SPDX-License-Identifier: MIT */
/*
 * The index protocol of Xen's shared rings, for both ends: range-checked take and put of fixed-size
 * slots, notify hold-off, and a latch that closes the ring for good when the peer breaks the
 * protocol. It knows nothing of what the slots hold (see blk_wire.h).
 *
 * Trust: every word of the shared pages may change at any moment. Each shared index is read once
 * per call and range-checked against private indexes before use; private indexes never come from
 * shared memory after attach; a slot is copied exactly once. Source: Xen's io/ring.h; XSA-39 (index
 * overrun), XSA-155 (double fetch), XSA-86.
 *
 * Threads: one thread at a time per end. The two ends may run at the same time on different CPUs or
 * in different processes: that is what the barriers are for (ring/README.md lists the pairs).
 *
 * Memory: the caller maps the shared pages, keeps them mapped while the ring is in use, and unmaps
 * them afterwards. Nothing here allocates.
 *
 * Errors: -EINVAL, our caller broke the contract; -EPROTO, the peer broke the protocol. After the
 * first -EPROTO the ring is broken: no call touches shared memory again, polls return -EPROTO,
 * takes return false, pushes return false.
 */
#pragma once
#include "ring/port.h"

#define RWY_RING_MAX_PAGES    16u /* ring-page-order 4, as xen-blkback and QEMU allow */
#define RWY_RING_PAGE_BYTES   4096u
#define RWY_RING_HEADER_BYTES 64u

/* The first words of the shared pages, as Xen's DEFINE_RING_TYPES lays them out; slots begin at
 * byte 64. */
struct rwy_sring {
	uint32_t req_prod;  /* written by the frontend */
	uint32_t req_event; /* written by the backend: notify me when req_prod passes this */
	uint32_t rsp_prod;  /* written by the backend */
	uint32_t rsp_event; /* written by the frontend */
	uint8_t pad[RWY_RING_HEADER_BYTES - 16];
};

/* The backend's end. Private memory; treat the fields as read-only. */
struct rwy_ring_back {
	volatile struct rwy_sring *sring;
	uint32_t nr_slots;   /* a power of two */
	uint32_t slot_bytes; /* the larger of request and response in the peer's ABI */
	uint32_t req_seen;   /* req_prod as last read and found in range */
	uint32_t req_cons;   /* requests taken */
	uint32_t rsp_prod;   /* responses written, published or not */
	uint32_t rsp_pushed; /* responses published */
	int broken;	     /* 0 or -EPROTO, never cleared */
};

/* What a backend's end has written down somewhere of its own, for its successor. */
struct rwy_ring_saved {
	uint32_t req_cons;
	uint32_t rsp_intended;	/* written down before each push: what rsp_prod was about to be */
	uint32_t rsp_committed; /* written down after it */
};

/* The frontend's end. Private memory; treat the fields as read-only. */
struct rwy_ring_front {
	volatile struct rwy_sring *sring;
	uint32_t nr_slots;
	uint32_t slot_bytes;
	uint32_t req_prod;   /* requests written, published or not */
	uint32_t req_pushed; /* requests published */
	uint32_t rsp_seen;   /* rsp_prod as last read and found in range */
	uint32_t rsp_cons;   /* responses taken */
	int broken;
};

/* Slots in a ring of nr_pages pages (1 to RWY_RING_MAX_PAGES): the largest power of two that fits;
 * 0 if nothing does. */
uint32_t rwy_ring_slots(uint32_t nr_pages, uint32_t slot_bytes);

/*
 * Take the backend's end of a ring that a frontend has initialised. Starts at the ring's own
 * rsp_prod, read once, so that requests a previous backend answered are not taken again. -EINVAL:
 * bad nr_pages or slot_bytes (slot_bytes is 8 to 1024), or pages not 8-byte aligned. -EPROTO:
 * req_prod is more than a ring ahead of rsp_prod. After a failure the ring is broken: any call is
 * harmless.
 */
int rwy_ring_back_attach(struct rwy_ring_back *r, void *sring_pages, uint32_t nr_pages,
			 uint32_t slot_bytes);

/*
 * Take the backend's end of a ring over from a predecessor that may have ended at any instruction.
 * The ring's rsp_prod is read once, and believed if it is one of the two that were written down:
 * between them nobody but the peer can tell whether the last push came about. Then the requests up
 * to req_cons have been taken, and those that are ahead of rsp_pushed have no response. -EINVAL: as
 * attach, or saved is what no backend ever writes down: req_cons, rsp_intended and rsp_committed
 * are in this order, all within nr_slots. -EPROTO: rsp_prod is neither of the two. After a failure
 * the ring is broken.
 */
int rwy_ring_back_resume(struct rwy_ring_back *r, void *sring_pages, uint32_t nr_pages,
			 uint32_t slot_bytes, const struct rwy_ring_saved *saved);

/*
 * Read req_prod once. How many requests can be taken now: 0 to nr_slots, or -EPROTO (req_prod went
 * back, or past the slots whose responses have been pushed).
 */
int rwy_ring_back_poll(struct rwy_ring_back *r);

/*
 * Copy the next request that the last poll saw, the first len bytes of its slot (len <=
 * slot_bytes), and step past it. False, and nothing happens, when none is left or len is larger.
 */
bool rwy_ring_back_take_request(struct rwy_ring_back *r, void *request, uint32_t len);

/*
 * Write one response of len bytes (zeroed where unused, XSA-216) into the next response slot.
 * -EINVAL when every request taken has its response or len > slot_bytes, -EPROTO when broken. The
 * frontend sees it at the next push.
 */
int rwy_ring_back_put_response(struct rwy_ring_back *r, const void *response, uint32_t len);

/* Publish all responses put so far. True when the frontend asked to be notified of one of them. */
bool rwy_ring_back_push(struct rwy_ring_back *r);

/*
 * Before sleeping: ask to be notified when `after` more requests than taken have been published,
 * then poll again. A positive return (requests that slipped in) means don't sleep. Returns what
 * poll returns. `after` above 1 holds notifications off; it is clamped to what the frontend can
 * still publish, so that a ring filling up always notifies, and 0 means 1. A frontend that stops
 * short of `after` does not notify: whoever holds off bounds the wait with a timer.
 */
int rwy_ring_back_arm(struct rwy_ring_back *r, uint32_t after);

/* Initialise shared pages (zeroes header and slots) and the frontend's end, before they are
 * granted. -EINVAL as in attach. */
int rwy_ring_front_init(struct rwy_ring_front *r, void *sring_pages, uint32_t nr_pages,
			uint32_t slot_bytes);

/* Requests that can be put before the ring is full: slots neither waiting for a response nor
 * holding an untaken one. 0 when broken. */
uint32_t rwy_ring_front_free(const struct rwy_ring_front *r);

/* Write one request of len bytes. -ENOSPC when the ring is full, -EINVAL when len > slot_bytes,
 * -EPROTO when broken. */
int rwy_ring_front_put_request(struct rwy_ring_front *r, const void *request, uint32_t len);

/* Publish all requests put so far. True when the backend asked to be notified of one of them. */
bool rwy_ring_front_push(struct rwy_ring_front *r);

/* Read rsp_prod once. How many responses can be taken now: 0 to nr_slots, or -EPROTO (rsp_prod went
 * back, or past the requests pushed). */
int rwy_ring_front_poll(struct rwy_ring_front *r);

/* Copy the next response that the last poll saw and step past it. False when none is left. */
bool rwy_ring_front_take_response(struct rwy_ring_front *r, void *response, uint32_t len);

/* As rwy_ring_back_arm, for responses; clamped to the requests outstanding, so that the last
 * response always notifies. */
int rwy_ring_front_arm(struct rwy_ring_front *r, uint32_t after);

/*
 * Copy len bytes of another page that the peer shares (a mapped indirect page) into private memory,
 * each byte read exactly once. The peer may be writing meanwhile: judge the copy only.
 */
void rwy_ring_copy_shared(void *to, const volatile void *sring_from, uint32_t len);
