// SPDX-License-Identifier: MIT
/*
 * The data process is killed at every store to its ring and its journal, while it attaches, takes
 * requests and answers them in every order, with the slot of one that is not answered used by
 * another, while it leaves or refuses what is left; and its successor, too. Whoever goes on does
 * again what has no answer, in the guest's order, and answers each once; the guest may have gone on
 * as well. With an engine that the test completes by hand, on the fake Xen of data_world.h.
 *
 * What this proves, and what not. The points at which it is killed are not written into the source,
 * where one could be forgotten: data_crash.h finds each instruction that stores to the two, in the
 * objects that the program is linked from, and a child process goes on from what was stored by
 * then. A process that is killed anywhere else left the same bytes as at one of these: of all that
 * it does between two stores nothing outlives it but I/O that it has handed to the kernel (engine
 * I/O is taken to be lost here or to have ended; that it may end late is the fence's: e2e/fence),
 * data copied to the guest's pages (which the guest may not look at before its answer), and an event
 * sent to the guest (each successor sends one, answered or not). Stores of another compiler or
 * architecture may come in another order: each build runs its own. One ring of one page, blkif's
 * native layout; those of more differ in nothing but numbers (check_data_journal).
 */
#include "tests/check_main.h"
#ifndef __x86_64__
int main(void)
{
	return 77; /* skipped: no single-stepping here */
}
#else
#include <sys/wait.h>
#include "tests/data_crash.h"

#define NR_SLOTS 32u
/* Request n is for block n and from page n, but for one that reads what another has written. */
#define SLOW	 0u	       /* outstanding from the start */
#define READER	 31u	       /* reads block 1 */
#define WRITER	 32u	       /* in the slot of the slow one */
#define NR_PUT	 (WRITER + 1u) /* requests of the scenario */
#define MAX_PUT	 (NR_PUT + 8u)
#define RANKS	 27 /* when each of the three completes: first, second, or third */

static struct guest guest;
static uint32_t first; /* index of the guest's first request */
static struct blkback *dev;
static struct engine_ops by_hand;
static struct engine_io *held[NR_SLOTS];
static uint32_t nr_held;
static char blocks[MAX_PUT][4096];
static uint32_t nr_put;
static uint32_t nr_answers[MAX_PUT];
static bool may_refuse, refused; /* the request WRITER */

/* The io_uring has nothing to do here, and is its parent's in a child. */
int io_uring_submit(struct io_uring *ring)
{
	(void)ring;
	return 0;
}

/* The engine begins only what a successor would know of. */
static void hold(struct engine *engine, struct engine_io *io)
{
	const struct request *req = io->owner;

	(void)engine;
	if (dev->journal.header->req_cons - req->entry->req_index - 1 >= INT32_MAX)
		ck_abort_msg("request %u was started before it counts", req->entry->req_index);
	held[nr_held++] = io;
}

static uint32_t number_of(const struct engine_io *io)
{
	return io->op == ENGINE_READ ? READER : (uint32_t)(io->offset_bytes / 4096);
}

static void complete(uint32_t n)
{
	for (uint32_t i = 0; i < nr_held; i++) {
		struct engine_io *io = held[i];
		char *block = blocks[io->offset_bytes / 4096];

		if (number_of(io) != n)
			continue;
		held[i] = held[--nr_held];
		if (io->op == ENGINE_READ)
			memcpy(io->iov->iov_base, block, 4096);
		else
			memcpy(block, io->iov->iov_base, 4096);
		io->result = 0;
		io->done(io);
		return;
	}
	ck_abort_msg("request %u is not in the engine", n);
}

static void rounds(void)
{
	for (int i = 0; i < 4; i++) {
		if (lane_round(lane, false))
			ck_abort_msg("the lane failed");
	}
}

/* Is the event asked for? */
static bool put(void)
{
	uint32_t n = nr_put++;
	struct rwy_blk_request req = guest_request(RWY_BLK_OP_WRITE, n, n * 8, DATA + n, 1);

	if (n == READER) {
		req.op = RWY_BLK_OP_READ;
		req.sector = 8;
	}
	memset(world.page[DATA + n], (int)(n * 5 + 1), 4096);
	guest_put(&guest, &req);
	bool asked = guest_push(&guest);

	if (dev)
		lane_wake(lane, &dev->queue.task);
	return asked;
}

static void collect_answers(void)
{
	struct rwy_blk_response rsp;

	while (guest_take(&guest, &rsp)) {
		bool refusal = rsp.id == WRITER && rsp.status == BLKIF_RSP_ERROR && may_refuse;

		if (rsp.id >= nr_put || (rsp.status != BLKIF_RSP_OKAY && !refusal) ||
		    nr_answers[rsp.id]++)
			ck_abort_msg("answer %d to request %lu", rsp.status, (long)rsp.id);
		refused |= refusal;
	}
}

static int try_attach_again(int journal)
{
	struct ctl_attach msg = attach_message(&guest, CTL_ENGINE_NULL);
	const struct blkback_files files = {.journal = journal, .target = -1};
	char reason[CTL_REASON_BYTES] = "";
	int err = blkback_attach(lane, &msg, &files, &owner, NULL, &dev, reason);

	if (err)
		return err;
	by_hand = *dev->engine->ops;
	by_hand.submit = hold;
	dev->engine->ops = &by_hand;
	return 0;
}

/* What is left of a process that was killed: nothing. It may have left before. */
static void abandon(void)
{
	if (dev) {
		lane_unbind(lane, &dev->queue.task);
		journal_close(&dev->journal);
	}
	world.mapped = 0;
	nr_held = 0;
	dev = NULL;
}

/* Whoever dies at any store but those that say so dies about this queue. */
static void expect_busy_at_each_store(void)
{
	const uint8_t idle = 0;
	const size_t busy_at =
		offsetof(struct crash_moment, journal) + offsetof(struct journal_header, busy);

	for (uint32_t i = 1; i < crash.nr; i++) {
		const uint8_t *m = (const uint8_t *)&crash.moment[i];
		const uint8_t *before = (const uint8_t *)&crash.moment[i - 1];

		if (m[busy_at] == before[busy_at] && m[busy_at] == idle)
			ck_abort_msg("store %u comes out of nowhere", i);
	}
}

/* Any other value than the two that the journal has breaks the ring, and changes nothing. A journal
 * that is not in force yet has none. */
static void expect_forgeries_refused(int journal)
{
	struct rwy_sring *sring = (struct rwy_sring *)crash.ring;
	struct journal_header *h = mmap(NULL, CRASH_BYTES, PROT_READ, MAP_SHARED, journal, 0);

	if (h->state != JOURNAL_LIVE || h->version != JOURNAL_VERSION)
		return;
	uint32_t right = sring->rsp_prod;
	uint8_t before[CRASH_BYTES];

	memcpy(before, h, sizeof(before));
	((struct journal_header *)before)->busy = 0;
	for (uint32_t forged = right - 3; forged != right + 4; forged++) {
		if (forged == h->rsp_intended || forged == h->rsp_committed)
			continue;
		sring->rsp_prod = forged;
		if (try_attach_again(journal) != -EPROTO || memcmp(before, h, sizeof(before)) != 0)
			ck_abort_msg("rsp_prod of %u instead of %u", forged, right);
	}
	sring->rsp_prod = right;
	munmap(h, CRASH_BYTES);
}

/* All without an answer are in the engine, in the guest's order, with the guest's data. */
static void expect_all_again(void)
{
	uint32_t next = 0;

	for (uint32_t n = 0; n < nr_put; n++) {
		if (nr_answers[n])
			continue;
		if (next == nr_held || number_of(held[next]) != n)
			ck_abort_msg("request %u is not done again, or not in its turn", n);
		if (n != READER &&
		    memcmp(held[next]->iov->iov_base, world.page[DATA + n], 4096) != 0)
			ck_abort_msg("request %u is done again with other data", n);
		next++;
	}
	ck_assert_uint_eq(next, nr_held);
}

static void expect_all_done(void)
{
	for (uint32_t n = 0; n < nr_put; n++) {
		ck_assert_uint_eq(nr_answers[n], 1);
		if (n != WRITER || !refused)
			ck_assert_mem_eq(world.page[DATA + n], blocks[n == READER ? 1 : n], 4096);
	}
	const struct journal_header *h = dev->journal.header;

	ck_assert_uint_eq(h->req_cons, first + nr_put);
	ck_assert_uint_eq(h->rsp_intended, first + nr_put);
	ck_assert_uint_eq(h->rsp_committed, first + nr_put);
	ck_assert_uint_eq(h->busy, 0);
	for (uint32_t i = 0; i < NR_SLOTS; i++)
		ck_assert(journal_is_free(&dev->journal.entry[i]));
}

/* Nobody serves the guest, which goes on as long as there is room in its ring. It reads no block before
 * what it has written there is answered. */
static void put_meanwhile(void)
{
	uint32_t nr_open = nr_put;

	for (uint32_t n = 0; n < nr_put; n++)
		nr_open -= nr_answers[n];
	for (; nr_open < NR_SLOTS && nr_put < MAX_PUT - 2; nr_open++) {
		if (nr_put == READER && !nr_answers[1])
			return;
		put();
	}
}

/* As its successor, from attach to detach. */
static void go_on(int journal, bool guest_goes_on)
{
	memset(world.page[DATA + READER], 0, nr_answers[READER] ? 0 : 4096);
	if (guest_goes_on)
		put_meanwhile();
	if (try_attach_again(journal))
		ck_abort_msg("the successor is refused");
	rounds();
	ck_assert_uint_ge(world.port[guest.port + WORLD_PORT_BASE].notified, 1);
	expect_all_again();
	while (nr_held)
		complete(number_of(held[nr_held / 2]));
	rounds();
	collect_answers();
	if (!put())
		ck_abort_msg("the successor asks for no event");
	rounds();
	complete(nr_put - 1);
	rounds();
	collect_answers();
	expect_all_done();
	detach(dev);
}

static void expect_child_succeeds(pid_t pid, uint32_t moment)
{
	int status;

	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(status == 0, "killed at store %u: %x", moment, (unsigned int)status);
}

/* One that is killed itself, at each of its own stores. */
static void watch_from_the_first_store(void)
{
	crash_watch(guest.ring_page);
}

static void die_again(int journal)
{
	world.on_map = watch_from_the_first_store;
	ck_assert_int_eq(try_attach_again(journal), 0);
	rounds();
	while (nr_held) {
		complete(number_of(held[nr_held - 1]));
		rounds();
	}
	crash_watch_end();
	world.on_map = NULL;
	expect_busy_at_each_store();
	for (uint32_t i = 0; i < crash.nr; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			abandon();
			journal = crash_restore(&crash.moment[i]);
			collect_answers();
			go_on(journal, i % 2);
			_exit(0);
		}
		expect_child_succeeds(pid, i);
	}
}

/* Go on in a child from each moment since crash_watch. */
static void go_on_from_each(bool twice)
{
	crash_watch_end();
	expect_busy_at_each_store();
	for (uint32_t i = 0; i < crash.nr; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			abandon();
			int journal = crash_restore(&crash.moment[i]);

			collect_answers();
			expect_forgeries_refused(journal);
			if (twice)
				die_again(journal);
			else
				go_on(journal, i % 2);
			_exit(0);
		}
		expect_child_succeeds(pid, i);
	}
	collect_answers();
}

static void rounds_to_die_in(bool twice)
{
	crash_watch(guest.ring_page);
	rounds();
	go_on_from_each(twice);
}

/* A ring that has been in use: it begins anywhere. */
static void begin_ring(uint32_t index)
{
	guest_init(&guest, 0, 1, 1);
	struct rwy_sring *sring = (struct rwy_sring *)world.page[guest.ring_page];

	first = index;
	sring->req_prod = sring->rsp_prod = index;
	sring->req_event = sring->rsp_event = index + 1;
	guest.ring.req_prod = guest.ring.req_pushed = index;
	guest.ring.rsp_seen = guest.ring.rsp_cons = index;
}

/* Up to the request before the reader all but the slow one are answered. The journal's file. */
static int begin(uint32_t index)
{
	begin_ring(index);
	int journal = world_journal(1, RWY_BLK_ABI_NATIVE);

	ck_assert_int_eq(try_attach_again(journal), 0);
	for (uint32_t n = 0; n < READER; n++)
		put();
	rounds();
	for (uint32_t n = SLOW + 1; n < READER; n++)
		complete(n);
	rounds();
	collect_answers();
	return journal;
}

static void take_both(bool at_once, bool twice)
{
	put();
	if (!at_once)
		rounds_to_die_in(twice);
	put();
	rounds_to_die_in(twice);
}

/* Those of a rank complete together, in this order or the other. */
static void complete_rank(const int *rank, int which, bool backwards)
{
	static const uint32_t number[] = {SLOW, READER, WRITER};

	for (int i = 0; i < 3; i++) {
		int at = backwards ? 2 - i : i;

		if (rank[at] == which)
			complete(number[at]);
	}
}

static bool is_an_order(const int *rank)
{
	bool used[3] = {false};

	for (int i = 0; i < 3; i++)
		used[rank[i]] = true;
	return used[0] && (used[1] || !used[2]);
}

static void kill_in_this_order(int order, bool at_once, bool backwards, bool twice)
{
	const int rank[] = {order % 3, order / 3 % 3, order / 9};

	if (!is_an_order(rank))
		return;
	close(begin(order % 2 ? 0u - WRITER : 0));
	take_both(at_once, twice);
	for (int which = 0; which < 3; which++) {
		complete_rank(rank, which, backwards);
		rounds_to_die_in(twice);
	}
	expect_all_done();
	detach(dev);
}

START_TEST(journal_goes_on_from_every_store)
{
	kill_in_this_order(_i % RANKS, _i / RANKS & 1, _i / RANKS & 2, false);
}
END_TEST

/* All three answered together, and one after the other; the successor answers them one after the
 * other, from the last. */
START_TEST(journal_goes_on_from_every_store_of_a_successor)
{
	static const int order[] = {0, 2 + 3};

	kill_in_this_order(order[_i / 2], true, _i % 2, true);
}
END_TEST

static void pwrite_u32(int fd, uint32_t value, off_t at)
{
	ck_assert_int_eq(pwrite(fd, &value, sizeof(value), at), sizeof(value));
}

/* What the parent has in its engine ends as well. */
static void detach_by_hand(void)
{
	while (nr_held)
		complete(number_of(held[0]));
	rounds();
	collect_answers();
	detach(dev);
}

static void attach_and_die_in_it(int journal)
{
	world.on_map = watch_from_the_first_store;
	ck_assert_int_eq(try_attach_again(journal), 0);
	close(journal);
	rounds();
	world.on_map = NULL;
	go_on_from_each(false);
	detach_by_hand();
}

/* The first attach to a ring that has requests in it, and their taking. */
START_TEST(journal_goes_on_from_every_store_of_the_first_attach)
{
	begin_ring(_i ? 0u - 2 : 0);
	for (int n = 0; n < 4; n++)
		put();
	int journal = world_journal(1, RWY_BLK_ABI_NATIVE);

	attach_and_die_in_it(journal);
}
END_TEST

static void make_another_version(int journal)
{
	const off_t word_at = JOURNAL_HEADER_BYTES + offsetof(struct journal_entry, word);

	for (off_t i = 0; i < (off_t)NR_SLOTS; i++)
		pwrite_u32(journal, 0xa5a5a5a5, word_at + i * JOURNAL_ENTRY_BYTES);
	pwrite_u32(journal, JOURNAL_VERSION + 1, offsetof(struct journal_header, version));
	pwrite_u32(journal, 64, offsetof(struct journal_header, nr_entries));
	pwrite_u32(journal, 64, offsetof(struct journal_header, entry_bytes));
}

/* An idle one of another version is made one of this. */

START_TEST(journal_goes_on_from_every_store_of_its_adoption)
{
	int journal = begin(_i ? 0u - WRITER : 0);

	complete(SLOW);
	rounds();
	collect_answers();
	blkback_leave(dev);
	rounds();
	ck_assert_int_eq(nr_detached, 1);
	dev = NULL;
	make_another_version(journal);
	put();
	put();
	attach_and_die_in_it(journal);
}
END_TEST

/* The end: an orderly one, or for good, in which WRITER, not taken, is refused. */
static void end_and_die_in_it(bool for_good, bool twice)
{
	crash_watch(guest.ring_page);
	may_refuse = for_good;
	for_good ? blkback_detach(dev) : blkback_leave(dev);
	rounds();
	complete(READER);
	rounds();
	complete(SLOW);
	rounds();
	ck_assert_int_eq(nr_detached, 1);
	dev = NULL;
	go_on_from_each(twice);
}

START_TEST(journal_goes_on_from_every_store_of_the_end)
{
	close(begin(0u - WRITER));
	put();
	rounds();
	put();
	end_and_die_in_it(_i & 1, _i & 2);
}
END_TEST

/* It leaves before it has begun with what its predecessor had taken. */
START_TEST(journal_goes_on_from_every_store_of_a_successor_s_end)
{
	int journal = begin(0);

	put();
	rounds();
	pid_t pid = fork();

	if (pid == 0) {
		abandon();
		put();
		ck_assert_int_eq(try_attach_again(journal), 0);
		end_and_die_in_it(_i, false);
		_exit(0);
	}
	expect_child_succeeds(pid, 0);
	close(journal);
	detach_by_hand();
}
END_TEST

static Suite *data_crash_suite(void)
{
	Suite *s = suite_create("data_crash");
	TCase *tc = tcase_create("kills");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, journal_goes_on_from_every_store, 0, RANKS * 4);
	tcase_add_loop_test(tc, journal_goes_on_from_every_store_of_a_successor, 0, 4);
	suite_add_tcase(s, tc);

	tc = tcase_create("ends");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, journal_goes_on_from_every_store_of_the_first_attach, 0, 2);
	tcase_add_loop_test(tc, journal_goes_on_from_every_store_of_its_adoption, 0, 2);
	tcase_add_loop_test(tc, journal_goes_on_from_every_store_of_the_end, 0, 4);
	tcase_add_loop_test(tc, journal_goes_on_from_every_store_of_a_successor_s_end, 0, 2);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(data_crash_suite)
#endif
