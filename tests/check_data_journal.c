// SPDX-License-Identifier: MIT
/*
 * The journal of a queue: what is found in one that another process has left, what is refused, and
 * what becomes of requests that are done again in a device. Each moment at which one can be left is
 * in check_data_crash.c. On the fake Xen of data_world.h.
 */
#include "tests/data_device.h"

#define NR_SLOTS 32u
#define BYTES	 (JOURNAL_HEADER_BYTES + NR_SLOTS * JOURNAL_ENTRY_BYTES)

/* The file that control made, and what is in it. */
static int file;
static struct journal_header *left;
static struct journal_entry *entry;
static struct guest guest;
static const char *what;

static void open_file(void)
{
	setup();
	guest_init(&guest, 0, 1, 1);
	file = world_journal(1, RWY_BLK_ABI_NATIVE);
	left = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ck_assert_ptr_ne(left, MAP_FAILED);
	entry = (struct journal_entry *)(left + 1);
}

static void close_file(void)
{
	munmap(left, BYTES);
	close(file);
	teardown();
}

static void leave_entry(uint32_t nr, enum journal_entry_state state, uint32_t rsp_index,
			uint32_t req_index)
{
	entry[nr].word = (uint64_t)state << 32 | rsp_index;
	entry[nr].req_index = req_index;
}

/* Two to be done again, one of them since long; one answered, one answered and not published, and
 * one that was never taken. */
static void leave(uint32_t start)
{
	memset(entry, 0, NR_SLOTS * sizeof(*entry));
	left->version = JOURNAL_VERSION;
	left->nr_entries = NR_SLOTS;
	left->entry_bytes = JOURNAL_ENTRY_BYTES;
	left->state = JOURNAL_LIVE;
	left->req_cons = start + 40;
	left->rsp_intended = start + 38;
	left->rsp_committed = start + 37;
	left->lost = 0;
	leave_entry(3, JOURNAL_TAKEN, 0, start + 39);
	leave_entry(7, JOURNAL_ANSWERED, start + 37, start + 36);
	leave_entry(8, JOURNAL_TAKEN, 0, start - 1000);
	leave_entry(31, JOURNAL_TAKEN, 0, start + 40);
	((struct rwy_sring *)world.page[0])->rsp_prod = start + 38;
}

/* Open and attach; what was found is in *ring and *backlog. */
static int find(struct rwy_ring_back *ring, struct journal_backlog *backlog)
{
	struct journal journal;
	int err = journal_open(&journal, file, NR_SLOTS, &what);

	if (err)
		return err;
	err = journal_attach(&journal, ring, world.page[0], 1, 112, backlog, &what);
	journal_close(&journal);
	return err;
}

static const uint32_t starts[] = {0, 1000, UINT32_MAX, 0u - 40, 0u - 38, 1u << 31};

START_TEST(journal_finds_what_is_to_be_done_again)
{
	struct rwy_ring_back ring;
	struct journal_backlog backlog;

	leave(starts[_i]);
	/* And once more: what was found is what is found. */
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(find(&ring, &backlog), 0);
		ck_assert_uint_eq(ring.req_cons, starts[_i] + 40);
		ck_assert_uint_eq(ring.rsp_pushed, starts[_i] + 38);
		ck_assert_uint_eq(backlog.nr, 2);
		ck_assert_uint_eq(backlog.entry[0], 8);
		ck_assert_uint_eq(backlog.entry[1], 3);
		ck_assert_uint_eq(left->rsp_intended, starts[_i] + 38);
		ck_assert_uint_eq(left->rsp_committed, starts[_i] + 38);
		ck_assert(journal_is_free(&entry[7]));
		ck_assert(journal_is_free(&entry[31]));
	}
}
END_TEST

START_TEST(journal_does_again_what_was_answered_and_not_published)
{
	struct rwy_ring_back ring;
	struct journal_backlog backlog;

	leave(starts[_i]);
	((struct rwy_sring *)world.page[0])->rsp_prod = starts[_i] + 37;
	ck_assert_int_eq(find(&ring, &backlog), 0);
	ck_assert_uint_eq(ring.rsp_pushed, starts[_i] + 37);
	ck_assert_uint_eq(backlog.nr, 3);
	ck_assert_uint_eq(backlog.entry[0], 8);
	ck_assert_uint_eq(backlog.entry[1], 7);
	ck_assert_uint_eq(backlog.entry[2], 3);
	ck_assert_uint_eq(entry[7].word, (uint64_t)JOURNAL_TAKEN << 32);
}
END_TEST

static void damage(int kind)
{
	switch (kind) {
	case 0:
		leave_entry(9, (enum journal_entry_state)3, 0, 39);
		break;
	case 1:
		leave_entry(9, JOURNAL_FREE, 1, 0);
		break;
	case 2:
		leave_entry(3, JOURNAL_TAKEN, 1, 39);
		break;
	case 3: /* a response to a request that was not taken */
		leave_entry(7, JOURNAL_ANSWERED, 37, 40);
		break;
	case 4: /* responses that were not given, and one that was long ago */
		leave_entry(7, JOURNAL_ANSWERED, 40, 36);
		break;
	case 5:
		leave_entry(7, JOURNAL_ANSWERED, 38 - 33, 36);
		break;
	case 6: /* one too many */
		leave_entry(9, JOURNAL_TAKEN, 0, 38);
		break;
	case 7: /* one too few */
		leave_entry(3, JOURNAL_FREE, 0, 39);
		break;
	case 8: /* the same in two entries */
		leave_entry(3, JOURNAL_TAKEN, 0, 0u - 1000);
		break;
	case 9:
		left->req_cons += NR_SLOTS;
		break;
	case 10:
		left->rsp_intended = 41;
		break;
	case 11:
		left->rsp_committed = 39;
		break;
	case 12:
		left->state = 2;
		break;
	case 13:
		left->lost = 1;
		break;
	case 14:
		left->lost = -4096;
		break;
	}
}

#define KINDS_OF_DAMAGE 15

START_TEST(journal_refuses_what_is_damaged)
{
	struct rwy_ring_back ring;
	struct journal_backlog backlog;
	char before[BYTES];

	leave(0);
	damage(_i);
	memcpy(before, left, BYTES);
	ck_assert_int_eq(find(&ring, &backlog), -EBADMSG);
	ck_assert_str_eq(what, "the ring's journal is damaged");
	ck_assert_mem_eq(left, before, BYTES);
}
END_TEST

START_TEST(journal_refuses_a_ring_that_it_does_not_know)
{
	struct rwy_ring_back ring;
	struct journal_backlog backlog;

	leave(0);
	((struct rwy_sring *)world.page[0])->rsp_prod = 39;
	ck_assert_int_eq(find(&ring, &backlog), -EPROTO);
	ck_assert_ptr_nonnull(strstr(what, "rsp_prod"));
}
END_TEST

START_TEST(journal_refuses_a_file_that_is_none)
{
	struct journal journal;

	ck_assert_int_eq(journal_open(&journal, -1, NR_SLOTS, &what), -EINVAL);
	ck_assert_int_eq(journal_open(&journal, file, NR_SLOTS * 2, &what), -EINVAL);
	ck_assert_int_eq(journal_open(&journal, file, 1u << 31, &what), -EINVAL);
	ck_assert_int_eq(journal_open(&journal, world.fd[0], NR_SLOTS, &what), -EINVAL);
	left->nr_entries = NR_SLOTS * 2; /* but the file is no longer for it */
	ck_assert_int_eq(journal_open(&journal, file, NR_SLOTS * 2, &what), -EINVAL);
	left->nr_entries = JOURNAL_MAX_ENTRIES * 2;
	ck_assert_int_eq(ftruncate(file, (off_t)journal_file_bytes(JOURNAL_MAX_ENTRIES * 2)), 0);
	ck_assert_int_eq(journal_open(&journal, file, JOURNAL_MAX_ENTRIES * 2, &what), -EINVAL);
	left->nr_entries = NR_SLOTS / 2;
	ck_assert_int_eq(journal_open(&journal, file, NR_SLOTS, &what), -EINVAL);
	left->nr_entries = NR_SLOTS;
	left->entry_bytes = 64;
	ck_assert_int_eq(journal_open(&journal, file, NR_SLOTS, &what), -EINVAL);
	left->entry_bytes = JOURNAL_ENTRY_BYTES;
	left->magic = 0; /* control did not get as far */
	ck_assert_int_eq(journal_open(&journal, file, NR_SLOTS, &what), -EINVAL);
	left->magic = JOURNAL_MAGIC;
	ck_assert_int_eq(journal_open(&journal, file, NR_SLOTS, &what), 0);
	journal_close(&journal);
}
END_TEST

/* Of what its entries are, nothing is known. */
static void leave_another_version(void)
{
	leave(0);
	memset(entry, 0xa5, NR_SLOTS * sizeof(*entry));
	left->version = JOURNAL_VERSION + 1;
	left->entry_bytes = 64;
	left->nr_entries = 64;
	left->lost = -EIO;
	left->rsp_intended = left->rsp_committed = 40;
	((struct rwy_sring *)world.page[0])->rsp_prod = 40;
}

START_TEST(journal_of_another_version_is_gone_on_with_when_idle)
{
	struct rwy_ring_back ring;
	struct journal_backlog backlog;

	leave_another_version();
	ck_assert_int_eq(find(&ring, &backlog), 0);
	ck_assert_uint_eq(ring.req_cons, 40);
	ck_assert_uint_eq(ring.rsp_pushed, 40);
	ck_assert_uint_eq(backlog.nr, 0);
	ck_assert_uint_eq(left->version, JOURNAL_VERSION);
	ck_assert_int_eq(left->lost, -EIO);
	/* It is one of ours now. */
	ck_assert_int_eq(find(&ring, &backlog), 0);
	for (uint32_t i = 0; i < NR_SLOTS; i++)
		ck_assert(journal_is_free(&entry[i]));
}
END_TEST

START_TEST(journal_of_another_version_is_refused_with_requests_in_flight)
{
	struct rwy_ring_back ring;
	struct journal_backlog backlog;

	for (int i = 0; i < 3; i++) {
		leave_another_version();
		*(uint32_t *[]){&left->req_cons, &left->rsp_intended, &left->rsp_committed}[i] -= 1;
		ck_assert_int_eq(find(&ring, &backlog), -ENOTSUP);
		ck_assert_ptr_nonnull(strstr(what, "another version"));
	}
}
END_TEST

/* --- in a device */

static struct engine_ops by_hand;
static struct engine_io *held[128];
static uint32_t nr_held;

static void hold(struct engine *engine, struct engine_io *io)
{
	(void)engine;
	held[nr_held++] = io;
}

static void complete(uint32_t at)
{
	struct engine_io *io = held[at];

	held[at] = held[--nr_held];
	io->result = 0;
	io->done(io);
}

static struct blkback *attach_again(enum ctl_engine engine)
{
	struct ctl_attach msg = attach_message(&guest, engine);
	const struct blkback_files files = {file, engine == CTL_ENGINE_FILE ? disk : -1};
	char reason[CTL_REASON_BYTES] = "";
	struct blkback *dev;
	int err = blkback_attach(lane, &msg, &files, &owner, NULL, &dev, reason);

	ck_assert_msg(err == 0, "attach: %d, %s", err, reason);
	return dev;
}

static struct blkback *attach_by_hand(void)
{
	struct blkback *dev = attach_again(CTL_ENGINE_NULL);

	nr_held = 0;
	by_hand = *dev->engine->ops;
	by_hand.submit = hold;
	dev->engine->ops = &by_hand;
	return dev;
}

/* Its process is killed: nothing else happens to the device, and nobody gives back what it has. */
static LIST_HEAD(, blkback) killed = LIST_HEAD_INITIALIZER(killed);

static void kill_it(struct blkback *dev)
{
	LIST_INSERT_HEAD(&killed, dev, link);
	lane_unbind(lane, &dev->queue.task);
	journal_close(&dev->journal);
	world.mapped = 0;
}

static void rounds(void)
{
	for (int i = 0; i < 5; i++)
		round_of_lane();
}

static void put(enum rwy_blk_op op, uint64_t id, uint64_t sector)
{
	struct rwy_blk_request req =
		guest_request(op, id, sector, DATA + id % 32, op == RWY_BLK_OP_FLUSH ? 0 : 1);

	guest_put(&guest, &req);
	guest_push(&guest);
}

/* One request takes very long, and the others don't wait for it. */
START_TEST(slow_request_is_done_again_after_any_number_of_others)
{
	struct rwy_blk_response rsp;
	struct blkback *dev = attach_by_hand();

	put(RWY_BLK_OP_WRITE, 0, 0);
	rounds();
	for (uint64_t id = 1; id < 10 * NR_SLOTS; id++) {
		put(RWY_BLK_OP_WRITE, id, 8);
		rounds();
		complete(1);
		rounds();
		ck_assert(guest_take(&guest, &rsp));
		ck_assert_uint_eq(rsp.id, id);
	}
	kill_it(dev);
	dev = attach_by_hand();
	rounds();
	ck_assert_uint_eq(nr_held, 1);
	ck_assert_uint_eq(held[0]->offset_bytes, 0);
	complete(0);
	ck_assert_uint_eq(await(&guest).id, 0);
	detach(dev);
}
END_TEST

/* Those with an answer are not among them, refused or not. */
START_TEST(requests_are_done_again_before_new_ones)
{
	struct blkback *dev = attach_by_hand();

	put(RWY_BLK_OP_READ, 10, 8);
	put(RWY_BLK_OP_WRITE, 11, DISK_SECT); /* past the end */
	put(RWY_BLK_OP_FLUSH, 12, 0);
	ck_assert_uint_eq(await(&guest).id, 11);
	put(RWY_BLK_OP_WRITE, 13, 16);
	rounds();
	ck_assert_uint_eq(nr_held, 3);
	kill_it(dev);
	put(RWY_BLK_OP_WRITE, 14, 24);
	dev = attach_by_hand();
	ck_assert_uint_eq(dev->queue.in_flight, 3);
	rounds();
	ck_assert_uint_eq(nr_held, 4);
	ck_assert_int_eq(held[0]->op, ENGINE_READ);
	ck_assert_int_eq(held[1]->op, ENGINE_FLUSH);
	ck_assert_uint_eq(held[2]->offset_bytes, 16 * 512);
	ck_assert_uint_eq(held[3]->offset_bytes, 24 * 512);
	while (nr_held)
		complete(0);
	for (int i = 0; i < 4; i++)
		ck_assert_uint_ne(await(&guest).id, 11);
	detach(dev);
}
END_TEST

/* What only its journal entry still holds: the ring's slot is another's meanwhile. */
START_TEST(refused_request_is_refused_again)
{
	struct blkback *dev = attach_by_hand();

	put(RWY_BLK_OP_READ, 10, 8);
	rounds();
	kill_it(dev);
	entry[0].slot[0] = 0x77; /* no operation */
	memset(world.page[0] + RWY_RING_HEADER_BYTES, 0, 112);
	dev = attach_by_hand();
	struct rwy_blk_response rsp = await(&guest);

	ck_assert_uint_eq(rsp.id, 10);
	ck_assert_int_eq(rsp.status, BLKIF_RSP_EOPNOTSUPP);
	ck_assert_uint_eq(nr_held, 0);
	detach(dev);
}
END_TEST

#define NO_ANSWER 1

/* Four of five requests were taken by a predecessor; two buffers, so that they can't be started at
 * once. status: the answers' that come while the device leaves, by request. */
static void leave_with_five(bool for_good, int16_t status[5])
{

	teardown();
	open_lane(2); /* buffers, for fewer than there are */
	guest_init(&guest, 0, 1, 1);
	struct blkback *dev;

	for (uint32_t n = 0; n < 5; n++)
		put(RWY_BLK_OP_WRITE, n, n * 8);
	leave(0);
	left->req_cons = 4;
	left->rsp_intended = left->rsp_committed = 0;
	((struct rwy_sring *)world.page[0])->rsp_prod = 0;
	memset(entry, 0, NR_SLOTS * sizeof(*entry));
	for (uint32_t n = 0; n < 4; n++) {
		leave_entry(20 - n, JOURNAL_TAKEN, 0, n);
		memcpy(entry[20 - n].slot, world.page[0] + RWY_RING_HEADER_BYTES + n * 112, 112);
	}
	dev = attach_by_hand();
	for_good ? blkback_detach(dev) : blkback_leave(dev);
	for (uint32_t n = 0; n < 4; n++) {
		struct rwy_blk_response rsp;

		rounds();
		ck_assert_int_eq(nr_detached, 0);
		ck_assert_uint_eq(held[0]->offset_bytes, n * 4096);
		complete(0);
		rounds();
		while (guest_take(&guest, &rsp)) {
			ck_assert_uint_lt(rsp.id, 5);
			ck_assert_int_eq(status[rsp.id], NO_ANSWER);
			status[rsp.id] = rsp.status;
		}
		ck_assert_int_eq(status[n], BLKIF_RSP_OKAY);
	}
	ck_assert_int_eq(nr_detached, 1);
	for (uint32_t i = 0; i < NR_SLOTS; i++)
		ck_assert_uint_eq(entry[i].word, 0);
}

START_TEST(detach_answers_what_a_predecessor_took)
{
	int16_t status[5] = {NO_ANSWER, NO_ANSWER, NO_ANSWER, NO_ANSWER, NO_ANSWER};

	leave_with_five(true, status);
	ck_assert_int_eq(status[4], BLKIF_RSP_ERROR); /* not taken: refused */
	ck_assert_uint_eq(left->req_cons, 5);
	ck_assert_uint_eq(left->rsp_committed, 5);
}
END_TEST

START_TEST(leaving_answers_what_a_predecessor_took)
{
	int16_t status[5] = {NO_ANSWER, NO_ANSWER, NO_ANSWER, NO_ANSWER, NO_ANSWER};

	leave_with_five(false, status);
	ck_assert_int_eq(status[4], NO_ANSWER); /* not taken: for whoever comes next */
	ck_assert_uint_eq(left->req_cons, 4);
	ck_assert_uint_eq(left->rsp_committed, 4);
	detach(attach_again(CTL_ENGINE_NULL));
}
END_TEST

START_TEST(lost_writes_stay_lost)
{
	left->lost = -ENOSPC;
	struct blkback *dev = attach_again(CTL_ENGINE_FILE);

	ck_assert_int_eq(run_pages(&guest, RWY_BLK_OP_WRITE, 0, DATA, 1), BLKIF_RSP_OKAY);
	ck_assert_int_eq(run_pages(&guest, RWY_BLK_OP_FLUSH, 0, 0, 0), BLKIF_RSP_ERROR);
	detach(dev);
	ck_assert_int_eq(left->lost, -ENOSPC);
}
END_TEST

/* A broken ring's requests can't be answered, and the journal doesn't say that they were. */
START_TEST(broken_ring_leaves_its_requests_in_the_journal)
{
	struct rwy_sring *sring = (struct rwy_sring *)world.page[0];
	struct blkback *dev = attach_by_hand();

	put(RWY_BLK_OP_READ, 1, 8);
	rounds();
	sring->req_prod += 1000;
	world_kick(guest.port);
	rounds();
	ck_assert_int_eq(nr_broken, 1);
	complete(0);
	rounds();
	ck_assert_uint_eq(entry[0].word, (uint64_t)JOURNAL_TAKEN << 32);
	ck_assert_uint_eq(left->req_cons, 1);
	ck_assert_uint_eq(left->rsp_intended, 0);
	detach(dev);
}
END_TEST

static Suite *data_journal_suite(void)
{
	Suite *s = suite_create("data_journal");
	TCase *tc = tcase_create("found");

	tcase_add_checked_fixture(tc, open_file, close_file);
	tcase_add_loop_test(tc, journal_finds_what_is_to_be_done_again, 0, 6);
	tcase_add_loop_test(tc, journal_does_again_what_was_answered_and_not_published, 0, 6);
	tcase_add_loop_test(tc, journal_refuses_what_is_damaged, 0, KINDS_OF_DAMAGE);
	tcase_add_test(tc, journal_refuses_a_ring_that_it_does_not_know);
	tcase_add_test(tc, journal_refuses_a_file_that_is_none);
	tcase_add_test(tc, journal_of_another_version_is_gone_on_with_when_idle);
	tcase_add_test(tc, journal_of_another_version_is_refused_with_requests_in_flight);
	suite_add_tcase(s, tc);

	tc = tcase_create("device");
	tcase_add_checked_fixture(tc, open_file, close_file);
	tcase_add_test(tc, slow_request_is_done_again_after_any_number_of_others);
	tcase_add_test(tc, requests_are_done_again_before_new_ones);
	tcase_add_test(tc, refused_request_is_refused_again);
	tcase_add_test(tc, detach_answers_what_a_predecessor_took);
	tcase_add_test(tc, leaving_answers_what_a_predecessor_took);
	tcase_add_test(tc, lost_writes_stay_lost);
	tcase_add_test(tc, broken_ring_leaves_its_requests_in_the_journal);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(data_journal_suite)
