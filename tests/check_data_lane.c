// SPDX-License-Identifier: MIT
/*
 * How a lane shares itself out: turns of a bounded size, buffers that go round, events that come for
 * nothing. Devices on the fake Xen of data_world.h, and tasks of the test's own.
 */
#include "tests/data_device.h"

/* Answers are thrown away and as many new requests put: the ring is always full. */
static void keep_full(struct guest *g)
{
	struct rwy_blk_response rsp;

	while (guest_take(g, &rsp))
		;
	while (rwy_ring_front_free(&g->ring) > 0) {
		struct rwy_blk_request req = guest_request(RWY_BLK_OP_WRITE, 0, 0, DATA, 11);

		guest_put(g, &req);
	}
	guest_push(g);
}

START_TEST(blkback_cannot_be_starved_by_other_guests)
{
	struct guest flood[4], calm;
	struct blkback *dev[5];
	struct rwy_blk_response rsp;
	struct ctl_stats stats;

	/* With buffers for all, and with buffers for no more than one request. */
	teardown();
	open_lane(_i ? 1 : 512);
	for (uint32_t i = 0; i < 4; i++) {
		guest_init(&flood[i], i * 16, 16, i + 1);
		dev[i] = attach(&flood[i], CTL_ENGINE_NULL);
	}
	guest_init(&calm, 64, 1, 5);
	dev[4] = attach(&calm, CTL_ENGINE_NULL);
	for (int i = 0; i < 50; i++) {
		for (int k = 0; k < 4; k++)
			keep_full(&flood[k]);
		round_of_lane();
	}
	for (uint64_t id = 0; id < 20; id++) {
		struct rwy_blk_request req = guest_request(RWY_BLK_OP_READ, id, 0, DATA + 20, 1);
		int rounds = 0;

		guest_put(&calm, &req);
		guest_push(&calm);
		while (!guest_take(&calm, &rsp)) {
			for (int k = 0; k < 4; k++)
				keep_full(&flood[k]);
			round_of_lane();
			rounds++;
		}
		ck_assert_int_le(rounds, _i ? 16 : 3);
	}
	for (int i = 0; i < 4; i++) {
		blkback_stats(dev[i], &stats);
		/* Each got its share, in turns of a bounded size. */
		ck_assert_uint_gt(stats.write_requests, 10);
		ck_assert_uint_le(stats.in_flight, _i ? 1 : 2 * DATA_TURN_REQUESTS);
	}
	for (int i = 0; i < 5; i++)
		detach(dev[i]);
	ck_assert_uint_eq(lane->bufs.nr_free, lane->bufs.nr_bufs);
}
END_TEST

START_TEST(blkback_answers_bad_requests_without_end_in_bounded_turns)
{
	struct guest g;
	struct rwy_blk_request req = guest_request(RWY_BLK_OP_READ, 1, DISK_SECT, DATA, 1);
	uint32_t answered = 0;
	struct rwy_blk_response rsp;

	guest_init(&g, 0, 16, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_NULL);

	round_of_lane();
	for (int i = 0; i < 100; i++) {
		uint32_t n = 0;

		while (rwy_ring_front_free(&g.ring) > 0)
			guest_put(&g, &req);
		guest_push(&g);
		round_of_lane();
		while (guest_take(&g, &rsp))
			n++;
		ck_assert_uint_le(n, DATA_TURN_REQUESTS);
		answered += n;
	}
	ck_assert_uint_gt(answered, 90 * DATA_TURN_REQUESTS);
	detach(dev);
}
END_TEST

START_TEST(blkback_answers_many_completions_in_bounded_turns)
{
	struct guest g;
	struct rwy_sring *sring = (struct rwy_sring *)world.page[0];
	char bytes[100 * 512] = {0};
	uint32_t before;
	int target[2];

	teardown();
	open_lane(512);
	guest_init(&g, 0, 16, 1);
	ck_assert_int_eq(pipe(target), 0);
	struct ctl_attach msg = attach_message(&g, CTL_ENGINE_FILE);
	struct blkback *dev = attach_as(&msg, target[0]);

	close(target[0]);
	for (uint64_t id = 0; id < 100; id++) {
		struct rwy_blk_request req = guest_request(RWY_BLK_OP_READ, id, 0, DATA, 1);

		req.seg[0].last_sect = 0;
		guest_put(&g, &req);
	}
	guest_push(&g);
	while (dev->queue.in_flight < 100)
		round_of_lane();
	/* All complete before the first of them is answered. */
	ck_assert_int_eq(write(target[1], bytes, sizeof(bytes)), (int)sizeof(bytes));
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(uring_run(&lane->uring, 0), 0);
	do {
		before = sring->rsp_prod;
		round_of_lane();
		ck_assert_uint_le(sring->rsp_prod - before, DATA_TURN_REQUESTS);
	} while (sring->rsp_prod < 100);
	close(target[1]);
	detach(dev);
}
END_TEST

START_TEST(blkback_waits_for_a_buffer_without_spinning)
{
	struct guest g;
	char bytes[4096] = {0};
	int target[2];

	teardown();
	open_lane(1);
	guest_init(&g, 0, 1, 1);
	ck_assert_int_eq(pipe(target), 0);
	struct ctl_attach msg = attach_message(&g, CTL_ENGINE_FILE);
	struct blkback *dev = attach_as(&msg, target[0]);

	close(target[0]);
	for (uint64_t id = 0; id < 2; id++) {
		struct rwy_blk_request req = guest_request(RWY_BLK_OP_READ, id, 0, DATA, 1);

		guest_put(&g, &req);
	}
	guest_push(&g);
	for (int i = 0; i < 10; i++)
		round_of_lane();
	ck_assert_uint_eq(dev->queue.in_flight, 1);
	ck_assert_uint_eq(lane->queue[LANE_RUNNABLE].count, 0);
	ck_assert_uint_eq(lane->queue[LANE_WAITING].count, 1);
	for (uint64_t id = 0; id < 2; id++) {
		ck_assert_int_eq(write(target[1], bytes, sizeof(bytes)), (int)sizeof(bytes));
		ck_assert_uint_eq(await(&g).id, id);
	}
	close(target[1]);
	detach(dev);
}
END_TEST

/* Three tasks of the test's own. */
static void *held;
static uint32_t budget_of_late;

static enum lane_next waiting_turn(struct lane_task *task, uint32_t budget, uint32_t *taken)
{
	(void)task;
	(void)taken;
	return budget > 0 && lane->bufs.nr_free > 0 ? LANE_SLEEP : LANE_NO_BUFFER;
}

static enum lane_next freeing_turn(struct lane_task *task, uint32_t budget, uint32_t *taken)
{
	(void)task;
	(void)budget;
	(void)taken;
	gbuf_put(&lane->bufs, held);
	held = NULL;
	return LANE_SLEEP;
}

static enum lane_next late_turn(struct lane_task *task, uint32_t budget, uint32_t *taken)
{
	(void)task;
	(void)taken;
	budget_of_late = budget;
	return LANE_SLEEP;
}

START_TEST(lane_lets_nobody_overtake_those_who_wait_for_buffers)
{
	struct lane_task waiting = {.turn = waiting_turn}, freeing = {.turn = freeing_turn},
			 late = {.turn = late_turn};

	teardown();
	open_lane(1);
	held = gbuf_get(&lane->bufs);
	ck_assert_int_eq(lane_bind(lane, &waiting, WORLD_DOMID, 1), 0);
	round_of_lane();
	ck_assert_int_eq(waiting.place, LANE_WAITING);
	ck_assert_int_eq(lane_bind(lane, &freeing, WORLD_DOMID, 2), 0);
	ck_assert_int_eq(lane_bind(lane, &late, WORLD_DOMID, 3), 0);
	budget_of_late = 99;
	round_of_lane();
	ck_assert_uint_eq(budget_of_late, 0);
	round_of_lane();
	ck_assert_int_eq(waiting.place, LANE_ASLEEP);
	lane_wake(lane, &late);
	round_of_lane();
	ck_assert_uint_eq(budget_of_late, DATA_TURN_REQUESTS);
	lane_unbind(lane, &waiting);
	lane_unbind(lane, &freeing);
	lane_unbind(lane, &late);
}
END_TEST

START_TEST(lane_reads_no_event_that_is_gone)
{
	struct guest g;
	uint32_t port;

	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_NULL);

	round_of_lane();
	/* The completion says that there is an event; then the port's owner unbinds it, say. */
	world_kick(g.port);
	ck_assert_int_ge(io_uring_get_events(&lane->uring.ring), 0);
	ck_assert_uint_ge(io_uring_cq_ready(&lane->uring.ring), 1);
	ck_assert_int_eq(read(world.fd[0], &port, sizeof(port)), sizeof(port));
	round_of_lane(); /* data_world.h fails a read that would block */
	ck_assert_uint_eq(dev->queue.task.nr_events, 0);
	detach(dev);
}
END_TEST

START_TEST(lane_unmasks_late_after_events_for_nothing)
{
	struct guest g;
	uint32_t local = 1 + WORLD_PORT_BASE;
	uint32_t events = 0;

	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_NULL);

	/* No time passes: the storm dies down after a few. */
	for (int i = 0; i < 1000; i++) {
		world_kick(g.port);
		round_of_lane();
	}
	events = (uint32_t)dev->queue.task.nr_events;
	ck_assert_uint_le(events, DATA_SPURIOUS_EVENTS + 1);
	ck_assert(world.port[local].masked);
	/* Then one gets through for each delay. */
	world.now_ns += DATA_SPURIOUS_DELAY_NS;
	for (int i = 0; i < 10; i++)
		round_of_lane();
	ck_assert_uint_eq(dev->queue.task.nr_events, events + 1);
	/* An event that brings work makes good for all of them. */
	world.now_ns += DATA_SPURIOUS_DELAY_NS;
	ck_assert_int_eq(run_pages(&g, RWY_BLK_OP_READ, 0, DATA, 1), BLKIF_RSP_OKAY);
	for (int i = 0; i < 10; i++)
		round_of_lane();
	ck_assert(!world.port[local].masked);
	detach(dev);
}
END_TEST

START_TEST(lane_sleeps_no_longer_than_an_unmask_is_due)
{
	struct guest g;

	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_NULL);

	for (int i = 0; i < 20; i++) {
		world_kick(g.port);
		round_of_lane();
	}
	ck_assert_uint_eq(lane->queue[LANE_DELAYED].count, 1);
	/* Would wait for ever, and Check would end the test, if the delay did not end the wait. */
	ck_assert_int_eq(lane_round(lane, true), 0);
	detach(dev);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("data_lane");
	TCase *tc = tcase_create("turns");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, blkback_cannot_be_starved_by_other_guests, 0, 2);
	tcase_add_test(tc, blkback_answers_bad_requests_without_end_in_bounded_turns);
	tcase_add_test(tc, blkback_answers_many_completions_in_bounded_turns);
	tcase_add_test(tc, blkback_waits_for_a_buffer_without_spinning);
	tcase_add_test(tc, lane_lets_nobody_overtake_those_who_wait_for_buffers);
	tcase_add_test(tc, lane_reads_no_event_that_is_gone);
	tcase_add_test(tc, lane_unmasks_late_after_events_for_nothing);
	tcase_add_test(tc, lane_sleeps_no_longer_than_an_unmask_is_due);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
