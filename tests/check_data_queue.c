// SPDX-License-Identifier: MIT
/*
 * What a queue lets the engine have at a time: so many reads and writes, and one flush, which those
 * that wait share; none is answered by a flush that began before it came. With an engine that the
 * test completes by hand, on the fake Xen of data_world.h.
 */
#include "tests/data_device.h"

#define NR_RING_PAGES 4u
#define NR_SLOTS      128u

static struct engine_io *held[128];
static enum engine_op held_op; /* all of them */
static unsigned int nr_held;
static struct engine_ops by_hand;

static void hold(struct engine *engine, struct engine_io *io)
{
	(void)engine;
	ck_assert_int_eq(io->op, held_op);
	held[nr_held++] = io;
}

static void complete(unsigned int n, int32_t result)
{
	held[n]->result = result;
	held[n]->done(held[n]);
	for (int i = 0; i < 5; i++)
		round_of_lane();
}

static struct blkback *attach_by_hand(struct guest *g, enum engine_op op)
{
	nr_held = 0;
	held_op = op;
	guest_init(g, 0, NR_RING_PAGES, 1);
	struct blkback *dev = attach(g, CTL_ENGINE_NULL);

	by_hand = *dev->engine->ops;
	by_hand.submit = hold;
	dev->engine->ops = &by_hand;
	return dev;
}

static void put_flushes(struct guest *g, uint64_t id, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		struct rwy_blk_request req = guest_request(RWY_BLK_OP_FLUSH, id + i, 0, 0, 0);

		guest_put(g, &req);
	}
	guest_push(g);
	for (int i = 0; i < 5; i++)
		round_of_lane();
}

/* The ids from first on are answered with this status, in whatever order, and nothing else is. */
static void expect_answers(struct guest *g, uint64_t first, unsigned int nr, int16_t status)
{
	struct rwy_blk_response rsp;
	uint64_t seen = 0;

	while (guest_take(g, &rsp)) {
		ck_assert_int_eq(rsp.status, status);
		ck_assert(rsp.id >= first && rsp.id < first + nr);
		seen |= 1ull << (rsp.id - first);
	}
	ck_assert_uint_eq(seen, (1ull << nr) - 1);
}

START_TEST(flushes_that_wait_share_the_next)
{
	struct guest g;
	struct blkback *dev = attach_by_hand(&g, ENGINE_FLUSH);

	put_flushes(&g, 100, 32);
	ck_assert_uint_eq(nr_held, 1);
	complete(0, 0);
	expect_answers(&g, 100, 1, BLKIF_RSP_OKAY);
	ck_assert_uint_eq(nr_held, 2);
	complete(1, 0);
	expect_answers(&g, 101, 31, BLKIF_RSP_OKAY);
	ck_assert_uint_eq(nr_held, 2);
	detach(dev);
}
END_TEST

START_TEST(flush_is_not_answered_by_one_that_began_before)
{
	struct guest g;
	struct blkback *dev = attach_by_hand(&g, ENGINE_FLUSH);

	put_flushes(&g, 100, 1);
	put_flushes(&g, 101, 2);
	complete(0, 0);
	expect_answers(&g, 100, 1, BLKIF_RSP_OKAY);
	put_flushes(&g, 103, 1);
	ck_assert_uint_eq(nr_held, 2);
	complete(1, 0);
	expect_answers(&g, 101, 2, BLKIF_RSP_OKAY);
	ck_assert_uint_eq(nr_held, 3);
	complete(2, 0);
	expect_answers(&g, 103, 1, BLKIF_RSP_OKAY);
	detach(dev);
}
END_TEST

START_TEST(failed_flush_fails_for_all_that_shared_it)
{
	struct guest g;
	struct blkback *dev = attach_by_hand(&g, ENGINE_FLUSH);

	put_flushes(&g, 100, 4);
	complete(0, 0);
	expect_answers(&g, 100, 1, BLKIF_RSP_OKAY);
	complete(1, -EIO);
	expect_answers(&g, 101, 3, BLKIF_RSP_ERROR);
	put_flushes(&g, 104, 1);
	complete(2, 0);
	expect_answers(&g, 104, 1, BLKIF_RSP_OKAY);
	detach(dev);
}
END_TEST

START_TEST(detach_waits_for_flushes_that_wait)
{
	struct guest g;
	struct blkback *dev = attach_by_hand(&g, ENGINE_FLUSH);

	put_flushes(&g, 100, 3);
	blkback_detach(dev);
	complete(0, 0);
	ck_assert_int_eq(nr_detached, 0);
	complete(1, 0);
	ck_assert_int_eq(nr_detached, 1);
	expect_answers(&g, 100, 3, BLKIF_RSP_OKAY);
}
END_TEST

START_TEST(engine_has_no_more_of_a_queue_than_its_share)
{
	struct guest g;
	struct blkback *dev = attach_by_hand(&g, ENGINE_READ);

	for (unsigned int i = 0; i < NR_SLOTS; i++) {
		struct rwy_blk_request req = guest_request(RWY_BLK_OP_READ, i, 0, NR_RING_PAGES, 1);

		guest_put(&g, &req);
	}
	guest_push(&g);
	for (int i = 0; i < 10; i++)
		round_of_lane();
	ck_assert_uint_eq(nr_held, DATA_UNDER_WAY);
	complete(5, 0);
	expect_answers(&g, 5, 1, BLKIF_RSP_OKAY);
	ck_assert_uint_eq(nr_held, DATA_UNDER_WAY + 1);
	for (unsigned int i = 0; i < NR_SLOTS; i++) {
		ck_assert_uint_lt(i, nr_held);
		if (i != 5)
			complete(i, 0);
	}
	ck_assert_uint_eq(nr_held, NR_SLOTS);
	detach(dev);
}
END_TEST

/* Buffers are not what limits anything here. */
static void open_wide_lane(void)
{
	open_lane(2 * NR_SLOTS);
}

static Suite *data_queue_suite(void)
{
	Suite *s = suite_create("data_queue");
	TCase *tc = tcase_create("share");

	tcase_add_checked_fixture(tc, open_wide_lane, teardown);
	tcase_add_test(tc, flushes_that_wait_share_the_next);
	tcase_add_test(tc, flush_is_not_answered_by_one_that_began_before);
	tcase_add_test(tc, failed_flush_fails_for_all_that_shared_it);
	tcase_add_test(tc, detach_waits_for_flushes_that_wait);
	tcase_add_test(tc, engine_has_no_more_of_a_queue_than_its_share);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(data_queue_suite)
