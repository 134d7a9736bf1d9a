// SPDX-License-Identifier: MIT
/*
 * libringway without Xen: its pure parts (features, pool, parts), and the request engine against a
 * backend of the test's own on the same ring pages. Grants are numbers that the backend here knows
 * to map; the handshake is tested end to end (tests/e2e).
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "frontend/user/lib_io.h"
#include "tests/check_main.h"

#define FIRST_GREF    1000u
#define CAPACITY_SECT 8192u /* 4 MiB */
#define MAX_REQUESTS  512u

/* --- grants that cost nothing, and may run out */

static uint32_t grant_limit;
static int shares, unshares;

void *xengntshr_share_pages(xengntshr_handle *xgs, uint32_t domid, int count, uint32_t *refs,
			    int writable)
{
	uint8_t *pages;

	(void)xgs;
	(void)domid;
	ck_assert_int_eq(writable, 1);
	if ((uint32_t)count > grant_limit) {
		errno = ENOSPC;
		return NULL;
	}
	pages = aligned_alloc(4096, (size_t)count * 4096);
	memset(pages, 0xa5, (size_t)count * 4096);
	for (int i = 0; i < count; i++)
		refs[i] = FIRST_GREF + (uint32_t)i;
	shares++;
	return pages;
}

int xengntshr_unshare(xengntshr_handle *xgs, void *start_address, uint32_t count)
{
	(void)xgs;
	(void)count;
	free(start_address);
	unshares++;
	return 0;
}

/* --- features */

struct fake_node {
	const char *name;
	uint64_t value;
	int err;
};

static const struct fake_node *fake_nodes;

static int get_fake(void *ctx, const char *name, uint64_t min, uint64_t max, uint64_t *out)
{
	const struct fake_node *node;

	(void)ctx;
	for (node = fake_nodes; node->name; node++) {
		if (strcmp(node->name, name) != 0)
			continue;
		if (node->err)
			return node->err;
		if (node->value < min || node->value > max)
			return -ERANGE;
		*out = node->value;
		return 0;
	}
	return -ENOENT;
}

START_TEST(features_have_defaults)
{
	static const struct fake_node nodes[] = {{"sectors", 2048, 0}, {NULL, 0, 0}};
	struct rwy_blk_limits limits;
	struct lib_features f;
	const char *bad;

	fake_nodes = nodes;
	ck_assert_int_eq(lib_features_read(&f, get_fake, NULL, &bad), 0);
	ck_assert_uint_eq(f.capacity_sect, 2048);
	ck_assert_uint_eq(f.sector_bytes, 512);
	ck_assert_uint_eq(f.physical_sector_bytes, 512);
	ck_assert(!f.read_only && !f.cdrom && !f.removable && !f.flush && !f.barrier);
	lib_features_limits(&f, &limits);
	ck_assert_uint_eq(limits.capacity_sect, 2048);
	ck_assert(!limits.discard && !limits.indirect_segs);
}
END_TEST

START_TEST(features_are_read)
{
	static const struct fake_node nodes[] = {
		{"sectors", 8, 0},
		{"sector-size", 4096, 0},
		{"physical-sector-size", 16384, 0},
		{"info", VDISK_READONLY | VDISK_REMOVABLE | 0x100, 0},
		{"feature-flush-cache", 1, 0},
		{"feature-barrier", 7, 0},
		{NULL, 0, 0},
	};
	struct lib_features f;
	const char *bad;

	fake_nodes = nodes;
	ck_assert_int_eq(lib_features_read(&f, get_fake, NULL, &bad), 0);
	ck_assert_uint_eq(f.sector_bytes, 4096);
	ck_assert_uint_eq(f.physical_sector_bytes, 16384);
	ck_assert(f.read_only && f.removable && !f.cdrom && f.flush);
	ck_assert_msg(!f.barrier, "a senseless feature node is no offer");
}
END_TEST

struct bad_feature {
	struct fake_node nodes[3];
	const char *bad;
	int err;
};

static const struct bad_feature bad_features[] = {
	{{{NULL, 0, 0}}, "sectors", -ENOENT},
	{{{"sectors", UINT64_MAX, 0}}, "sectors", -EPROTO},
	{{{"sectors", RWY_BLK_MAX_CAPACITY_SECT + 1, 0}}, "sectors", -EPROTO},
	{{{"sectors", 0, -EINVAL}}, "sectors", -EPROTO},
	{{{"sectors", 8, 0}, {"sector-size", 0, 0}}, "sector-size", -EPROTO},
	{{{"sectors", 8, 0}, {"sector-size", 513, 0}}, "sector-size", -EPROTO},
	{{{"sectors", 8, 0}, {"sector-size", 8192, 0}}, "sector-size", -EPROTO},
	{{{"sectors", 8, 0}, {"sector-size", 0, -EINVAL}}, "sector-size", -EPROTO},
	{{{"sectors", 8, 0}, {"physical-sector-size", 511, 0}}, "physical-sector-size", -EPROTO},
	{{{"sectors", 8, 0}, {"physical-sector-size", 1 << 21, 0}},
	 "physical-sector-size",
	 -EPROTO},
	{{{"sectors", 8, 0}, {"info", 1ull << 32, 0}}, "info", -EPROTO},
};

START_TEST(senseless_features_are_refused_by_name)
{
	const struct bad_feature *row = &bad_features[_i];
	struct lib_features f;
	const char *bad = NULL;

	fake_nodes = row->nodes;
	ck_assert_int_eq(lib_features_read(&f, get_fake, NULL, &bad), row->err);
	ck_assert_str_eq(bad, row->bad);
}
END_TEST

/* --- pool */

START_TEST(pool_is_zeroed_and_hands_out_each_page_once)
{
	struct lib_pool pool;
	uint16_t page[64];
	bool seen[64] = {false};
	uint32_t i, round;

	grant_limit = 64;
	ck_assert_int_eq(lib_pool_share(&pool, NULL, 0, 64), 0);
	for (i = 0; i < 64 * 4096; i++)
		ck_assert_uint_eq(pool.pages[i], 0);
	for (round = 0; round < 2; round++) {
		memset(seen, 0, sizeof(seen));
		ck_assert_int_eq(lib_pool_take(&pool, 60, page), 0);
		ck_assert_int_eq(lib_pool_take(&pool, 5, page + 60), -ENOSPC);
		ck_assert_int_eq(lib_pool_take(&pool, 4, page + 60), 0);
		for (i = 0; i < 64; i++) {
			ck_assert_uint_lt(page[i], 64);
			ck_assert(!seen[page[i]]);
			seen[page[i]] = true;
		}
		lib_pool_give(&pool, 64, page);
	}
	lib_pool_unshare(&pool, NULL);
	ck_assert_int_eq(unshares, shares);
	lib_pool_unshare(&pool, NULL);
	ck_assert_int_eq(unshares, shares);
}
END_TEST

struct pool_limit {
	uint32_t want, limit, got;
};

static const struct pool_limit pool_limits[] = {
	{352, 352, 352}, {352, 351, 176}, {352, 12, 11}, {352, 11, 11},	     {352, 10, 0},
	{11, 11, 11},	 {11, 5, 0},	  {21, 20, 11},	 {4096, 4095, 2048},
};

START_TEST(pool_takes_what_the_system_grants)
{
	const struct pool_limit *row = &pool_limits[_i];
	struct lib_pool pool;

	grant_limit = row->limit;
	ck_assert_int_eq(lib_pool_share(&pool, NULL, 0, row->want), row->got ? 0 : -ENOSPC);
	ck_assert_uint_eq(pool.nr, row->got);
	ck_assert_uint_eq(pool.nr_free, row->got);
	lib_pool_unshare(&pool, NULL);
}
END_TEST

/* --- parts */

struct cut {
	size_t len;
	uint32_t parts, last_bytes, last_pages, last_sect;
};

static const struct cut cuts[] = {
	{512, 1, 512, 1, 0},
	{4096, 1, 4096, 1, 7},
	{4608, 1, 4608, 2, 0},
	{11 * 4096, 1, 11 * 4096, 11, 7},
	{11 * 4096 + 512, 2, 512, 1, 0},
	{1 << 20, 24, (1 << 20) - 23 * 11 * 4096, 3, 7},
};

START_TEST(requests_are_cut_into_parts_of_eleven_pages)
{
	const struct cut *row = &cuts[_i];
	struct rwy_vbd_io user_io = {.op = RWY_VBD_READ, .len = row->len, .offset = 1024};
	struct rwy_blkfront_request request;
	struct lib_part part = {0};
	struct lib_pool pool;
	uint64_t next_sector = 2;
	uint32_t parts = 0;

	grant_limit = 16;
	ck_assert_int_eq(lib_pool_share(&pool, NULL, 0, 16), 0);
	while (lib_part_left(&user_io)) {
		lib_part_cut(&part, &user_io);
		ck_assert_int_eq(lib_pool_take(&pool, part.nr_pages, part.page), 0);
		lib_part_request(&part, &pool, RWY_BLK_OP_FLUSH, &request);
		ck_assert_int_eq(request.op, RWY_BLK_OP_READ);
		ck_assert_uint_eq(request.sector, next_sector);
		ck_assert_uint_eq(request.nr_segs, part.nr_pages);
		for (uint32_t i = 0; i < part.nr_pages; i++) {
			ck_assert_uint_eq(request.seg[i].first_sect, 0);
			if (i + 1 < part.nr_pages)
				ck_assert_uint_eq(request.seg[i].last_sect, 7);
			ck_assert_uint_eq(request.seg[i].gref, FIRST_GREF + part.page[i]);
		}
		lib_pool_give(&pool, part.nr_pages, part.page);
		next_sector += part.len_bytes / 512;
		parts++;
	}
	ck_assert_uint_eq(parts, row->parts);
	ck_assert_uint_eq(user_io.own.parts, row->parts);
	ck_assert_uint_eq(part.len_bytes, row->last_bytes);
	ck_assert_uint_eq(part.nr_pages, row->last_pages);
	ck_assert_uint_eq(request.seg[part.nr_pages - 1].last_sect, row->last_sect);
	ck_assert_uint_eq(next_sector, 2 + row->len / 512);
	lib_pool_unshare(&pool, NULL);
}
END_TEST

START_TEST(flush_is_one_part_without_pages)
{
	struct rwy_vbd_io user_io = {.op = RWY_VBD_FLUSH};
	struct rwy_blkfront_request request;
	struct lib_pool pool = {0};
	struct lib_part part;

	ck_assert(lib_part_left(&user_io));
	lib_part_cut(&part, &user_io);
	ck_assert(!lib_part_left(&user_io));
	ck_assert_uint_eq(part.nr_pages, 0);
	lib_part_request(&part, &pool, RWY_BLK_OP_BARRIER, &request);
	ck_assert_int_eq(request.op, RWY_BLK_OP_BARRIER);
	ck_assert_uint_eq(request.nr_segs, 0);
}
END_TEST

/* --- the request engine and a backend */

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

#define NR(table) ((int)(sizeof(table) / sizeof((table)[0])))

static Suite *libringway_suite(void)
{
	Suite *suite = suite_create("libringway");
	TCase *pure = tcase_create("pure parts");
	TCase *engine = tcase_create("request engine");

	tcase_add_test(pure, features_have_defaults);
	tcase_add_test(pure, features_are_read);
	tcase_add_loop_test(pure, senseless_features_are_refused_by_name, 0, NR(bad_features));
	tcase_add_test(pure, pool_is_zeroed_and_hands_out_each_page_once);
	tcase_add_loop_test(pure, pool_takes_what_the_system_grants, 0, NR(pool_limits));
	tcase_add_loop_test(pure, requests_are_cut_into_parts_of_eleven_pages, 0, NR(cuts));
	tcase_add_test(pure, flush_is_one_part_without_pages);
	suite_add_tcase(suite, pure);
	tcase_add_checked_fixture(engine, setup_io, teardown_io);
	tcase_set_timeout(engine, 60);
	tcase_add_test(engine, data_arrives_whatever_the_sizes_and_the_order);
	tcase_add_test(engine, requests_wait_for_pages_and_slots_and_then_go);
	tcase_add_test(engine, first_error_is_the_requests_and_the_rest_is_not_sent);
	tcase_add_test(engine, requests_out_of_bounds_are_refused_at_submit);
	tcase_add_test(engine, flush_is_sent_only_when_it_means_something);
	tcase_add_test(engine, requests_outlive_their_backend);
	tcase_add_test(engine, disk_that_shrank_fails_what_is_past_its_end);
	tcase_add_loop_test(engine, end_of_the_device_ends_each_request_once, 0, 2);
	tcase_add_test(engine, lying_backend_is_reported_and_nothing_is_lost);
	tcase_add_test(engine, threads_work_in_parallel_across_reconnects);
	tcase_add_loop_test(engine, threads_see_the_end_of_the_device, 0, 8);
	suite_add_tcase(suite, engine);
	return suite;
}

CHECK_MAIN(libringway_suite)
