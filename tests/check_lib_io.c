// SPDX-License-Identifier: MIT
/*
 * libringway's request engine against a backend of the test's own on the same ring pages. Grants
 * are numbers (lib_grants.h) that the backend here knows to map; the handshake has suites of its
 * own (check_vbd_life.c) and is tested end to end.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "frontend/user/lib_io.h"
#include "tests/lib_grants.h"

#define CAPACITY_SECT 8192u /* 4 MiB */
#define MAX_REQUESTS  512u

static struct lib_io io;
static struct lib_ring ring;
static struct rwy_ring_back back;
static struct rwy_blk_request taken[MAX_REQUESTS];
static uint32_t nr_taken;
static uint8_t disk[CAPACITY_SECT * 512], model[CAPACITY_SECT * 512];
static _Alignas(4096) uint8_t ring_pages[4 * 4096];
static struct lib_features features;
static int done_calls;

static void attach_backend(void)
{
	ck_assert_int_eq(lib_io_prepare(&io, &ring, 51712), 0);
	ck_assert_int_eq(rwy_ring_back_attach(&back, ring_pages, ring.nr_pages,
					      rwy_blk_slot_bytes(RWY_BLK_ABI_NATIVE)),
			 0);
	nr_taken = 0;
}

static void setup_io(void)
{
	int fd = eventfd(0, EFD_NONBLOCK);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(lib_io_init(&io, fd), 0);
	grant_limit = 64;
	ck_assert_int_eq(lib_pool_share(&io.pool, NULL, 0, 64), 0);
	ring = (struct lib_ring){.pages = ring_pages, .nr_pages = 1, .port = -1};
	features = (struct lib_features){
		.capacity_sect = CAPACITY_SECT,
		.sector_bytes = 512,
		.physical_sector_bytes = 512,
		.flush = true,
	};
	attach_backend();
	done_calls = 0;
	for (size_t i = 0; i < sizeof(disk); i++)
		disk[i] = model[i] = (uint8_t)(i / 512 * 7 + i);
}

static void teardown_io(void)
{
	ck_assert(lib_io_idle(&io));
	ck_assert_uint_eq(io.pool.nr_free, io.pool.nr);
	lib_pool_unshare(&io.pool, NULL);
	close(io.wake_fd);
	lib_io_fini(&io);
}

/* Take what has been published. */
static void back_take(void)
{
	uint8_t slot[RWY_BLK_MAX_SLOT_BYTES];

	ck_assert_int_ge(rwy_ring_back_poll(&back), 0);
	while (rwy_ring_back_take_request(&back, slot, rwy_blk_slot_bytes(RWY_BLK_ABI_NATIVE))) {
		ck_assert_uint_lt(nr_taken, MAX_REQUESTS);
		rwy_blk_decode_request(RWY_BLK_ABI_NATIVE, slot, &taken[nr_taken++]);
	}
}

static void back_move_data(const struct rwy_blk_request *req)
{
	uint64_t at = req->sector * 512;

	for (uint32_t i = 0; i < req->nr_segs; i++) {
		const struct rwy_blk_seg *seg = &req->seg[i];
		uint32_t len = (seg->last_sect - seg->first_sect + 1u) * 512;
		uint8_t *data = lib_pool_page(&io.pool, (uint16_t)(seg->gref - FIRST_GREF)) +
				seg->first_sect * 512;

		ck_assert_uint_le(at + len, sizeof(disk));
		if (req->op == RWY_BLK_OP_READ)
			memcpy(data, disk + at, len);
		else
			memcpy(disk + at, data, len);
		at += len;
	}
}

static void back_answer(uint32_t index, int16_t status)
{
	struct rwy_blk_request req = taken[index];
	struct rwy_blk_response rsp = {.id = req.id, .wire_op = req.wire_op, .status = status};
	uint8_t slot[RWY_BLK_MAX_SLOT_BYTES];
	uint32_t len;

	taken[index] = taken[--nr_taken];
	if (status == BLKIF_RSP_OKAY)
		back_move_data(&req);
	len = rwy_blk_encode_response(RWY_BLK_ABI_NATIVE, &rsp, slot);
	ck_assert_int_eq(rwy_ring_back_put_response(&back, slot, len), 0);
	rwy_ring_back_push(&back);
}

static void reap(void)
{
	const char *why;

	ck_assert_int_eq(lib_io_reap(&io, &why), 0);
}

/* Answer everything, in a random order, until nothing is left to answer. */
static void back_serve(void)
{
	for (back_take(); nr_taken; back_take()) {
		back_answer((uint32_t)rand() % nr_taken, BLKIF_RSP_OKAY);
		if (rand() % 3 == 0 || nr_taken == 0)
			reap();
	}
}

/* Bytes that differ from page to page and from sector to sector. */
static void fill(uint8_t *buf, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)((i >> 8) * 31 + i + seed * 17);
}

static void note_done(struct rwy_vbd_io *user_io, int result)
{
	*(int *)user_io->user = result;
	done_calls++;
}

static struct rwy_vbd_io request_of(enum rwy_vbd_op op, void *buf, size_t len, uint64_t offset,
				    int *result)
{
	*result = 1;
	return (struct rwy_vbd_io){
		.op = op,
		.buf = buf,
		.len = len,
		.offset = offset,
		.done = note_done,
		.user = result,
	};
}

START_TEST(data_arrives_whatever_the_sizes_and_the_order)
{
	enum {
		DEPTH = 16,
		MAX_BYTES = 300 * 1024
	};
	static uint8_t buf[DEPTH][MAX_BYTES + 1];
	struct rwy_vbd_io user_io[DEPTH];
	int result[DEPTH];

	srand(1);
	ck_assert_int_eq(lib_io_up(&io, &features), 0);
	for (int round = 0; round < 40; round++) {
		uint64_t area = sizeof(disk) / DEPTH;
		int n = 1 + rand() % DEPTH;

		for (int i = 0; i < n; i++) {
			bool is_write = rand() % 2;
			uint64_t offset = area * (uint64_t)i + (uint64_t)(rand() % 64) * 512;
			size_t len = (size_t)(rand() % 400) * 512;
			uint8_t *at = buf[i] + rand() % 2; /* any alignment will do */

			if (len > area - 64 * 512)
				len = area - 64 * 512;
			fill(at, len, (unsigned int)(round * DEPTH + i));
			if (is_write)
				memcpy(model + offset, at, len);
			user_io[i] = request_of(is_write ? RWY_VBD_WRITE : RWY_VBD_READ, at, len,
						offset, &result[i]);
			ck_assert_int_eq(lib_io_submit(&io, &user_io[i]), 0);
		}
		back_serve();
		lib_io_call_done(&io);
		for (int i = 0; i < n; i++) {
			ck_assert_int_eq(result[i], 0);
			ck_assert_int_eq(
				memcmp(user_io[i].buf, model + user_io[i].offset, user_io[i].len),
				0);
		}
	}
	ck_assert_int_eq(memcmp(disk, model, sizeof(disk)), 0);
}
END_TEST

START_TEST(requests_wait_for_pages_and_slots_and_then_go)
{
	static uint8_t buf[1 << 20];
	struct rwy_vbd_io user_io;
	int result;

	ck_assert_int_eq(lib_io_up(&io, &features), 0);
	user_io = request_of(RWY_VBD_READ, buf, sizeof(buf), 0, &result);
	ck_assert_int_eq(lib_io_submit(&io, &user_io), 0);
	back_take();
	ck_assert_uint_eq(nr_taken, 64 / 11);
	ck_assert_uint_lt(io.pool.nr_free, 11);
	back_serve();
	ck_assert_int_eq(result, 0);
	ck_assert_int_eq(memcmp(buf, model, sizeof(buf)), 0);
	ck_assert_int_eq(done_calls, 1);
}
END_TEST

START_TEST(first_error_is_the_requests_and_the_rest_is_not_sent)
{
	static uint8_t buf[1 << 20], other_buf[512];
	struct rwy_vbd_io user_io, other;
	int result, other_result;
	uint32_t sent;

	ck_assert_int_eq(lib_io_up(&io, &features), 0);
	memset(buf, 0x11, sizeof(buf));
	user_io = request_of(RWY_VBD_READ, buf, sizeof(buf), 0, &result);
	other = request_of(RWY_VBD_READ, other_buf, 512, 0, &other_result);
	ck_assert_int_eq(lib_io_submit(&io, &user_io), 0);
	ck_assert_int_eq(lib_io_submit(&io, &other), 0);
	back_take();
	sent = nr_taken;
	back_answer(2, BLKIF_RSP_ERROR);
	reap();
	ck_assert_int_eq(result, 1);
	back_take();
	ck_assert_uint_eq(nr_taken, sent); /* one answered, one sent: the other's */
	back_serve();
	ck_assert_int_eq(result, -EIO);
	ck_assert_int_eq(other_result, 0);
	ck_assert_int_eq(done_calls, 2);
	/* Of a part that failed, nothing reaches the user's buffer. */
	for (size_t i = 2 * LIB_PART_MAX_BYTES; i < 3 * LIB_PART_MAX_BYTES; i++)
		ck_assert_uint_eq(buf[i], 0x11);
}
END_TEST

START_TEST(requests_out_of_bounds_are_refused_at_submit)
{
	static uint8_t buf[4096];
	uint64_t end = (uint64_t)CAPACITY_SECT * 512;
	struct rwy_vbd_io user_io;
	int result;

#define REFUSED(op, len, offset, err)                                \
	do {                                                         \
		user_io = request_of(op, buf, len, offset, &result); \
		ck_assert_int_eq(lib_io_submit(&io, &user_io), err); \
	} while (0)
	ck_assert_int_eq(lib_io_up(&io, &features), 0);
	REFUSED(RWY_VBD_READ, 511, 0, -EINVAL);
	REFUSED(RWY_VBD_READ, 512, 1, -EINVAL);
	REFUSED(RWY_VBD_READ, 1024, end - 512, -EINVAL);
	REFUSED(RWY_VBD_READ, 512, end, -EINVAL);
	REFUSED(RWY_VBD_READ, 512, UINT64_MAX - 511, -EINVAL);
	REFUSED(RWY_VBD_WRITE, SIZE_MAX - 511, 512, -EINVAL);
	REFUSED((enum rwy_vbd_op)7, 512, 0, -EINVAL);
	features.read_only = true;
	ck_assert_int_eq(lib_io_resize(&io, &features), 0);
	REFUSED(RWY_VBD_WRITE, 512, 0, -EROFS);
	ck_assert_int_eq(done_calls, 0);
	/* Nothing to do is done at once. */
	user_io = request_of(RWY_VBD_READ, buf, 0, end, &result);
	ck_assert_int_eq(lib_io_submit(&io, &user_io), 0);
	lib_io_call_done(&io);
	ck_assert_int_eq(result, 0);
#undef REFUSED
}
END_TEST

START_TEST(flush_is_sent_only_when_it_means_something)
{
	struct rwy_vbd_io user_io;
	int result;

	ck_assert_int_eq(lib_io_up(&io, &features), 0);
	user_io = request_of(RWY_VBD_FLUSH, NULL, 0, 0, &result);
	ck_assert_int_eq(lib_io_submit(&io, &user_io), 0);
	back_take();
	ck_assert_uint_eq(nr_taken, 1);
	ck_assert_int_eq(taken[0].op, RWY_BLK_OP_FLUSH);
	back_serve();
	ck_assert_int_eq(result, 0);
	features.flush = false;
	features.barrier = true;
	ck_assert_int_eq(lib_io_resize(&io, &features), 0);
	user_io = request_of(RWY_VBD_FLUSH, NULL, 0, 0, &result);
	ck_assert_int_eq(lib_io_submit(&io, &user_io), 0);
	back_take();
	ck_assert_int_eq(taken[0].op, RWY_BLK_OP_BARRIER);
	back_serve();
	features.barrier = false;
	ck_assert_int_eq(lib_io_resize(&io, &features), 0);
	user_io = request_of(RWY_VBD_FLUSH, NULL, 0, 0, &result);
	ck_assert_int_eq(lib_io_submit(&io, &user_io), 0);
	back_take();
	ck_assert_uint_eq(nr_taken, 0);
	lib_io_call_done(&io);
	ck_assert_int_eq(result, 0);
	ck_assert_int_eq(done_calls, 3);
}
END_TEST

/* The backend dies with requests answered, taken and not even sent, and another comes. */
START_TEST(requests_outlive_their_backend)
{
	static uint8_t buf[4][512 * 1024];
	struct rwy_vbd_io user_io[4];
	int result[4];

	srand(2);
	ck_assert_int_eq(lib_io_up(&io, &features), 0);
	for (int i = 0; i < 4; i++) {
		memset(buf[i], 0xc0 + i, sizeof(buf[i]));
		user_io[i] = request_of(i % 2 ? RWY_VBD_READ : RWY_VBD_WRITE, buf[i],
					sizeof(buf[i]), (uint64_t)i * sizeof(buf[i]), &result[i]);
		ck_assert_int_eq(lib_io_submit(&io, &user_io[i]), 0);
	}
	for (int round = 0; round < 3; round++) {
		back_take();
		ck_assert_uint_gt(nr_taken, 2);
		back_answer(1, BLKIF_RSP_OKAY);
		back_answer(0, BLKIF_RSP_OKAY);
		if (round != 1)
			reap(); /* else: the answers are lost with the ring */
		lib_io_down(&io);
		ck_assert_uint_eq(io.bf.nr_outstanding, 0);
		ring.nr_pages = round ? 1 : 4;
		attach_backend();
		reap(); /* a late event does nothing */
		ck_assert_int_eq(lib_io_up(&io, &features), 0);
	}
	back_serve();
	ck_assert_int_eq(done_calls, 4);
	for (int i = 0; i < 4; i++) {
		size_t at = (size_t)i * sizeof(buf[i]);

		ck_assert_int_eq(result[i], 0);
		ck_assert_int_eq(memcmp(buf[i], i % 2 ? model + at : disk + at, sizeof(buf[i])), 0);
	}
}
END_TEST

START_TEST(disk_that_shrank_fails_what_is_past_its_end)
{
	static uint8_t buf[512];
	struct rwy_vbd_io user_io;
	int result;

	ck_assert_int_eq(lib_io_up(&io, &features), 0);
	lib_io_down(&io);
	user_io = request_of(RWY_VBD_READ, buf, 512, (CAPACITY_SECT - 1) * 512, &result);
	ck_assert_int_eq(lib_io_submit(&io, &user_io), 0);
	features.capacity_sect = 1024;
	attach_backend();
	ck_assert_int_eq(lib_io_up(&io, &features), 0);
	lib_io_call_done(&io);
	ck_assert_int_eq(result, -EINVAL);
	features.sector_bytes = 4096;
	ck_assert_int_eq(lib_io_resize(&io, &features), -EPROTO);
}
END_TEST

START_TEST(end_of_the_device_ends_each_request_once)
{
	static uint8_t buf[4][1 << 20];
	struct rwy_vbd_io user_io[4];
	int result[4];

	ck_assert_int_eq(lib_io_up(&io, &features), 0);
	for (int i = 0; i < 4; i++) {
		user_io[i] = request_of(RWY_VBD_READ, buf[i], sizeof(buf[i]), 0, &result[i]);
		ck_assert_int_eq(lib_io_submit(&io, &user_io[i]), 0);
	}
	back_take();
	back_answer(0, BLKIF_RSP_OKAY);
	reap();
	if (_i)
		lib_io_down(&io);
	lib_io_die(&io, -ESHUTDOWN);
	lib_io_die(&io, -EPROTO); /* the first says why */
	lib_io_call_done(&io);
	ck_assert_int_eq(done_calls, 4);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(result[i], -ESHUTDOWN);
	ck_assert_int_eq(lib_io_submit(&io, &user_io[0]), -ESHUTDOWN);
	/* Late events and late handshakes change nothing, and the ring is not touched. */
	memset(ring_pages, 0xff, sizeof(ring_pages));
	reap();
	lib_io_down(&io);
	ck_assert_int_eq(lib_io_up(&io, &features), 0);
	ck_assert_int_eq(lib_io_submit(&io, &user_io[0]), -ESHUTDOWN);
	for (size_t i = 0; i < sizeof(ring_pages); i++)
		ck_assert_uint_eq(ring_pages[i], 0xff);
	ck_assert_int_eq(done_calls, 4);
}
END_TEST

START_TEST(lying_backend_is_reported_and_nothing_is_lost)
{
	static uint8_t buf[64 * 1024];
	struct rwy_vbd_io user_io;
	const char *why;
	int result;

	ck_assert_int_eq(lib_io_up(&io, &features), 0);
	user_io = request_of(RWY_VBD_READ, buf, sizeof(buf), 0, &result);
	ck_assert_int_eq(lib_io_submit(&io, &user_io), 0);
	back_take();
	taken[0].id ^= 1ull << 40;
	back_answer(0, BLKIF_RSP_OKAY);
	ck_assert_int_eq(lib_io_reap(&io, &why), -EPROTO);
	ck_assert_str_eq(why, rwy_blkfront_fault_text(RWY_BLKFRONT_NOT_OUTSTANDING));
	ck_assert_int_eq(result, 1);
	lib_io_die(&io, -EPROTO);
	lib_io_call_done(&io);
	ck_assert_int_eq(result, -EPROTO);
	for (size_t i = 0; i < sizeof(buf); i++)
		ck_assert_uint_eq(buf[i], 0);
}
END_TEST

/* Several threads submit and wait while one serves: every thread reads back what it wrote. */
struct worker {
	pthread_t thread;
	uint64_t base;
	unsigned int seed;
	int failures;
};

static _Atomic int workers_left;

struct flag {
	pthread_mutex_t lock;
	pthread_cond_t set;
	int result;
	bool is_set;
};

static void set_flag(struct rwy_vbd_io *user_io, int result)
{
	struct flag *flag = user_io->user;

	pthread_mutex_lock(&flag->lock);
	flag->result = result;
	flag->is_set = true;
	pthread_cond_signal(&flag->set);
	pthread_mutex_unlock(&flag->lock);
}

static int do_and_wait(enum rwy_vbd_op op, void *buf, size_t len, uint64_t offset)
{
	struct flag flag = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false};
	struct rwy_vbd_io user_io = {.op = op,
				     .buf = buf,
				     .len = len,
				     .offset = offset,
				     .done = set_flag,
				     .user = &flag};
	int err = lib_io_submit(&io, &user_io);

	if (err)
		return err;
	pthread_mutex_lock(&flag.lock);
	while (!flag.is_set)
		pthread_cond_wait(&flag.set, &flag.lock);
	pthread_mutex_unlock(&flag.lock);
	return flag.result;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	uint8_t out[64 * 1024], in[64 * 1024];

	for (int i = 0; i < 100; i++) {
		size_t len = (1 + (size_t)rand_r(&w->seed) % 127) * 512;
		uint64_t offset = w->base + (uint64_t)(rand_r(&w->seed) % 64) * 512;

		fill(out, len, (unsigned int)rand_r(&w->seed));
		if (do_and_wait(RWY_VBD_WRITE, out, len, offset) ||
		    do_and_wait(RWY_VBD_FLUSH, NULL, 0, 0) ||
		    do_and_wait(RWY_VBD_READ, in, len, offset) || memcmp(in, out, len) != 0)
			w->failures++;
	}
	workers_left--;
	return NULL;
}

/* Long enough for the threads to meet a line that is down. */
static void reconnect(void)
{
	lib_io_down(&io);
	for (int i = 0; i < 10; i++)
		sched_yield();
	attach_backend();
	for (int i = 0; i < 10; i++)
		sched_yield();
	ck_assert_int_eq(lib_io_up(&io, &features), 0);
}

START_TEST(threads_work_in_parallel_across_reconnects)
{
	struct worker worker[4] = {0};
	int rounds = 0;

	workers_left = 4;
	ck_assert_int_eq(lib_io_up(&io, &features), 0);
	for (unsigned int i = 0; i < 4; i++) {
		worker[i].base = (uint64_t)i * 512 * 1024;
		worker[i].seed = i + 1;
		ck_assert_int_eq(pthread_create(&worker[i].thread, NULL, work, &worker[i]), 0);
	}
	while (workers_left) {
		back_serve();
		reap();
		if (++rounds % 5 == 0)
			reconnect();
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(worker[i].thread, NULL);
		ck_assert_int_eq(worker[i].failures, 0);
	}
}
END_TEST

/* A request whose data is being copied when the device ends is ended by its own thread. */
START_TEST(threads_see_the_end_of_the_device)
{
	struct worker worker[4] = {0};

	workers_left = 4;
	ck_assert_int_eq(lib_io_up(&io, &features), 0);
	for (unsigned int i = 0; i < 4; i++) {
		worker[i].base = (uint64_t)i * 512 * 1024;
		worker[i].seed = i + 100 * (unsigned int)_i;
		ck_assert_int_eq(pthread_create(&worker[i].thread, NULL, work, &worker[i]), 0);
	}
	for (int i = 0; i < 20 * _i; i++) {
		back_serve();
		reap();
	}
	lib_io_die(&io, -ESHUTDOWN);
	while (workers_left)
		lib_io_call_done(&io);
	for (int i = 0; i < 4; i++)
		pthread_join(worker[i].thread, NULL);
}
END_TEST

static Suite *lib_io_suite(void)
{
	Suite *suite = suite_create("lib_io");
	TCase *tc = tcase_create("requests");

	tcase_add_checked_fixture(tc, setup_io, teardown_io);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, data_arrives_whatever_the_sizes_and_the_order);
	tcase_add_test(tc, requests_wait_for_pages_and_slots_and_then_go);
	tcase_add_test(tc, first_error_is_the_requests_and_the_rest_is_not_sent);
	tcase_add_test(tc, requests_out_of_bounds_are_refused_at_submit);
	tcase_add_test(tc, flush_is_sent_only_when_it_means_something);
	tcase_add_test(tc, requests_outlive_their_backend);
	tcase_add_test(tc, disk_that_shrank_fails_what_is_past_its_end);
	tcase_add_loop_test(tc, end_of_the_device_ends_each_request_once, 0, 2);
	tcase_add_test(tc, lying_backend_is_reported_and_nothing_is_lost);
	tcase_add_test(tc, threads_work_in_parallel_across_reconnects);
	tcase_add_loop_test(tc, threads_see_the_end_of_the_device, 0, 8);
	suite_add_tcase(suite, tc);
	return suite;
}

CHECK_MAIN(lib_io_suite)
