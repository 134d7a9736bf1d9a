// SPDX-License-Identifier: MIT
/*
 * The index protocol for both ends (contract: ring.h). The only file that touches shared memory;
 * every pointer into it is volatile and named sring_*. It trusts no shared word: an index is read
 * once per call and checked against private indexes, a slot is copied once. Called by backend/data
 * and frontend/core.
 *
 * The barriers, by the names ring/README.md uses.
 *
 * PUBLISH: a slot's bytes before the index that announces them (release); the index before the
 * slot's bytes (acquire).
 *
 * SLEEP: our store before our load, on both sides. A producer stores its index and then loads the
 * peer's event word, a consumer stores its event word and then loads the peer's index; at least one
 * of the two sees the other's store, so no wake-up is lost.
 *
 * REUSE: the last read of a slot before the other end writes it again.
 */
#include "ring/ring.h"

RWY_STATIC_ASSERT(sizeof(struct rwy_sring) == RWY_RING_HEADER_BYTES, "slots begin at byte 64");
RWY_STATIC_ASSERT(offsetof(struct rwy_sring, req_prod) == offsetof(struct blkif_sring, req_prod),
		  "req_prod as in Xen's ring.h");
RWY_STATIC_ASSERT(offsetof(struct rwy_sring, req_event) == offsetof(struct blkif_sring, req_event),
		  "req_event as in Xen's ring.h");
RWY_STATIC_ASSERT(offsetof(struct rwy_sring, rsp_prod) == offsetof(struct blkif_sring, rsp_prod),
		  "rsp_prod as in Xen's ring.h");
RWY_STATIC_ASSERT(offsetof(struct rwy_sring, rsp_event) == offsetof(struct blkif_sring, rsp_event),
		  "rsp_event as in Xen's ring.h");
RWY_STATIC_ASSERT(offsetof(struct blkif_sring, ring) == RWY_RING_HEADER_BYTES,
		  "slots begin where Xen's ring.h puts them");

#define MIN_SLOT_BYTES 8u
#define MAX_SLOT_BYTES 1024u

/* The pages hold whatever the caller put there: accesses by word must not confuse the optimiser. */
typedef uint64_t __attribute__((__may_alias__)) word64;
typedef uint32_t __attribute__((__may_alias__)) word32;

/* 8, 4 or 1: the widest word that is naturally aligned here and does not pass the end. */
static uint32_t widest_step(uintptr_t sring_addr, uint32_t left)
{
	if (left >= sizeof(word64) && sring_addr % sizeof(word64) == 0)
		return sizeof(word64);
	if (left >= sizeof(word32) && sring_addr % sizeof(word32) == 0)
		return sizeof(word32);
	return 1;
}

/*
 * Every byte is loaded exactly once, by the widest word that is naturally aligned: slots of 12 or
 * 108 bytes are 4-aligned only. volatile keeps the compiler from loading again later (XSA-155).
 */
void rwy_ring_copy_shared(void *to, const volatile void *sring_from, uint32_t len)
{
	const volatile uint8_t *sring = sring_from;
	uint8_t *out = to;
	uint32_t step;

	for (; len; len -= step, sring += step, out += step) {
		step = widest_step((uintptr_t)sring, len);
		if (step == sizeof(word64)) {
			word64 w = *(const volatile word64 *)sring;
			memcpy(out, &w, sizeof(w));
		} else if (step == sizeof(word32)) {
			word32 w = *(const volatile word32 *)sring;
			memcpy(out, &w, sizeof(w));
		} else {
			*out = *sring;
		}
	}
}

static void copy_to_shared(volatile void *sring_to, const void *from, uint32_t len)
{
	volatile uint8_t *sring = sring_to;
	const uint8_t *in = from;
	uint32_t step;

	for (; len; len -= step, sring += step, in += step) {
		step = widest_step((uintptr_t)sring, len);
		if (step == sizeof(word64)) {
			word64 w;
			memcpy(&w, in, sizeof(w));
			*(volatile word64 *)sring = w;
		} else if (step == sizeof(word32)) {
			word32 w;
			memcpy(&w, in, sizeof(w));
			*(volatile word32 *)sring = w;
		} else {
			*sring = *in;
		}
	}
}

/* nr_slots is a power of two, so the masked index is always inside the pages, whatever index is. */
static volatile void *slot_at(volatile struct rwy_sring *sring, uint32_t nr_slots,
			      uint32_t slot_bytes, uint32_t index)
{
	volatile uint8_t *sring_slots = (volatile uint8_t *)sring + RWY_RING_HEADER_BYTES;

	return sring_slots + (size_t)(index & (nr_slots - 1)) * slot_bytes;
}

/* True when the peer's event word lies in (from, to]: one of the entries now published was asked
 * for. */
static bool event_crossed(uint32_t event, uint32_t from, uint32_t to)
{
	return to - event < to - from;
}

static uint32_t clamp_after(uint32_t after, uint32_t most)
{
	if (after > most)
		after = most;
	return after ? after : 1;
}

uint32_t rwy_ring_slots(uint32_t nr_pages, uint32_t slot_bytes)
{
	uint32_t fit, nr_slots = 1;

	if (nr_pages < 1 || nr_pages > RWY_RING_MAX_PAGES || slot_bytes < MIN_SLOT_BYTES ||
	    slot_bytes > MAX_SLOT_BYTES)
		return 0;
	fit = (nr_pages * RWY_RING_PAGE_BYTES - RWY_RING_HEADER_BYTES) / slot_bytes;
	while (nr_slots * 2 <= fit)
		nr_slots *= 2;
	return nr_slots;
}

static bool can_share(const void *sring_pages)
{
	return sring_pages && (uintptr_t)sring_pages % sizeof(word64) == 0;
}

/* All but the indexes; the ring stays broken until the caller has found them good. */
static int open_back(struct rwy_ring_back *r, void *sring_pages, uint32_t nr_pages,
		     uint32_t slot_bytes)
{
	memset(r, 0, sizeof(*r));
	r->broken = -EPROTO;
	r->nr_slots = rwy_ring_slots(nr_pages, slot_bytes);
	if (!r->nr_slots || !can_share(sring_pages))
		return -EINVAL;
	r->sring = sring_pages;
	r->slot_bytes = slot_bytes;
	return 0;
}

int rwy_ring_back_attach(struct rwy_ring_back *r, void *sring_pages, uint32_t nr_pages,
			 uint32_t slot_bytes)
{
	uint32_t start, req_prod;
	int err = open_back(r, sring_pages, nr_pages, slot_bytes);

	if (err)
		return err;
	start = rwy_load_once_u32(&r->sring->rsp_prod);
	req_prod = rwy_load_once_u32(&r->sring->req_prod);
	if (req_prod - start > r->nr_slots)
		return -EPROTO;
	r->req_seen = r->req_cons = r->rsp_prod = r->rsp_pushed = start;
	r->broken = 0;
	return 0;
}

/* rsp_committed <= rsp_intended <= req_cons <= rsp_committed + nr_slots */
static bool is_saved_by_a_backend(const struct rwy_ring_saved *saved, uint32_t nr_slots)
{
	uint32_t taken = saved->req_cons - saved->rsp_committed;

	return taken <= nr_slots && saved->rsp_intended - saved->rsp_committed <= taken;
}

int rwy_ring_back_resume(struct rwy_ring_back *r, void *sring_pages, uint32_t nr_pages,
			 uint32_t slot_bytes, const struct rwy_ring_saved *saved)
{
	uint32_t rsp_prod;
	int err = open_back(r, sring_pages, nr_pages, slot_bytes);

	if (err)
		return err;
	if (!is_saved_by_a_backend(saved, r->nr_slots))
		return -EINVAL;
	rsp_prod = rwy_load_once_u32(&r->sring->rsp_prod);
	if (rsp_prod != saved->rsp_committed && rsp_prod != saved->rsp_intended)
		return -EPROTO;
	r->req_seen = r->req_cons = saved->req_cons;
	r->rsp_prod = r->rsp_pushed = rsp_prod;
	r->broken = 0;
	return 0;
}

/*
 * rsp_pushed <= rsp_prod <= req_cons <= req_seen <= rsp_pushed + nr_slots always holds, because
 * nothing but the check here moves req_seen: so the differences below can't underflow. An honest
 * frontend never publishes into a slot whose response it has not seen, and never takes a request
 * back.
 */
int rwy_ring_back_poll(struct rwy_ring_back *r)
{
	uint32_t req_prod;

	if (r->broken)
		return r->broken;
	/*
	 * PUBLISH: req_prod is seen before the slots it announces; pairs with rwy_ring_front_push.
	 */
	req_prod = rwy_load_acquire_u32(&r->sring->req_prod);
	if (req_prod - r->req_seen > r->nr_slots - (r->req_seen - r->rsp_pushed)) {
		r->broken = -EPROTO;
		return r->broken;
	}
	r->req_seen = req_prod;
	return (int)(r->req_seen - r->req_cons);
}

bool rwy_ring_back_take_request(struct rwy_ring_back *r, void *request, uint32_t len)
{
	if (r->broken || r->req_cons == r->req_seen || len > r->slot_bytes)
		return false;
	rwy_ring_copy_shared(request, slot_at(r->sring, r->nr_slots, r->slot_bytes, r->req_cons),
			     len);
	r->req_cons++;
	return true;
}

int rwy_ring_back_put_response(struct rwy_ring_back *r, const void *response, uint32_t len)
{
	if (r->broken)
		return r->broken;
	/*
	 * The slot of response n is that of request n: only a request already taken is overwritten.
	 */
	if (r->rsp_prod == r->req_cons || len > r->slot_bytes)
		return -EINVAL;
	copy_to_shared(slot_at(r->sring, r->nr_slots, r->slot_bytes, r->rsp_prod), response, len);
	r->rsp_prod++;
	return 0;
}

bool rwy_ring_back_push(struct rwy_ring_back *r)
{
	uint32_t from = r->rsp_pushed;

	if (r->broken || from == r->rsp_prod)
		return false;
	r->rsp_pushed = r->rsp_prod;
	/*
	 * PUBLISH: the responses are seen before rsp_prod. REUSE: the requests in those slots have
	 * been read before rsp_prod allows new ones over them. Both pair with rwy_ring_front_poll.
	 */
	rwy_store_release_u32(&r->sring->rsp_prod, r->rsp_pushed);
	/* SLEEP: rsp_prod is seen before rsp_event is read; pairs with rwy_ring_front_arm. */
	rwy_mb();
	return event_crossed(rwy_load_once_u32(&r->sring->rsp_event), from, r->rsp_pushed);
}

int rwy_ring_back_arm(struct rwy_ring_back *r, uint32_t after)
{
	if (r->broken)
		return r->broken;
	/* What the frontend can still publish before it sees another response: then the ring is
	 * full. */
	after = clamp_after(after, r->nr_slots - (r->req_cons - r->rsp_pushed));
	rwy_store_once_u32(&r->sring->req_event, r->req_cons + after);
	/* SLEEP: req_event is seen before req_prod is read; pairs with rwy_ring_front_push. */
	rwy_mb();
	return rwy_ring_back_poll(r);
}

int rwy_ring_front_init(struct rwy_ring_front *r, void *sring_pages, uint32_t nr_pages,
			uint32_t slot_bytes)
{
	memset(r, 0, sizeof(*r));
	r->broken = -EPROTO;
	r->nr_slots = rwy_ring_slots(nr_pages, slot_bytes);
	if (!r->nr_slots || !can_share(sring_pages))
		return -EINVAL;
	/*
	 * No barrier: the pages are still ours alone; granting them to the peer orders this before.
	 */
	memset(sring_pages, 0, nr_pages * RWY_RING_PAGE_BYTES);
	r->sring = sring_pages;
	r->slot_bytes = slot_bytes;
	rwy_store_once_u32(&r->sring->req_event, 1);
	rwy_store_once_u32(&r->sring->rsp_event, 1);
	r->broken = 0;
	return 0;
}

uint32_t rwy_ring_front_free(const struct rwy_ring_front *r)
{
	return r->broken ? 0 : r->nr_slots - (r->req_prod - r->rsp_cons);
}

int rwy_ring_front_put_request(struct rwy_ring_front *r, const void *request, uint32_t len)
{
	if (r->broken)
		return r->broken;
	if (len > r->slot_bytes)
		return -EINVAL;
	if (!rwy_ring_front_free(r))
		return -ENOSPC;
	copy_to_shared(slot_at(r->sring, r->nr_slots, r->slot_bytes, r->req_prod), request, len);
	r->req_prod++;
	return 0;
}

bool rwy_ring_front_push(struct rwy_ring_front *r)
{
	uint32_t from = r->req_pushed;

	if (r->broken || from == r->req_prod)
		return false;
	r->req_pushed = r->req_prod;
	/*
	 * PUBLISH: the requests are seen before req_prod. REUSE: the responses in those slots have
	 * been read before req_prod allows new ones over them. Both pair with rwy_ring_back_poll.
	 */
	rwy_store_release_u32(&r->sring->req_prod, r->req_pushed);
	/* SLEEP: req_prod is seen before req_event is read; pairs with rwy_ring_back_arm. */
	rwy_mb();
	return event_crossed(rwy_load_once_u32(&r->sring->req_event), from, r->req_pushed);
}

/* rsp_cons <= rsp_seen <= req_pushed always holds: nothing but the check here moves rsp_seen. */
int rwy_ring_front_poll(struct rwy_ring_front *r)
{
	uint32_t rsp_prod;

	if (r->broken)
		return r->broken;
	/* PUBLISH and REUSE: rsp_prod is seen before the slots; pairs with rwy_ring_back_push. */
	rsp_prod = rwy_load_acquire_u32(&r->sring->rsp_prod);
	if (rsp_prod - r->rsp_seen > r->req_pushed - r->rsp_seen) {
		r->broken = -EPROTO;
		return r->broken;
	}
	r->rsp_seen = rsp_prod;
	return (int)(r->rsp_seen - r->rsp_cons);
}

bool rwy_ring_front_take_response(struct rwy_ring_front *r, void *response, uint32_t len)
{
	if (r->broken || r->rsp_cons == r->rsp_seen || len > r->slot_bytes)
		return false;
	rwy_ring_copy_shared(response, slot_at(r->sring, r->nr_slots, r->slot_bytes, r->rsp_cons),
			     len);
	r->rsp_cons++;
	return true;
}

int rwy_ring_front_arm(struct rwy_ring_front *r, uint32_t after)
{
	if (r->broken)
		return r->broken;
	/*
	 * No more responses than outstanding requests can come: the last of them always notifies.
	 */
	after = clamp_after(after, r->req_pushed - r->rsp_cons);
	rwy_store_once_u32(&r->sring->rsp_event, r->rsp_cons + after);
	/* SLEEP: rsp_event is seen before rsp_prod is read; pairs with rwy_ring_back_push. */
	rwy_mb();
	return rwy_ring_front_poll(r);
}
