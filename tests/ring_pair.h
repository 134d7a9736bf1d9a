/* SPDX-License-Identifier: MIT */
/*
 * A ring with both its ends in one process, for the ring suites: shared pages followed by a page
 * that faults, so that an access past the ring kills the test. The raw words are reached through
 * `words`, as a hostile peer would.
 */
#pragma once
#include "ring/ring.h"
#include <check.h>
#include <stdlib.h>
#include <sys/mman.h>

#define RING_PAIR_BYTES	 112u
#define RING_PAIR_FRONT	 1
#define RING_PAIR_BACK	 2
#define RING_PAIR_STARTS (sizeof(ring_pair_starts) / sizeof(ring_pair_starts[0]))

/* Indexes at which arithmetic could go wrong; 32 slots wrap at 2^32 on the way. */
static const uint32_t ring_pair_starts[] = {0,	      1,	  UINT32_MAX,  UINT32_MAX - 1,
					    0u - 31,  0u - 32,	  0u - 33,     INT32_MAX,
					    1u << 31, 0x7fffffe1, 0xffffff80u, 12345};

struct ring_pair {
	uint8_t *pages;
	uint32_t nr_pages;
	uint32_t slot_bytes;
	uint32_t nr_slots;
	volatile struct rwy_sring *words;
	struct rwy_ring_front front;
	struct rwy_ring_back back;
};

/* Map the pages and start both ends at index `start`, as after that many requests. */
static inline void ring_pair_open(struct ring_pair *p, uint32_t nr_pages, uint32_t slot_bytes,
				  uint32_t start)
{
	size_t bytes = nr_pages * RWY_RING_PAGE_BYTES;

	memset(p, 0, sizeof(*p));
	p->pages = mmap(NULL, bytes + RWY_RING_PAGE_BYTES, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(p->pages, MAP_FAILED);
	ck_assert_int_eq(mprotect(p->pages + bytes, RWY_RING_PAGE_BYTES, PROT_NONE), 0);
	p->nr_pages = nr_pages;
	p->slot_bytes = slot_bytes;
	p->words = (volatile struct rwy_sring *)p->pages;
	ck_assert_int_eq(rwy_ring_front_init(&p->front, p->pages, nr_pages, slot_bytes), 0);
	p->front.req_prod = p->front.req_pushed = start;
	p->front.rsp_seen = p->front.rsp_cons = start;
	p->words->req_prod = p->words->rsp_prod = start;
	p->words->req_event = p->words->rsp_event = start + 1;
	ck_assert_int_eq(rwy_ring_back_attach(&p->back, p->pages, nr_pages, slot_bytes), 0);
	p->nr_slots = p->back.nr_slots;
}

static inline void ring_pair_close(struct ring_pair *p)
{
	munmap(p->pages, (p->nr_pages + 1) * RWY_RING_PAGE_BYTES);
}

static inline uint8_t *ring_pair_slot(struct ring_pair *p, uint32_t index)
{
	return p->pages + RWY_RING_HEADER_BYTES + (index % p->nr_slots) * p->slot_bytes;
}

/* Bytes that no other index or side has. */
static inline void ring_pair_fill(uint8_t *buf, uint32_t len, uint32_t index, uint8_t side)
{
	for (uint32_t i = 0; i < len; i++)
		buf[i] = (uint8_t)((index + 1) * 167 + (index >> 8) * 31 + i * 13 + side);
}

/* Put nr requests, unpushed. The checks in these loops are plain ifs: one ck_assert costs a system
 * call. */
static inline void ring_pair_put(struct ring_pair *p, uint32_t nr)
{
	uint8_t buf[1024];

	for (uint32_t i = 0; i < nr; i++) {
		ring_pair_fill(buf, p->slot_bytes, p->front.req_prod, RING_PAIR_FRONT);
		if (rwy_ring_front_put_request(&p->front, buf, p->slot_bytes))
			ck_abort_msg("request %u of %u not put", i, nr);
	}
}

/* Take nr requests that the last poll saw, and compare. */
static inline void ring_pair_take(struct ring_pair *p, uint32_t nr)
{
	uint8_t buf[1024], want[1024];

	for (uint32_t i = 0; i < nr; i++) {
		ring_pair_fill(want, p->slot_bytes, p->back.req_cons, RING_PAIR_FRONT);
		if (!rwy_ring_back_take_request(&p->back, buf, p->slot_bytes))
			ck_abort_msg("request %u of %u not taken", i, nr);
		if (memcmp(buf, want, p->slot_bytes) != 0)
			ck_abort_msg("request %u of %u has other bytes", i, nr);
	}
}

/* Put nr responses, unpushed. */
static inline void ring_pair_answer(struct ring_pair *p, uint32_t nr)
{
	uint8_t buf[1024];

	for (uint32_t i = 0; i < nr; i++) {
		ring_pair_fill(buf, p->slot_bytes, p->back.rsp_prod, RING_PAIR_BACK);
		if (rwy_ring_back_put_response(&p->back, buf, p->slot_bytes))
			ck_abort_msg("response %u of %u not put", i, nr);
	}
}

/* Take nr responses that the last poll saw, and compare. */
static inline void ring_pair_collect(struct ring_pair *p, uint32_t nr)
{
	uint8_t buf[1024], want[1024];

	for (uint32_t i = 0; i < nr; i++) {
		ring_pair_fill(want, p->slot_bytes, p->front.rsp_cons, RING_PAIR_BACK);
		if (!rwy_ring_front_take_response(&p->front, buf, p->slot_bytes))
			ck_abort_msg("response %u of %u not taken", i, nr);
		if (memcmp(buf, want, p->slot_bytes) != 0)
			ck_abort_msg("response %u of %u has other bytes", i, nr);
	}
}

/* nr requests all the way and their responses all the way back. */
static inline void ring_pair_turn(struct ring_pair *p, uint32_t nr)
{
	ring_pair_put(p, nr);
	rwy_ring_front_push(&p->front);
	ck_assert_int_eq(rwy_ring_back_poll(&p->back), (int)nr);
	ring_pair_take(p, nr);
	ring_pair_answer(p, nr);
	rwy_ring_back_push(&p->back);
	ck_assert_int_eq(rwy_ring_front_poll(&p->front), (int)nr);
	ring_pair_collect(p, nr);
}
