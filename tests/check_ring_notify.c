// SPDX-License-Identifier: MIT
/*
 * Unit suite of ring/ring.c: who is notified when, in both directions; hold-off never sleeps for
 * ever.
 */
#include "tests/check_main.h"
#include "tests/ring_pair.h"

#define STARTS RING_PAIR_STARTS
#define BYTES  RING_PAIR_BYTES

/* One index at a time: the notification comes at the after-th entry, not before and not again. */
START_TEST(ring_back_arm_notifies_at_after)
{
	for (uint32_t after = 1; after <= 32; after++) {
		struct ring_pair p;

		ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
		ck_assert_int_eq(rwy_ring_back_arm(&p.back, after), 0);
		for (uint32_t nr = 1; nr <= p.nr_slots; nr++) {
			ring_pair_put(&p, 1);
			ck_assert_int_eq(rwy_ring_front_push(&p.front), nr == after);
		}
		ring_pair_close(&p);
	}
}
END_TEST

START_TEST(ring_front_arm_notifies_at_after)
{
	for (uint32_t after = 1; after <= 32; after++) {
		struct ring_pair p;

		ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
		ring_pair_put(&p, p.nr_slots);
		rwy_ring_front_push(&p.front);
		ck_assert_int_eq(rwy_ring_front_arm(&p.front, after), 0);
		ck_assert_int_eq(rwy_ring_back_poll(&p.back), (int)p.nr_slots);
		ring_pair_take(&p, p.nr_slots);
		for (uint32_t nr = 1; nr <= p.nr_slots; nr++) {
			ring_pair_answer(&p, 1);
			ck_assert_int_eq(rwy_ring_back_push(&p.back), nr == after);
		}
		ring_pair_close(&p);
	}
}
END_TEST

/* Batches: the one that crosses the event notifies, wherever in it the event lies. */
START_TEST(ring_push_notifies_for_batch_that_crosses)
{
	for (uint32_t after = 1; after <= 20; after++) {
		struct ring_pair p;

		ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
		ck_assert_int_eq(rwy_ring_back_arm(&p.back, after), 0);
		for (uint32_t from = 0; from < 20; from += 5) {
			ring_pair_put(&p, 5);
			ck_assert_int_eq(rwy_ring_front_push(&p.front),
					 from < after && after <= from + 5);
		}
		ring_pair_close(&p);
	}
}
END_TEST

START_TEST(ring_push_of_nothing_does_nothing)
{
	struct ring_pair p;

	ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
	ck_assert(!rwy_ring_front_push(&p.front));
	ck_assert(!rwy_ring_back_push(&p.back));
	ck_assert_uint_eq(p.words->req_prod, ring_pair_starts[_i]);
	ck_assert_uint_eq(p.words->rsp_prod, ring_pair_starts[_i]);
	ring_pair_close(&p);
}
END_TEST

START_TEST(ring_arm_returns_what_slipped_in)
{
	struct ring_pair p;

	ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
	ring_pair_put(&p, 3);
	rwy_ring_front_push(&p.front);
	ck_assert_int_eq(rwy_ring_back_arm(&p.back, 1), 3);
	ring_pair_take(&p, 3);
	ck_assert_int_eq(rwy_ring_back_arm(&p.back, 1), 0);
	ring_pair_answer(&p, 2);
	rwy_ring_back_push(&p.back);
	ck_assert_int_eq(rwy_ring_front_arm(&p.front, 1), 2);
	ring_pair_collect(&p, 2);
	ck_assert_int_eq(rwy_ring_front_arm(&p.front, 1), 0);
	p.words->req_prod = ring_pair_starts[_i] + 1000;
	p.words->rsp_prod = ring_pair_starts[_i] + 1000;
	ck_assert_int_eq(rwy_ring_back_arm(&p.back, 1), -EPROTO);
	ck_assert_int_eq(rwy_ring_front_arm(&p.front, 1), -EPROTO);
	ring_pair_close(&p);
}
END_TEST

/* Holding off for more than can come would sleep for ever. */
START_TEST(ring_back_arm_notifies_when_full)
{
	for (uint32_t taken = 0; taken < 32; taken++) {
		struct ring_pair p;

		ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
		ring_pair_put(&p, taken);
		rwy_ring_front_push(&p.front);
		rwy_ring_back_poll(&p.back);
		ring_pair_take(&p, taken);
		ck_assert_int_eq(rwy_ring_back_arm(&p.back, UINT32_MAX), 0);
		for (uint32_t nr = taken + 1; nr <= p.nr_slots; nr++) {
			ring_pair_put(&p, 1);
			ck_assert_int_eq(rwy_ring_front_push(&p.front), nr == p.nr_slots);
		}
		ring_pair_close(&p);
	}
}
END_TEST

START_TEST(ring_front_arm_notifies_at_last_response)
{
	for (uint32_t nr = 1; nr <= 32; nr++) {
		struct ring_pair p;

		ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
		ring_pair_put(&p, nr);
		rwy_ring_front_push(&p.front);
		ck_assert_int_eq(rwy_ring_front_arm(&p.front, UINT32_MAX), 0);
		ck_assert_int_eq(rwy_ring_back_poll(&p.back), (int)nr);
		ring_pair_take(&p, nr);
		for (uint32_t done = 1; done <= nr; done++) {
			ring_pair_answer(&p, 1);
			ck_assert_int_eq(rwy_ring_back_push(&p.back), done == nr);
		}
		ring_pair_close(&p);
	}
}
END_TEST

START_TEST(ring_arm_of_zero_means_one)
{
	struct ring_pair p;

	ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
	ck_assert_int_eq(rwy_ring_back_arm(&p.back, 0), 0);
	ring_pair_put(&p, 1);
	ck_assert(rwy_ring_front_push(&p.front));
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), 1);
	ring_pair_take(&p, 1);
	ck_assert_int_eq(rwy_ring_front_arm(&p.front, 0), 0);
	ring_pair_answer(&p, 1);
	ck_assert(rwy_ring_back_push(&p.back));
	/* A full ring, nothing more can be published: still an event in the future. */
	ring_pair_close(&p);
	ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
	ring_pair_put(&p, p.nr_slots);
	rwy_ring_front_push(&p.front);
	rwy_ring_back_poll(&p.back);
	ring_pair_take(&p, p.nr_slots);
	ck_assert_int_eq(rwy_ring_back_arm(&p.back, 5), 0);
	ck_assert_uint_eq(p.words->req_event, ring_pair_starts[_i] + p.nr_slots + 1);
	ring_pair_close(&p);
}
END_TEST

static Suite *ring_notify_suite(void)
{
	Suite *s = suite_create("ring_notify");
	TCase *tc = tcase_create("ring_notify");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, ring_back_arm_notifies_at_after, 0, STARTS);
	tcase_add_loop_test(tc, ring_front_arm_notifies_at_after, 0, STARTS);
	tcase_add_loop_test(tc, ring_push_notifies_for_batch_that_crosses, 0, STARTS);
	tcase_add_loop_test(tc, ring_push_of_nothing_does_nothing, 0, STARTS);
	tcase_add_loop_test(tc, ring_arm_returns_what_slipped_in, 0, STARTS);
	tcase_add_loop_test(tc, ring_back_arm_notifies_when_full, 0, STARTS);
	tcase_add_loop_test(tc, ring_front_arm_notifies_at_last_response, 0, STARTS);
	tcase_add_loop_test(tc, ring_arm_of_zero_means_one, 0, STARTS);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(ring_notify_suite)
