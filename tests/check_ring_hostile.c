// SPDX-License-Identifier: MIT
/*
 * Unit suite of ring/ring.c: what a hostile peer may write into the shared words and slots, and the
 * latch that closes the ring. Each row of the table in ring/README.md names a test of this file or
 * of check_ring_fetch.c.
 */
#include "tests/check_main.h"
#include "tests/ring_pair.h"
#include <pthread.h>

#define STARTS RING_PAIR_STARTS
#define BYTES  RING_PAIR_BYTES

/* A response overlays the slot of a request: only of one already taken. */
START_TEST(ring_refuses_response_over_untaken_request)
{
	struct ring_pair p;
	uint8_t buf[BYTES] = {0}, want[BYTES];

	ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
	ck_assert_int_eq(rwy_ring_back_put_response(&p.back, buf, BYTES), -EINVAL);
	ring_pair_put(&p, 2);
	rwy_ring_front_push(&p.front);
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), 2);
	ck_assert_int_eq(rwy_ring_back_put_response(&p.back, buf, BYTES), -EINVAL);
	ring_pair_take(&p, 1);
	ring_pair_answer(&p, 1);
	ck_assert_int_eq(rwy_ring_back_put_response(&p.back, buf, BYTES), -EINVAL);
	ring_pair_fill(want, BYTES, ring_pair_starts[_i] + 1, RING_PAIR_FRONT);
	ck_assert_mem_eq(ring_pair_slot(&p, ring_pair_starts[_i] + 1), want, BYTES);
	ring_pair_take(&p, 1);
	ring_pair_close(&p);
}
END_TEST

START_TEST(ring_attach_rejects_req_prod_out_of_range)
{
	struct ring_pair p;

	ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
	p.words->req_prod = ring_pair_starts[_i] + p.nr_slots;
	ck_assert_int_eq(rwy_ring_back_attach(&p.back, p.pages, 1, BYTES), 0);
	p.words->req_prod = ring_pair_starts[_i] + p.nr_slots + 1;
	ck_assert_int_eq(rwy_ring_back_attach(&p.back, p.pages, 1, BYTES), -EPROTO);
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), -EPROTO);
	p.words->req_prod = ring_pair_starts[_i] - 1;
	ck_assert_int_eq(rwy_ring_back_attach(&p.back, p.pages, 1, BYTES), -EPROTO);
	ring_pair_close(&p);
}
END_TEST

/* The ring's rsp_prod at a take-over: believed if it is what was written down before or after the
 * last push, and nothing else. */
START_TEST(ring_resume_rejects_forged_rsp_prod)
{
	uint32_t start = ring_pair_starts[_i];
	const struct rwy_ring_saved saved = {start + 20, start + 10, start + 7};
	struct ring_pair p;

	ring_pair_open(&p, 1, BYTES, start);
	for (uint32_t forged = start - 40; forged != start + 60; forged++) {
		bool right = forged == start + 10 || forged == start + 7;

		p.words->rsp_prod = forged;
		ck_assert_int_eq(rwy_ring_back_resume(&p.back, p.pages, 1, BYTES, &saved),
				 right ? 0 : -EPROTO);
		if (!right)
			ck_assert_int_eq(rwy_ring_back_poll(&p.back), -EPROTO);
	}
	ring_pair_close(&p);
}
END_TEST

/* Requests that were taken cannot be taken back, and the rest is as at any poll. */
START_TEST(ring_resume_leaves_req_prod_to_the_poll)
{
	uint32_t start = ring_pair_starts[_i];
	const struct rwy_ring_saved saved = {start + 20, start + 10, start + 10};
	struct ring_pair p;

	ring_pair_open(&p, 1, BYTES, start);
	p.words->rsp_prod = start + 10;
	for (uint32_t req_prod = start; req_prod != start + 60; req_prod++) {
		uint32_t ahead = req_prod - (start + 20);
		bool right = ahead <= p.nr_slots - 10;

		p.words->req_prod = req_prod;
		ck_assert_int_eq(rwy_ring_back_resume(&p.back, p.pages, 1, BYTES, &saved), 0);
		ck_assert_int_eq(rwy_ring_back_poll(&p.back), right ? (int)ahead : -EPROTO);
	}
	ring_pair_close(&p);
}
END_TEST

START_TEST(ring_back_breaks_on_req_prod_past_ring)
{
	struct ring_pair p;

	ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
	p.words->req_prod = ring_pair_starts[_i] + p.nr_slots;
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), (int)p.nr_slots);
	p.words->req_prod = ring_pair_starts[_i] + p.nr_slots + 1;
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), -EPROTO);
	ck_assert_int_eq(p.back.broken, -EPROTO);
	ring_pair_close(&p);
}
END_TEST

START_TEST(ring_back_breaks_on_req_prod_past_outstanding)
{
	struct ring_pair p;
	uint8_t buf[BYTES];

	ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
	ring_pair_put(&p, 10);
	rwy_ring_front_push(&p.front);
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), 10);
	ring_pair_take(&p, 10);
	/* Ten outstanding: 22 slots are free. */
	p.words->req_prod = ring_pair_starts[_i] + 10 + 22;
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), 22);
	p.words->req_prod = ring_pair_starts[_i] + 10 + 23;
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), -EPROTO);
	ck_assert(!rwy_ring_back_take_request(&p.back, buf, BYTES));
	ring_pair_close(&p);
}
END_TEST

START_TEST(ring_back_breaks_on_req_prod_past_unpushed_response)
{
	struct ring_pair p;

	ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
	ring_pair_put(&p, p.nr_slots);
	rwy_ring_front_push(&p.front);
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), (int)p.nr_slots);
	ring_pair_take(&p, p.nr_slots);
	ring_pair_answer(&p, 1);
	/*
	 * The frontend can't know of this response yet; once it is pushed, the slot is free to use.
	 */
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), 0);
	rwy_ring_back_push(&p.back);
	p.words->req_prod = ring_pair_starts[_i] + p.nr_slots + 1;
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), 1);
	ring_pair_answer(&p, 1);
	p.words->req_prod = ring_pair_starts[_i] + p.nr_slots + 2;
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), -EPROTO);
	ring_pair_close(&p);
}
END_TEST

START_TEST(ring_back_breaks_on_req_prod_going_back)
{
	for (uint32_t back = 1; back <= 5; back++) {
		struct ring_pair p;

		ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
		ring_pair_put(&p, 4);
		rwy_ring_front_push(&p.front);
		ck_assert_int_eq(rwy_ring_back_poll(&p.back), 4);
		ring_pair_take(&p, 2);
		p.words->req_prod = ring_pair_starts[_i] + 4 - back;
		ck_assert_int_eq(rwy_ring_back_poll(&p.back), -EPROTO);
		ring_pair_close(&p);
	}
}
END_TEST

/* Every value of the peer's word is either in range or breaks the ring. */
START_TEST(ring_back_accepts_exactly_the_range)
{
	for (uint32_t far = 0; far < 200; far++) {
		for (int sign = -1; sign <= 1; sign += 2) {
			struct ring_pair p;
			uint32_t value = ring_pair_starts[_i] + (uint32_t)sign * far;
			bool good = sign > 0 && far <= 32;

			ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
			p.words->req_prod = value;
			ck_assert_int_eq(rwy_ring_back_poll(&p.back),
					 good || !far ? (int)far : -EPROTO);
			ring_pair_close(&p);
		}
	}
}
END_TEST

START_TEST(ring_front_breaks_on_rsp_prod_past_requests)
{
	struct ring_pair p;
	uint8_t buf[BYTES];

	ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
	ring_pair_put(&p, 4);
	rwy_ring_front_push(&p.front);
	ring_pair_put(&p, 1); /* not pushed: can't have been answered */
	p.words->rsp_prod = ring_pair_starts[_i] + 4;
	ck_assert_int_eq(rwy_ring_front_poll(&p.front), 4);
	p.words->rsp_prod = ring_pair_starts[_i] + 5;
	ck_assert_int_eq(rwy_ring_front_poll(&p.front), -EPROTO);
	ck_assert_int_eq(p.front.broken, -EPROTO);
	ck_assert(!rwy_ring_front_take_response(&p.front, buf, BYTES));
	ring_pair_close(&p);
}
END_TEST

START_TEST(ring_front_breaks_on_rsp_prod_going_back)
{
	for (uint32_t back = 1; back <= 5; back++) {
		struct ring_pair p;
		uint8_t buf[BYTES];

		ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
		ring_pair_put(&p, 6);
		rwy_ring_front_push(&p.front);
		p.words->rsp_prod = ring_pair_starts[_i] + 4;
		ck_assert_int_eq(rwy_ring_front_poll(&p.front), 4);
		ck_assert(rwy_ring_front_take_response(&p.front, buf, BYTES));
		p.words->rsp_prod = ring_pair_starts[_i] + 4 - back;
		ck_assert_int_eq(rwy_ring_front_poll(&p.front), -EPROTO);
		ring_pair_close(&p);
	}
}
END_TEST

/* Words that only we write, rewritten by the peer: we don't read them back. */
START_TEST(ring_ignores_peer_in_our_words)
{
	struct ring_pair p;

	ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
	ring_pair_put(&p, 3);
	rwy_ring_front_push(&p.front);
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), 3);
	ring_pair_take(&p, 3);
	p.words->rsp_prod = 0xdeadbeef;
	p.words->req_event = 0xdeadbeef;
	ring_pair_answer(&p, 3);
	ck_assert(rwy_ring_back_push(&p.back));
	ck_assert_uint_eq(p.words->rsp_prod, ring_pair_starts[_i] + 3);
	p.words->req_prod = 0xdeadbeef;
	p.words->rsp_event = 0xdeadbeef;
	ck_assert_int_eq(rwy_ring_front_poll(&p.front), 3);
	ring_pair_collect(&p, 3);
	ring_pair_put(&p, 1);
	rwy_ring_front_push(&p.front);
	ck_assert_uint_eq(p.words->req_prod, ring_pair_starts[_i] + 4);
	ring_pair_close(&p);
}
END_TEST

/* The peer's event word decides a notification, at most one a push, and nothing else. */
START_TEST(ring_takes_any_event_word)
{
	struct ring_pair p;
	uint32_t notified = 0;

	ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
	for (uint32_t event = ring_pair_starts[_i] - 100; event != ring_pair_starts[_i] + 100;
	     event++) {
		ring_pair_close(&p);
		ring_pair_open(&p, 1, BYTES, ring_pair_starts[_i]);
		p.words->req_event = event;
		ring_pair_put(&p, 7);
		notified += rwy_ring_front_push(&p.front);
		ck_assert(!rwy_ring_front_push(&p.front));
	}
	ck_assert_uint_eq(notified, 7);
	ring_pair_close(&p);
}
END_TEST

static void call_back_end(struct rwy_ring_back *b)
{
	uint8_t buf[BYTES] = {0};

	ck_assert_int_eq(rwy_ring_back_poll(b), -EPROTO);
	ck_assert(!rwy_ring_back_take_request(b, buf, BYTES));
	ck_assert_int_eq(rwy_ring_back_put_response(b, buf, BYTES), -EPROTO);
	ck_assert(!rwy_ring_back_push(b));
	ck_assert_int_eq(rwy_ring_back_arm(b, 1), -EPROTO);
}

static void call_front_end(struct rwy_ring_front *f)
{
	uint8_t buf[BYTES] = {0};

	ck_assert_int_eq(rwy_ring_front_poll(f), -EPROTO);
	ck_assert(!rwy_ring_front_take_response(f, buf, BYTES));
	ck_assert_int_eq(rwy_ring_front_put_request(f, buf, BYTES), -EPROTO);
	ck_assert(!rwy_ring_front_push(f));
	ck_assert_int_eq(rwy_ring_front_arm(f, 1), -EPROTO);
	ck_assert_uint_eq(rwy_ring_front_free(f), 0);
}

/* With work pending in every direction, so that each call would have something to do. */
START_TEST(ring_broken_touches_no_shared_memory)
{
	struct ring_pair p;

	ring_pair_open(&p, 1, BYTES, 0);
	ring_pair_put(&p, 6);
	rwy_ring_front_push(&p.front);
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), 6);
	ring_pair_take(&p, 5);
	ring_pair_answer(&p, 3);
	rwy_ring_back_push(&p.back);
	ring_pair_answer(&p, 1);
	ck_assert_int_eq(rwy_ring_front_poll(&p.front), 3);
	ring_pair_put(&p, 1);
	p.words->req_prod = 1000;
	p.words->rsp_prod = 1000;
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), -EPROTO);
	ck_assert_int_eq(rwy_ring_front_poll(&p.front), -EPROTO);
	ck_assert_int_eq(mprotect(p.pages, RWY_RING_PAGE_BYTES, PROT_NONE), 0);
	call_back_end(&p.back);
	call_front_end(&p.front);
	ring_pair_close(&p);
}
END_TEST

START_TEST(ring_broken_stays_broken)
{
	struct ring_pair p;

	ring_pair_open(&p, 1, BYTES, 0);
	p.words->req_prod = 1000;
	p.words->rsp_prod = 1000;
	ck_assert_int_eq(rwy_ring_back_poll(&p.back), -EPROTO);
	ck_assert_int_eq(rwy_ring_front_poll(&p.front), -EPROTO);
	p.words->req_prod = 0;
	p.words->rsp_prod = 0;
	call_back_end(&p.back);
	call_front_end(&p.front);
	ring_pair_close(&p);
}
END_TEST

struct flipper {
	volatile uint64_t *sring_word;
	int stop;
};

static void *flip(void *arg)
{
	struct flipper *f = arg;

	for (uint64_t v = 0; !__atomic_load_n(&f->stop, __ATOMIC_RELAXED); v = ~v)
		*f->sring_word = v;
	return NULL;
}

/* The peer rewrites a slot while it is taken: the copy holds one of its values, and keeps it. */
START_TEST(ring_take_survives_flipping_slot)
{
	struct ring_pair p;
	struct flipper f = {0};
	pthread_t thread;
	uint32_t seen[2] = {0};

	ring_pair_open(&p, 1, BYTES, 0);
	ring_pair_put(&p, 1);
	rwy_ring_front_push(&p.front);
	f.sring_word = (volatile uint64_t *)(ring_pair_slot(&p, 0) + 8);
	*f.sring_word = 0;
	ck_assert_int_eq(pthread_create(&thread, NULL, flip, &f), 0);
	while (seen[0] < 10000 || seen[1] < 10000) {
		uint64_t copy[BYTES / 8], first;

		if (rwy_ring_back_attach(&p.back, p.pages, 1, BYTES) ||
		    rwy_ring_back_poll(&p.back) != 1 ||
		    !rwy_ring_back_take_request(&p.back, copy, BYTES))
			ck_abort_msg("request not taken");
		first = ((volatile uint64_t *)copy)[1];
		if (first != 0 && first != UINT64_MAX)
			ck_abort_msg("torn word %#lx", first);
		if (((volatile uint64_t *)copy)[1] != first)
			ck_abort_msg("the copy changed");
		seen[first != 0]++;
	}
	__atomic_store_n(&f.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	ring_pair_close(&p);
}
END_TEST

static Suite *ring_hostile_suite(void)
{
	Suite *s = suite_create("ring_hostile");
	TCase *tc = tcase_create("ring_hostile");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, ring_refuses_response_over_untaken_request, 0, STARTS);
	tcase_add_loop_test(tc, ring_attach_rejects_req_prod_out_of_range, 0, STARTS);
	tcase_add_loop_test(tc, ring_resume_rejects_forged_rsp_prod, 0, STARTS);
	tcase_add_loop_test(tc, ring_resume_leaves_req_prod_to_the_poll, 0, STARTS);
	tcase_add_loop_test(tc, ring_back_breaks_on_req_prod_past_ring, 0, STARTS);
	tcase_add_loop_test(tc, ring_back_breaks_on_req_prod_past_outstanding, 0, STARTS);
	tcase_add_loop_test(tc, ring_back_breaks_on_req_prod_past_unpushed_response, 0, STARTS);
	tcase_add_loop_test(tc, ring_back_breaks_on_req_prod_going_back, 0, STARTS);
	tcase_add_loop_test(tc, ring_back_accepts_exactly_the_range, 0, STARTS);
	tcase_add_loop_test(tc, ring_front_breaks_on_rsp_prod_past_requests, 0, STARTS);
	tcase_add_loop_test(tc, ring_front_breaks_on_rsp_prod_going_back, 0, STARTS);
	tcase_add_loop_test(tc, ring_ignores_peer_in_our_words, 0, STARTS);
	tcase_add_loop_test(tc, ring_takes_any_event_word, 0, STARTS);
	tcase_add_test(tc, ring_broken_touches_no_shared_memory);
	tcase_add_test(tc, ring_broken_stays_broken);
	tcase_add_test(tc, ring_take_survives_flipping_slot);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(ring_hostile_suite)
