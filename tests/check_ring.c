// SPDX-License-Identifier: MIT
/*
 * Unit suite of ring/ring.c: the data path. Sizes, wrap at 2^32, order and content, attach, and
 * Xen's own macros at the other end. Hostile values are in check_ring_hostile.c, notifications in
 * check_ring_notify.c, single accesses in check_ring_fetch.c, two threads in check_ring_stress.c.
 */
#include "tests/check_main.h"
#include "tests/ring_pair.h"

#define STARTS RING_PAIR_STARTS
#define BYTES  RING_PAIR_BYTES

static const uint32_t slot_sizes[] = {8, 12, 13, 16, 108, 112, 1024};

START_TEST(ring_slots_are_those_of_xens_ring_h)
{
	ck_assert_uint_eq(rwy_ring_slots(1, 112), __CONST_RING_SIZE(blkif, 4096));
	for (uint32_t pages = 1; pages <= RWY_RING_MAX_PAGES; pages++)
		ck_assert_uint_eq(rwy_ring_slots(pages, 112),
				  __CONST_RING_SIZE(blkif, pages * 4096));
	ck_assert_uint_eq(rwy_ring_slots(1, 108), 32);
	ck_assert_uint_eq(rwy_ring_slots(1, 12), 256);
	ck_assert_uint_eq(rwy_ring_slots(1, 8), 256);
	ck_assert_uint_eq(rwy_ring_slots(1, 16), 128);
	ck_assert_uint_eq(rwy_ring_slots(1, 1024), 2);
	ck_assert_uint_eq(rwy_ring_slots(16, 8), 4096);
}
END_TEST

START_TEST(ring_refuses_bad_sizes)
{
	static const uint32_t bad[][2] = {{0, 112}, {17, 112}, {UINT32_MAX, 112}, {1, 0},
					  {1, 7},   {1, 1025}, {1, UINT32_MAX},	  {0, 0}};
	struct rwy_ring_front f;
	struct rwy_ring_back b;
	const struct rwy_ring_saved saved = {0};
	static uint64_t pages[512];
	char buf[8] = "";

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_uint_eq(rwy_ring_slots(bad[i][0], bad[i][1]), 0);
		ck_assert_int_eq(rwy_ring_back_attach(&b, pages, bad[i][0], bad[i][1]), -EINVAL);
		ck_assert_int_eq(rwy_ring_back_resume(&b, pages, bad[i][0], bad[i][1], &saved),
				 -EINVAL);
		ck_assert_int_eq(rwy_ring_front_init(&f, pages, bad[i][0], bad[i][1]), -EINVAL);
	}
	ck_assert_int_eq(rwy_ring_back_attach(&b, NULL, 1, BYTES), -EINVAL);
	ck_assert_int_eq(rwy_ring_back_resume(&b, NULL, 1, BYTES, &saved), -EINVAL);
	ck_assert_int_eq(rwy_ring_front_init(&f, NULL, 1, BYTES), -EINVAL);
	ck_assert_int_eq(rwy_ring_back_attach(&b, (char *)pages + 4, 1, 8), -EINVAL);
	/*
	 * A ring that failed to open is a broken one: nothing can be done with it, nothing crashes.
	 */
	ck_assert_int_eq(rwy_ring_back_poll(&b), -EPROTO);
	ck_assert(!rwy_ring_back_take_request(&b, buf, 8));
	ck_assert_int_eq(rwy_ring_front_put_request(&f, buf, 8), -EPROTO);
}
END_TEST

START_TEST(ring_front_init_zeroes_pages)
{
	struct ring_pair p;
	struct blkif_sring *xen;

	ring_pair_open(&p, 4, BYTES, 0);
	memset(p.pages, 0xa5, 4 * RWY_RING_PAGE_BYTES);
	ck_assert_int_eq(rwy_ring_front_init(&p.front, p.pages, 4, BYTES), 0);
	xen = (struct blkif_sring *)p.pages;
	ck_assert_uint_eq(xen->req_prod, 0);
	ck_assert_uint_eq(xen->rsp_prod, 0);
	ck_assert_uint_eq(xen->req_event, 1);
	ck_assert_uint_eq(xen->rsp_event, 1);
	for (uint32_t i = 16; i < 4 * RWY_RING_PAGE_BYTES; i++)
		ck_assert_uint_eq(p.pages[i], 0);
	ring_pair_close(&p);
}
END_TEST

/* Xen's own macros at one end, ours at the other. */
START_TEST(ring_front_talks_to_xens_macros)
{
	struct blkif_back_ring xen;
	struct ring_pair p;

	ring_pair_open(&p, 2, sizeof(union blkif_sring_entry), 0);
	BACK_RING_INIT(&xen, (struct blkif_sring *)p.pages, 2 * RWY_RING_PAGE_BYTES);
	for (uint64_t id = 1; id < 500; id++) {
		struct blkif_request req = {.operation = BLKIF_OP_WRITE, .id = id};
		struct blkif_response rsp = {.id = ~id};

		ck_assert_int_eq(rwy_ring_front_put_request(&p.front, &req, sizeof(req)), 0);
		rwy_ring_front_push(&p.front);
		ck_assert_uint_eq(XEN_RING_NR_UNCONSUMED_REQUESTS(&xen), 1);
		ck_assert_uint_eq(RING_GET_REQUEST(&xen, xen.req_cons++)->id, id);
		*RING_GET_RESPONSE(&xen, xen.rsp_prod_pvt++) = rsp;
		__atomic_store_n(&xen.sring->rsp_prod, xen.rsp_prod_pvt, __ATOMIC_RELEASE);
		ck_assert_int_eq(rwy_ring_front_poll(&p.front), 1);
		ck_assert(rwy_ring_front_take_response(&p.front, &rsp, sizeof(rsp)));
		ck_assert_uint_eq(rsp.id, ~id);
	}
	ring_pair_close(&p);
}
END_TEST

START_TEST(ring_back_talks_to_xens_macros)
{
	struct blkif_front_ring xen;
	struct rwy_ring_back back;
	struct ring_pair p;

	ring_pair_open(&p, 2, sizeof(union blkif_sring_entry), 0);
	XEN_FRONT_RING_INIT(&xen, (struct blkif_sring *)p.pages, 2 * RWY_RING_PAGE_BYTES);
	ck_assert_int_eq(rwy_ring_back_attach(&back, p.pages, 2, p.slot_bytes), 0);
	ck_assert_uint_eq(back.nr_slots, RING_SIZE(&xen));
	for (uint64_t id = 1; id < 500; id++) {
		struct blkif_response rsp = {.id = ~id};
		struct blkif_request req;

		RING_GET_REQUEST(&xen, xen.req_prod_pvt++)->id = id;
		__atomic_store_n(&xen.sring->req_prod, xen.req_prod_pvt, __ATOMIC_RELEASE);
		ck_assert_int_eq(rwy_ring_back_poll(&back), 1);
		ck_assert(rwy_ring_back_take_request(&back, &req, sizeof(req)));
		ck_assert_uint_eq(req.id, id);
		ck_assert_int_eq(rwy_ring_back_put_response(&back, &rsp, sizeof(rsp)), 0);
		rwy_ring_back_push(&back);
		ck_assert_uint_eq(XEN_RING_NR_UNCONSUMED_RESPONSES(&xen), 1);
		ck_assert_uint_eq(RING_GET_RESPONSE(&xen, xen.rsp_cons++)->id, ~id);
	}
	ring_pair_close(&p);
}
END_TEST

START_TEST(ring_wraps_at_2_32)
{
	struct ring_pair p;

	ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
	ring_pair_turn(&p, p.nr_slots);
	for (uint32_t nr = 1; nr < p.nr_slots; nr++)
		ring_pair_turn(&p, nr);
	ck_assert_uint_eq(p.words->req_prod,
			  ring_pair_starts[_i] + p.nr_slots * (p.nr_slots + 1) / 2);
	ck_assert_uint_eq(p.words->rsp_prod, p.words->req_prod);
	ring_pair_close(&p);
}
END_TEST

/* With 9 published, 7 taken and 4 answered, of which 3 are published: what each end expects next. */
static void leave_in_the_middle(struct ring_pair *p, uint32_t start)
{
	ring_pair_open(p, 1, BYTES, start);
	ring_pair_put(p, 9);
	rwy_ring_front_push(&p->front);
	ck_assert_int_eq(rwy_ring_back_poll(&p->back), 9);
	ring_pair_take(p, 7);
	ring_pair_answer(p, 3);
	rwy_ring_back_push(&p->back);
	ring_pair_answer(p, 1);
}

/* The push of the fourth response came about, or it did not. */
START_TEST(ring_resumes_where_the_last_one_ended)
{
	for (uint32_t pushed = 3; pushed <= 4; pushed++) {
		uint32_t start = ring_pair_starts[_i];
		struct ring_pair p;
		const struct rwy_ring_saved saved = {start + 7, start + 4, start + 3};

		leave_in_the_middle(&p, start);
		if (pushed == 4)
			rwy_ring_back_push(&p.back);
		memset(&p.back, 0x77, sizeof(p.back));
		ck_assert_int_eq(rwy_ring_back_resume(&p.back, p.pages, 1, BYTES, &saved), 0);
		ck_assert_uint_eq(p.back.rsp_pushed, start + pushed);
		ck_assert_uint_eq(p.back.req_cons, start + 7);
		ck_assert_int_eq(rwy_ring_back_poll(&p.back), 2);
		ring_pair_take(&p, 2);
		ring_pair_answer(&p, 9 - pushed);
		rwy_ring_back_push(&p.back);
		ck_assert_int_eq(rwy_ring_front_poll(&p.front), 9);
		ring_pair_collect(&p, 9);
		ring_pair_turn(&p, p.nr_slots);
		ring_pair_close(&p);
	}
}
END_TEST

/* Full of requests that were taken, and idle: as far as the indexes can be apart, and as near. */
START_TEST(ring_resumes_full_and_empty)
{
	uint32_t start = ring_pair_starts[_i];
	struct rwy_ring_saved saved = {start, start, start};
	struct ring_pair p;

	ring_pair_open(&p, 1, BYTES, start);
	ck_assert_int_eq(rwy_ring_back_resume(&p.back, p.pages, 1, BYTES, &saved), 0);
	ring_pair_put(&p, p.nr_slots);
	rwy_ring_front_push(&p.front);
	saved.req_cons = start + p.nr_slots;
	ck_assert_int_eq(rwy_ring_back_resume(&p.back, p.pages, 1, BYTES, &saved), 0);
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), 0);
	ring_pair_answer(&p, p.nr_slots);
	ck_assert_int_eq(rwy_ring_back_put_response(&p.back, "", 1), -EINVAL);
	saved.rsp_intended = start + p.nr_slots;
	rwy_ring_back_push(&p.back);
	ck_assert_int_eq(rwy_ring_back_resume(&p.back, p.pages, 1, BYTES, &saved), 0);
	ck_assert_int_eq(rwy_ring_front_poll(&p.front), (int)p.nr_slots);
	ring_pair_collect(&p, p.nr_slots);
	ring_pair_turn(&p, p.nr_slots);
	ring_pair_close(&p);
}
END_TEST

/* What no backend writes down: the caller's fault, and nothing of the ring is looked at. */
START_TEST(ring_resumes_nothing_impossible)
{
	static const struct {
		int32_t req_cons, rsp_intended, rsp_committed; /* from the start of the ring */
	} bad[] = {{33, 0, 0}, {-1, 0, 0}, {0, 1, 0}, {5, 6, 0}, {5, 0, 1}, {32, -1, 0}, {0, 0, 1}};
	uint32_t start = ring_pair_starts[_i];
	struct ring_pair p;

	ring_pair_open(&p, 1, BYTES, start);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct rwy_ring_saved saved = {start + (uint32_t)bad[i].req_cons,
						     start + (uint32_t)bad[i].rsp_intended,
						     start + (uint32_t)bad[i].rsp_committed};

		ck_assert_int_eq(rwy_ring_back_resume(&p.back, p.pages, 1, BYTES, &saved), -EINVAL);
		ck_assert_int_eq(rwy_ring_back_poll(&p.back), -EPROTO);
	}
	ring_pair_close(&p);
}
END_TEST

/* Full and empty in every ring size and slot size; the page after the ring faults. */
START_TEST(ring_uses_every_slot)
{
	struct ring_pair p;
	uint8_t buf[1024];

	for (size_t s = 0; s < sizeof(slot_sizes) / sizeof(slot_sizes[0]); s++) {
		ring_pair_open(&p, (uint32_t)_i, slot_sizes[s], 0u - 3);
		for (int round = 0; round < 2; round++) {
			ck_assert_uint_eq(rwy_ring_front_free(&p.front), p.nr_slots);
			ring_pair_turn(&p, p.nr_slots);
		}
		ring_pair_put(&p, p.nr_slots);
		ck_assert_uint_eq(rwy_ring_front_free(&p.front), 0);
		ck_assert_int_eq(rwy_ring_front_put_request(&p.front, buf, 1), -ENOSPC);
		ring_pair_close(&p);
	}
}
END_TEST

START_TEST(ring_copies_only_len_bytes)
{
	struct ring_pair p;
	uint8_t buf[BYTES + 1], slot[BYTES];

	for (uint32_t len = 0; len <= BYTES; len++) {
		ring_pair_open(&p, 1, BYTES, 0);
		memset(ring_pair_slot(&p, 0), 0x5a, BYTES);
		ring_pair_fill(buf, BYTES, 7, RING_PAIR_FRONT);
		ck_assert_int_eq(rwy_ring_front_put_request(&p.front, buf, len), 0);
		memcpy(slot, ring_pair_slot(&p, 0), BYTES);
		ck_assert_mem_eq(slot, buf, len);
		for (uint32_t i = len; i < BYTES; i++)
			ck_assert_uint_eq(slot[i], 0x5a);
		rwy_ring_front_push(&p.front);
		ck_assert_int_eq(rwy_ring_back_poll(&p.back), 1);
		memset(buf, 0xc3, sizeof(buf));
		ck_assert(rwy_ring_back_take_request(&p.back, buf, len));
		ck_assert_mem_eq(buf, slot, len);
		for (uint32_t i = len; i < sizeof(buf); i++)
			ck_assert_uint_eq(buf[i], 0xc3);
		ring_pair_close(&p);
	}
}
END_TEST

START_TEST(ring_refuses_len_past_slot)
{
	struct ring_pair p;
	uint8_t buf[BYTES + 1] = {0};

	ring_pair_open(&p, 1, BYTES, 0);
	ck_assert_int_eq(rwy_ring_front_put_request(&p.front, buf, BYTES + 1), -EINVAL);
	ring_pair_put(&p, 1);
	rwy_ring_front_push(&p.front);
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), 1);
	ck_assert(!rwy_ring_back_take_request(&p.back, buf, BYTES + 1));
	ring_pair_take(&p, 1);
	ck_assert_int_eq(rwy_ring_back_put_response(&p.back, buf, BYTES + 1), -EINVAL);
	ring_pair_answer(&p, 1);
	rwy_ring_back_push(&p.back);
	ck_assert_int_eq(rwy_ring_front_poll(&p.front), 1);
	ck_assert(!rwy_ring_front_take_response(&p.front, buf, BYTES + 1));
	ring_pair_collect(&p, 1);
	ring_pair_close(&p);
}
END_TEST

START_TEST(ring_take_stops_at_what_poll_saw)
{
	struct ring_pair p;
	uint8_t buf[BYTES];

	ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
	ring_pair_put(&p, 5);
	rwy_ring_front_push(&p.front);
	ck_assert(!rwy_ring_back_take_request(&p.back, buf, BYTES));
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), 5);
	ring_pair_put(&p, 3);
	rwy_ring_front_push(&p.front);
	ring_pair_take(&p, 5);
	ck_assert(!rwy_ring_back_take_request(&p.back, buf, BYTES));
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), 3);
	ring_pair_answer(&p, 2);
	rwy_ring_back_push(&p.back);
	ck_assert(!rwy_ring_front_take_response(&p.front, buf, BYTES));
	ck_assert_int_eq(rwy_ring_front_poll(&p.front), 2);
	ring_pair_answer(&p, 1);
	rwy_ring_back_push(&p.back);
	ring_pair_collect(&p, 2);
	ck_assert(!rwy_ring_front_take_response(&p.front, buf, BYTES));
	ring_pair_close(&p);
}
END_TEST

/* A request overlays the slot of a response: only of one already taken, not just seen. */
START_TEST(ring_refuses_request_over_untaken_response)
{
	struct ring_pair p;
	uint8_t buf[BYTES] = {0};

	ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
	ring_pair_put(&p, p.nr_slots);
	rwy_ring_front_push(&p.front);
	rwy_ring_back_poll(&p.back);
	ring_pair_take(&p, p.nr_slots);
	ring_pair_answer(&p, p.nr_slots);
	rwy_ring_back_push(&p.back);
	ck_assert_int_eq(rwy_ring_front_poll(&p.front), (int)p.nr_slots);
	ck_assert_int_eq(rwy_ring_front_put_request(&p.front, buf, BYTES), -ENOSPC);
	ring_pair_collect(&p, 2);
	ring_pair_put(&p, 2);
	ck_assert_int_eq(rwy_ring_front_put_request(&p.front, buf, BYTES), -ENOSPC);
	ring_pair_collect(&p, p.nr_slots - 2);
	ring_pair_close(&p);
}
END_TEST

START_TEST(ring_shows_nothing_before_push)
{
	struct ring_pair p;

	ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
	ring_pair_put(&p, 2);
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), 0);
	rwy_ring_front_push(&p.front);
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), 2);
	ring_pair_take(&p, 2);
	ring_pair_answer(&p, 2);
	ck_assert_int_eq(rwy_ring_front_poll(&p.front), 0);
	rwy_ring_back_push(&p.back);
	ck_assert_int_eq(rwy_ring_front_poll(&p.front), 2);
	ring_pair_close(&p);
}
END_TEST

START_TEST(ring_attach_starts_at_rsp_prod)
{
	struct ring_pair p;

	ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
	ring_pair_put(&p, 9);
	rwy_ring_front_push(&p.front);
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), 9);
	ring_pair_take(&p, 7);
	ring_pair_answer(&p, 4);
	rwy_ring_back_push(&p.back);
	ck_assert_int_eq(rwy_ring_back_attach(&p.back, p.pages, 1, BYTES), 0);
	ck_assert_uint_eq(p.back.rsp_pushed, ring_pair_starts[_i] + 4);
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), 5);
	ring_pair_take(&p, 5);
	ring_pair_answer(&p, 5);
	rwy_ring_back_push(&p.back);
	ck_assert_int_eq(rwy_ring_front_poll(&p.front), 9);
	ring_pair_collect(&p, 9);
	ring_pair_close(&p);
}
END_TEST

/* Random steps at both ends against counters; the seed is fixed. */
START_TEST(ring_random_steps_keep_order)
{
	struct ring_pair p;
	uint32_t in_ring = 0, unpushed = 0;

	ring_pair_open(&p, 1 + (uint32_t)_i % 3, slot_sizes[_i], 0u - 1000);
	srand(20240912);
	for (int step = 0; step < 30000; step++) {
		uint32_t nr = (uint32_t)rand() % 8;

		switch (rand() % 4) {
		case 0:
			nr = nr < rwy_ring_front_free(&p.front) ? nr
								: rwy_ring_front_free(&p.front);
			ring_pair_put(&p, nr);
			in_ring += nr;
			unpushed += nr;
			break;
		case 1:
			rwy_ring_front_push(&p.front);
			unpushed = 0;
			break;
		case 2:
			ck_assert_int_ge(rwy_ring_back_poll(&p.back), 0);
			ring_pair_take(&p, p.back.req_seen - p.back.req_cons);
			nr = nr < p.back.req_cons - p.back.rsp_prod
				     ? nr
				     : p.back.req_cons - p.back.rsp_prod;
			ring_pair_answer(&p, nr);
			if (rand() % 2)
				rwy_ring_back_push(&p.back);
			break;
		default:
			nr = (uint32_t)rwy_ring_front_poll(&p.front);
			ring_pair_collect(&p, nr);
			in_ring -= nr;
			break;
		}
		ck_assert_uint_eq(rwy_ring_front_free(&p.front), p.nr_slots - in_ring);
		ck_assert_uint_eq(p.front.req_prod - p.front.req_pushed, unpushed);
	}
	ck_assert_uint_gt(p.front.rsp_cons, 100);
	ck_assert_uint_lt(p.front.rsp_cons, 0u - 1000);
	ring_pair_close(&p);
}
END_TEST

START_TEST(ring_copy_shared_at_any_alignment)
{
	uint64_t from_words[20], to_words[20];
	uint8_t *from = (uint8_t *)from_words, *to = (uint8_t *)to_words;

	ring_pair_fill(from, sizeof(from_words), 99, RING_PAIR_FRONT);
	for (uint32_t offset = 0; offset < 16; offset++) {
		for (uint32_t len = 0; len < 120; len++) {
			memset(to, 0x77, sizeof(to_words));
			rwy_ring_copy_shared(to + 1, from + offset, len);
			ck_assert_mem_eq(to + 1, from + offset, len);
			ck_assert_uint_eq(to[0], 0x77);
			ck_assert_uint_eq(to[len + 1], 0x77);
		}
	}
}
END_TEST

static Suite *ring_suite(void)
{
	Suite *s = suite_create("ring");
	TCase *tc = tcase_create("ring");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, ring_slots_are_those_of_xens_ring_h);
	tcase_add_test(tc, ring_refuses_bad_sizes);
	tcase_add_test(tc, ring_front_init_zeroes_pages);
	tcase_add_test(tc, ring_front_talks_to_xens_macros);
	tcase_add_test(tc, ring_back_talks_to_xens_macros);
	tcase_add_loop_test(tc, ring_wraps_at_2_32, 0, STARTS);
	tcase_add_loop_test(tc, ring_uses_every_slot, 1, RWY_RING_MAX_PAGES + 1);
	tcase_add_test(tc, ring_copies_only_len_bytes);
	tcase_add_test(tc, ring_refuses_len_past_slot);
	tcase_add_loop_test(tc, ring_take_stops_at_what_poll_saw, 0, STARTS);
	tcase_add_loop_test(tc, ring_refuses_request_over_untaken_response, 0, STARTS);
	tcase_add_loop_test(tc, ring_shows_nothing_before_push, 0, STARTS);
	tcase_add_loop_test(tc, ring_attach_starts_at_rsp_prod, 0, STARTS);
	tcase_add_loop_test(tc, ring_resumes_where_the_last_one_ended, 0, STARTS);
	tcase_add_loop_test(tc, ring_resumes_full_and_empty, 0, STARTS);
	tcase_add_loop_test(tc, ring_resumes_nothing_impossible, 0, STARTS);
	tcase_add_loop_test(tc, ring_random_steps_keep_order, 0,
			    sizeof(slot_sizes) / sizeof(slot_sizes[0]));
	tcase_add_test(tc, ring_copy_shared_at_any_alignment);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(ring_suite)
