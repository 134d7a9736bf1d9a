// SPDX-License-Identifier: MIT
/*
 * The block frontend's core against a backend that is honest first and hostile then. The backend's
 * end is rwy_ring_back on the same pages; where it would not lie, the shared words are written by
 * hand.
 */
#include <stdlib.h>
#include "frontend/core/blkfront.h"
#include "tests/check_main.h"

#define CAPACITY_SECT 1000u

static _Alignas(4096) uint8_t pages[RWY_RING_MAX_PAGES * RWY_RING_PAGE_BYTES];
static struct rwy_blkfront_tag tags[RWY_BLKFRONT_MAX_TAGS];
static struct rwy_blkfront bf;
static struct rwy_ring_back back;
static unsigned int notified;

static void count_notify(void *ctx)
{
	(*(unsigned int *)ctx)++;
}

static const struct rwy_blkfront_platform platform = {.notify = count_notify};

static struct rwy_blkfront_config config_of(uint32_t nr_pages)
{
	return (struct rwy_blkfront_config){
		.sring_pages = pages,
		.nr_pages = nr_pages,
		.tags = tags,
		.nr_tags = RWY_BLKFRONT_MAX_TAGS,
		.handle = 51712 & 0xffff,
		.platform = &platform,
		.platform_ctx = &notified,
	};
}

static void set_limits(bool read_only)
{
	struct rwy_blk_limits limits = {
		.capacity_sect = CAPACITY_SECT,
		.read_only = read_only,
		.flush = true,
	};

	ck_assert_int_eq(rwy_blkfront_set_limits(&bf, &limits), 0);
}

static void setup_pages(uint32_t nr_pages)
{
	struct rwy_blkfront_config config = config_of(nr_pages);

	notified = 0;
	ck_assert_int_eq(rwy_blkfront_init(&bf, &config), 0);
	ck_assert_int_eq(rwy_ring_back_attach(&back, pages, nr_pages,
					      rwy_blk_slot_bytes(RWY_BLK_ABI_NATIVE)),
			 0);
	set_limits(false);
}

static void setup(void)
{
	setup_pages(1);
}

static void teardown(void)
{
}

static struct rwy_blkfront_request request_of(enum rwy_blk_op op, uint64_t sector, uintptr_t cookie)
{
	struct rwy_blkfront_request request = {
		.op = op,
		.sector = sector,
		.cookie = (void *)cookie,
	};

	if (op != RWY_BLK_OP_FLUSH) {
		request.nr_segs = 1;
		request.seg[0] = (struct rwy_blk_seg){.gref = 8 + (uint32_t)cookie, .last_sect = 7};
	}
	return request;
}

static int put(enum rwy_blk_op op, uint64_t sector, uintptr_t cookie)
{
	struct rwy_blkfront_request request = request_of(op, sector, cookie);

	return rwy_blkfront_put_request(&bf, &request);
}

static void back_take(struct rwy_blk_request *req)
{
	uint8_t slot[RWY_BLK_MAX_SLOT_BYTES];

	ck_assert_int_gt(rwy_ring_back_poll(&back), 0);
	ck_assert(rwy_ring_back_take_request(&back, slot, rwy_blk_slot_bytes(RWY_BLK_ABI_NATIVE)));
	rwy_blk_decode_request(RWY_BLK_ABI_NATIVE, slot, req);
}

static void back_answer(uint64_t id, uint8_t wire_op, int16_t status)
{
	struct rwy_blk_response rsp = {.id = id, .wire_op = wire_op, .status = status};
	uint8_t slot[RWY_BLK_MAX_SLOT_BYTES];
	uint32_t len = rwy_blk_encode_response(RWY_BLK_ABI_NATIVE, &rsp, slot);

	ck_assert_int_eq(rwy_ring_back_put_response(&back, slot, len), 0);
	rwy_ring_back_push(&back);
}

static void expect_completion(uintptr_t cookie, int status)
{
	struct rwy_blkfront_completion c;

	ck_assert_int_eq(rwy_blkfront_take_completion(&bf, &c), 1);
	ck_assert_uint_eq((uintptr_t)c.cookie, cookie);
	ck_assert_int_eq(c.status, status);
}

/* The latch: every verb refuses, the shared words stay as they are, and the reason is kept. */
static void expect_broken(enum rwy_blkfront_fault fault)
{
	struct rwy_blkfront_completion c;
	volatile struct rwy_sring *sring = (volatile struct rwy_sring *)(void *)pages;
	uint32_t req_prod = sring->req_prod, rsp_event = sring->rsp_event;
	unsigned int notified_before = notified;

	ck_assert_int_eq(rwy_blkfront_take_completion(&bf, &c), -EPROTO);
	ck_assert_int_eq(bf.fault, fault);
	ck_assert_int_eq(put(RWY_BLK_OP_READ, 0, 99), -EPROTO);
	rwy_blkfront_push(&bf);
	ck_assert_int_eq(rwy_blkfront_arm(&bf, 1), -EPROTO);
	ck_assert_int_eq(rwy_blkfront_take_completion(&bf, &c), -EPROTO);
	ck_assert_uint_eq(sring->req_prod, req_prod);
	ck_assert_uint_eq(sring->rsp_event, rsp_event);
	ck_assert_uint_eq(notified, notified_before);
	ck_assert_int_eq(bf.fault, fault);
}

START_TEST(init_refuses_what_breaks_a_bound)
{
	struct rwy_blkfront_config config = config_of(0);

	ck_assert_int_eq(rwy_blkfront_init(&bf, &config), -EINVAL);
	config = config_of(RWY_RING_MAX_PAGES + 1);
	ck_assert_int_eq(rwy_blkfront_init(&bf, &config), -EINVAL);
	config = config_of(1);
	config.nr_tags = rwy_blkfront_slots(1) - 1;
	ck_assert_int_eq(rwy_blkfront_init(&bf, &config), -EINVAL);
	ck_assert_int_eq(put(RWY_BLK_OP_READ, 0, 1), -EPROTO);
	ck_assert_uint_eq(rwy_blkfront_slots(1), 32);
	ck_assert_uint_le(rwy_blkfront_slots(RWY_RING_MAX_PAGES), RWY_BLKFRONT_MAX_TAGS);
}
END_TEST

START_TEST(nothing_is_sent_before_the_limits_are_known)
{
	struct rwy_blkfront_config config = config_of(1);
	struct rwy_blk_limits limits = {.capacity_sect = RWY_BLK_MAX_CAPACITY_SECT + 1};

	ck_assert_int_eq(rwy_blkfront_init(&bf, &config), 0);
	ck_assert_int_eq(rwy_blkfront_set_limits(&bf, &limits), -EINVAL);
	ck_assert_int_eq(put(RWY_BLK_OP_READ, 0, 1), -ENOTCONN);
}
END_TEST

START_TEST(requests_reach_the_backend_as_given)
{
	struct rwy_blkfront_request request = request_of(RWY_BLK_OP_WRITE, 16, 1);
	struct rwy_blk_request got;

	request.nr_segs = 2;
	request.seg[1] = (struct rwy_blk_seg){.gref = 77, .first_sect = 2, .last_sect = 5};
	ck_assert_int_eq(rwy_blkfront_put_request(&bf, &request), 0);
	ck_assert_int_eq(rwy_ring_back_poll(&back), 0);
	rwy_blkfront_push(&bf);
	ck_assert_uint_eq(notified, 1);
	back_take(&got);
	ck_assert_int_eq(got.op, RWY_BLK_OP_WRITE);
	ck_assert_uint_eq(got.sector, 16);
	ck_assert_uint_eq(got.nr_segs, 2);
	ck_assert_uint_eq(got.seg[0].gref, 9);
	ck_assert_uint_eq(got.seg[1].gref, 77);
	ck_assert_uint_eq(got.seg[1].first_sect, 2);
	ck_assert_uint_eq(got.seg[1].last_sect, 5);
	ck_assert_uint_eq(got.handle, 51712 & 0xffff);
	back_answer(got.id, got.wire_op, BLKIF_RSP_OKAY);
	expect_completion(1, 0);
	ck_assert_uint_eq(bf.nr_outstanding, 0);
}
END_TEST

START_TEST(discards_reach_a_backend_that_offers_them)
{
	struct rwy_blk_limits limits = {.capacity_sect = CAPACITY_SECT, .discard = true};
	struct rwy_blkfront_request request = {
		.op = RWY_BLK_OP_DISCARD,
		.sector = 100,
		.nr_sect = CAPACITY_SECT - 100,
		.flag = BLKIF_DISCARD_SECURE,
		.cookie = (void *)(uintptr_t)3,
	};
	struct rwy_blk_request got;

	ck_assert_int_eq(rwy_blkfront_put_request(&bf, &request), -EOPNOTSUPP);
	ck_assert_int_eq(rwy_blkfront_set_limits(&bf, &limits), 0);
	ck_assert_int_eq(rwy_blkfront_put_request(&bf, &request), 0);
	request.nr_sect++;
	ck_assert_int_eq(rwy_blkfront_put_request(&bf, &request), -EINVAL);
	rwy_blkfront_push(&bf);
	back_take(&got);
	ck_assert_int_eq(got.op, RWY_BLK_OP_DISCARD);
	ck_assert_uint_eq(got.sector, 100);
	ck_assert_uint_eq(got.nr_sect, CAPACITY_SECT - 100);
	ck_assert_uint_eq(got.flag, BLKIF_DISCARD_SECURE);
	ck_assert_uint_eq(got.nr_segs, 0);
	back_answer(got.id, BLKIF_OP_DISCARD, BLKIF_RSP_OKAY);
	expect_completion(3, 0);
}
END_TEST

START_TEST(requests_out_of_bounds_are_refused_here)
{
	struct rwy_blkfront_request request = request_of(RWY_BLK_OP_READ, 0, 1);

	ck_assert_int_eq(put(RWY_BLK_OP_READ, CAPACITY_SECT - 7, 1), -EINVAL);
	ck_assert_int_eq(put(RWY_BLK_OP_READ, UINT64_MAX, 1), -EINVAL);
	ck_assert_int_eq(put(RWY_BLK_OP_INDIRECT, 0, 1), -EOPNOTSUPP);
	ck_assert_int_eq(put(RWY_BLK_OP_BARRIER, 0, 1), -EOPNOTSUPP);
	request.nr_segs = 0;
	ck_assert_int_eq(rwy_blkfront_put_request(&bf, &request), -EINVAL);
	request.nr_segs = RWY_BLK_MAX_DIRECT_SEGS + 1;
	ck_assert_int_eq(rwy_blkfront_put_request(&bf, &request), -EINVAL);
	request = request_of(RWY_BLK_OP_READ, 0, 1);
	request.seg[0].last_sect = 8;
	ck_assert_int_eq(rwy_blkfront_put_request(&bf, &request), -EINVAL);
	set_limits(true);
	ck_assert_int_eq(put(RWY_BLK_OP_WRITE, 0, 1), -EROFS);
	ck_assert_int_eq(put(RWY_BLK_OP_READ, 0, 1), 0);
	ck_assert_uint_eq(bf.nr_outstanding, 1);
}
END_TEST

START_TEST(full_ring_says_so_and_recovers)
{
	struct rwy_blk_request got;
	uint32_t n = rwy_blkfront_slots(1), i;

	for (i = 0; i < n; i++)
		ck_assert_int_eq(put(RWY_BLK_OP_READ, i, i + 1), 0);
	ck_assert_int_eq(put(RWY_BLK_OP_READ, 0, 99), -ENOSPC);
	rwy_blkfront_push(&bf);
	back_take(&got);
	back_answer(got.id, got.wire_op, BLKIF_RSP_OKAY);
	ck_assert_int_eq(put(RWY_BLK_OP_READ, 0, 99), -ENOSPC);
	expect_completion(1, 0);
	ck_assert_int_eq(put(RWY_BLK_OP_READ, 0, 99), 0);
	ck_assert_int_eq(put(RWY_BLK_OP_READ, 0, 99), -ENOSPC);
}
END_TEST

/* Answers come back in any order; each cookie once, with the status of its own request. */
START_TEST(every_completion_is_right_whatever_the_order)
{
	static struct rwy_blk_request got[RWY_BLKFRONT_MAX_TAGS];
	static const int16_t wire[] = {BLKIF_RSP_OKAY, BLKIF_RSP_ERROR, BLKIF_RSP_EOPNOTSUPP, 7};
	static const int want[] = {0, -EIO, -EOPNOTSUPP, -EIO};
	uint32_t n, i, round;

	setup_pages(2);
	n = rwy_blkfront_slots(2);
	for (round = 0; round < 50; round++) {
		for (i = 0; i < n; i++)
			ck_assert_int_eq(put(i % 3 ? RWY_BLK_OP_READ : RWY_BLK_OP_FLUSH, i, i + 1),
					 0);
		rwy_blkfront_push(&bf);
		for (i = 0; i < n; i++)
			back_take(&got[i]);
		for (i = 0; i < n; i++) {
			uint32_t k = (i * 37 + round) % n;

			back_answer(got[k].id, got[k].wire_op, wire[k % 4]);
			expect_completion(k + 1, want[k % 4]);
		}
		ck_assert_int_eq(rwy_blkfront_arm(&bf, 1), 0);
	}
	ck_assert_uint_eq(bf.nr_outstanding, 0);
}
END_TEST

START_TEST(indexes_wrap_at_2_32)
{
	volatile struct rwy_sring *sring = (volatile struct rwy_sring *)(void *)pages;
	uint32_t start = UINT32_MAX - 40, i;
	struct rwy_blk_request got;

	bf.ring.req_prod = bf.ring.req_pushed = bf.ring.rsp_seen = bf.ring.rsp_cons = start;
	sring->req_prod = sring->rsp_prod = start;
	sring->req_event = sring->rsp_event = start + 1;
	ck_assert_int_eq(
		rwy_ring_back_attach(&back, pages, 1, rwy_blk_slot_bytes(RWY_BLK_ABI_NATIVE)), 0);
	for (i = 0; i < 100; i++) {
		ck_assert_int_eq(put(RWY_BLK_OP_READ, i, i + 1), 0);
		rwy_blkfront_push(&bf);
		back_take(&got);
		ck_assert_int_eq(rwy_ring_back_arm(&back, 1), 0);
		ck_assert_uint_eq(got.sector, i);
		back_answer(got.id, got.wire_op, BLKIF_RSP_OKAY);
		expect_completion(i + 1, 0);
		ck_assert_int_eq(rwy_blkfront_arm(&bf, 1), 0);
	}
	ck_assert_uint_eq(notified, 100);
	ck_assert_uint_lt(sring->req_prod, 100);
}
END_TEST

START_TEST(arm_tells_of_responses_that_slipped_in)
{
	struct rwy_blkfront_completion c;
	struct rwy_blk_request got;

	ck_assert_int_eq(put(RWY_BLK_OP_READ, 0, 1), 0);
	rwy_blkfront_push(&bf);
	back_take(&got);
	ck_assert_int_eq(rwy_blkfront_take_completion(&bf, &c), 0);
	back_answer(got.id, got.wire_op, BLKIF_RSP_OKAY);
	ck_assert_int_eq(rwy_blkfront_arm(&bf, 1), 1);
	expect_completion(1, 0);
	ck_assert_int_eq(rwy_blkfront_arm(&bf, 1), 0);
}
END_TEST

/* A hostile backend: one request outstanding, one response that must break the device. */
struct lie {
	const char *name;
	uint64_t id_xor; /* what is flipped in the id */
	int op_add;
	enum rwy_blkfront_fault fault;
};

static const struct lie lies[] = {
	{"id just past the table", 32, 0, RWY_BLKFRONT_BAD_TAG},
	{"id with the largest tag", 0xffff, 0, RWY_BLKFRONT_BAD_TAG},
	{"tag that is free", 3, 0, RWY_BLKFRONT_NOT_OUTSTANDING},
	{"our tag with another serial", 1ull << 16, 0, RWY_BLKFRONT_NOT_OUTSTANDING},
	{"our tag with another high bit", 1ull << 63, 0, RWY_BLKFRONT_NOT_OUTSTANDING},
	{"next operation", 0, 1, RWY_BLKFRONT_WRONG_OP},
	{"indirect operation", 0, BLKIF_OP_INDIRECT, RWY_BLKFRONT_WRONG_OP},
	{"no operation", 0, 0xff, RWY_BLKFRONT_WRONG_OP},
};

START_TEST(lying_response_breaks_the_device)
{
	const struct lie *lie = &lies[_i];
	struct rwy_blk_request got;

	ck_assert_int_eq(put(RWY_BLK_OP_READ, 0, 1), 0);
	rwy_blkfront_push(&bf);
	back_take(&got);
	back_answer(got.id ^ lie->id_xor, (uint8_t)(got.wire_op + lie->op_add), BLKIF_RSP_OKAY);
	expect_broken(lie->fault);
	ck_assert_msg(bf.nr_outstanding == 1, "%s", lie->name);
}
END_TEST

/* An id is 0 when its tag is free: a response with id 0 must not match that. */
START_TEST(id_zero_matches_no_free_tag)
{
	struct rwy_blk_request got;

	ck_assert_int_eq(put(RWY_BLK_OP_READ, 0, 1), 0);
	ck_assert_int_eq(put(RWY_BLK_OP_READ, 0, 2), 0);
	rwy_blkfront_push(&bf);
	back_take(&got);
	back_answer(got.id, got.wire_op, BLKIF_RSP_OKAY);
	expect_completion(1, 0);
	back_take(&got);
	back_answer(0, BLKIF_OP_READ, BLKIF_RSP_OKAY);
	expect_broken(RWY_BLKFRONT_NOT_OUTSTANDING);
}
END_TEST

START_TEST(second_response_to_a_request_breaks_the_device)
{
	struct rwy_blk_request got, other;

	ck_assert_int_eq(put(RWY_BLK_OP_READ, 0, 1), 0);
	ck_assert_int_eq(put(RWY_BLK_OP_READ, 8, 2), 0);
	rwy_blkfront_push(&bf);
	back_take(&got);
	back_take(&other);
	back_answer(got.id, got.wire_op, BLKIF_RSP_OKAY);
	back_answer(got.id, got.wire_op, BLKIF_RSP_OKAY);
	expect_completion(1, 0);
	expect_broken(RWY_BLKFRONT_NOT_OUTSTANDING);
}
END_TEST

/* The same, once the tag is in use again: the second answer is not the newer request's. */
START_TEST(late_response_is_not_taken_for_the_tags_next_user)
{
	struct rwy_blk_request got, newer;

	ck_assert_int_eq(put(RWY_BLK_OP_READ, 0, 1), 0);
	rwy_blkfront_push(&bf);
	back_take(&got);
	back_answer(got.id, got.wire_op, BLKIF_RSP_OKAY);
	expect_completion(1, 0);
	ck_assert_int_eq(put(RWY_BLK_OP_READ, 8, 2), 0);
	rwy_blkfront_push(&bf);
	back_take(&newer);
	ck_assert_uint_eq(newer.id & 0xffff, got.id & 0xffff);
	back_answer(got.id, got.wire_op, BLKIF_RSP_OKAY);
	expect_broken(RWY_BLKFRONT_NOT_OUTSTANDING);
}
END_TEST

static const uint32_t jumps[] = {2, 33, 0x80000000u, UINT32_MAX};

START_TEST(response_index_jump_breaks_the_device)
{
	volatile struct rwy_sring *sring = (volatile struct rwy_sring *)(void *)pages;

	ck_assert_int_eq(put(RWY_BLK_OP_READ, 0, 1), 0);
	rwy_blkfront_push(&bf);
	sring->rsp_prod = jumps[_i];
	if (_i % 2)
		ck_assert_int_eq(rwy_blkfront_arm(&bf, 1), -EPROTO);
	expect_broken(RWY_BLKFRONT_RING_OVERRUN);
}
END_TEST

START_TEST(response_to_an_unpublished_request_breaks_the_device)
{
	volatile struct rwy_sring *sring = (volatile struct rwy_sring *)(void *)pages;

	ck_assert_int_eq(put(RWY_BLK_OP_READ, 0, 1), 0);
	sring->rsp_prod = 1;
	expect_broken(RWY_BLKFRONT_RING_OVERRUN);
}
END_TEST

START_TEST(abandoned_requests_are_handed_back_once_even_when_broken)
{
	volatile struct rwy_sring *sring = (volatile struct rwy_sring *)(void *)pages;
	struct rwy_blkfront_completion c;
	uint32_t i, seen = 0;

	for (i = 0; i < 5; i++)
		ck_assert_int_eq(put(RWY_BLK_OP_READ, 0, i), 0);
	rwy_blkfront_push(&bf);
	sring->rsp_prod = 6;
	expect_broken(RWY_BLKFRONT_RING_OVERRUN);
	while (rwy_blkfront_take_abandoned(&bf, &c)) {
		ck_assert_int_eq(c.status, -EIO);
		ck_assert_uint_lt((uintptr_t)c.cookie, 5);
		seen |= 1u << (uintptr_t)c.cookie;
	}
	ck_assert_uint_eq(seen, 0x1f);
	ck_assert_uint_eq(bf.nr_outstanding, 0);
	setup();
	ck_assert_int_eq(put(RWY_BLK_OP_READ, 0, 1), 0);
}
END_TEST

START_TEST(every_fault_has_a_text)
{
	int fault;

	for (fault = 0; fault < RWY_BLKFRONT_NR_FAULTS; fault++)
		ck_assert_ptr_nonnull(rwy_blkfront_fault_text((enum rwy_blkfront_fault)fault));
	ck_assert_str_eq(rwy_blkfront_fault_text((enum rwy_blkfront_fault) - 1), "unknown fault");
}
END_TEST

static Suite *blkfront_suite(void)
{
	Suite *suite = suite_create("blkfront");
	TCase *honest = tcase_create("honest backend");
	TCase *hostile = tcase_create("hostile backend");

	tcase_add_checked_fixture(honest, setup, teardown);
	tcase_add_test(honest, init_refuses_what_breaks_a_bound);
	tcase_add_test(honest, nothing_is_sent_before_the_limits_are_known);
	tcase_add_test(honest, requests_reach_the_backend_as_given);
	tcase_add_test(honest, discards_reach_a_backend_that_offers_them);
	tcase_add_test(honest, requests_out_of_bounds_are_refused_here);
	tcase_add_test(honest, full_ring_says_so_and_recovers);
	tcase_add_test(honest, every_completion_is_right_whatever_the_order);
	tcase_add_test(honest, indexes_wrap_at_2_32);
	tcase_add_test(honest, arm_tells_of_responses_that_slipped_in);
	tcase_add_test(honest, every_fault_has_a_text);
	suite_add_tcase(suite, honest);
	tcase_add_checked_fixture(hostile, setup, teardown);
	tcase_add_loop_test(hostile, lying_response_breaks_the_device, 0,
			    (int)(sizeof(lies) / sizeof(lies[0])));
	tcase_add_test(hostile, id_zero_matches_no_free_tag);
	tcase_add_test(hostile, second_response_to_a_request_breaks_the_device);
	tcase_add_test(hostile, late_response_is_not_taken_for_the_tags_next_user);
	tcase_add_loop_test(hostile, response_index_jump_breaks_the_device, 0,
			    (int)(sizeof(jumps) / sizeof(jumps[0])));
	tcase_add_test(hostile, response_to_an_unpublished_request_breaks_the_device);
	tcase_add_test(hostile, abandoned_requests_are_handed_back_once_even_when_broken);
	suite_add_tcase(suite, hostile);
	return suite;
}

CHECK_MAIN(blkfront_suite)
