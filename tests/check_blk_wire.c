// SPDX-License-Identifier: MIT
/*
 * Unit suite of ring/blk_wire.c: the bytes. Layouts of the three ABIs against independent structs
 * (Xen's own for native, the i386 ABI's alignment for x86_32), encoding and decoding, padding.
 * The rules a request must pass are in check_blk_wire_rules.c.
 */
#include "ring/blk_wire.h"
#include "tests/check_main.h"
#include <sys/mman.h>

static const enum rwy_blk_abi abis[] = {RWY_BLK_ABI_NATIVE, RWY_BLK_ABI_X86_32, RWY_BLK_ABI_X86_64};
#define NR_ABIS 3

/* What a 32-bit guest's compiler makes of Xen's header: 64-bit words aligned to 4. */
typedef uint64_t __attribute__((aligned(4))) i386_u64;

struct i386_request {
	uint8_t operation;
	uint8_t nr_segments;
	uint16_t handle;
	i386_u64 id;
	i386_u64 sector_number;
	struct blkif_request_segment seg[BLKIF_MAX_SEGMENTS_PER_REQUEST];
};

struct i386_discard {
	uint8_t operation;
	uint8_t flag;
	uint16_t handle;
	i386_u64 id;
	i386_u64 sector_number;
	i386_u64 nr_sectors;
};

struct i386_indirect {
	uint8_t operation;
	uint8_t indirect_op;
	uint16_t nr_segments;
	i386_u64 id;
	i386_u64 sector_number;
	uint16_t handle;
	grant_ref_t indirect_grefs[BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST];
	i386_u64 pad;
};

struct i386_response {
	i386_u64 id;
	uint8_t operation;
	int16_t status;
};

#define ID     0x1122334455667788ull
#define SECTOR 0x99aabbccddeeff01ull
#define NR     0x0123456789abcdefull
#define HANDLE 0xca51

START_TEST(blk_sizes_are_those_of_the_abis)
{
	ck_assert_uint_eq(rwy_blk_slot_bytes(RWY_BLK_ABI_NATIVE), sizeof(union blkif_sring_entry));
	ck_assert_uint_eq(rwy_blk_slot_bytes(RWY_BLK_ABI_X86_64), 112);
	ck_assert_uint_eq(rwy_blk_slot_bytes(RWY_BLK_ABI_X86_32), sizeof(struct i386_request));
	ck_assert_uint_eq(rwy_blk_slot_bytes(RWY_BLK_ABI_X86_32), 108);
	ck_assert_uint_eq(rwy_blk_response_bytes(RWY_BLK_ABI_NATIVE),
			  sizeof(struct blkif_response));
	ck_assert_uint_eq(rwy_blk_response_bytes(RWY_BLK_ABI_X86_64), 16);
	ck_assert_uint_eq(rwy_blk_response_bytes(RWY_BLK_ABI_X86_32), sizeof(struct i386_response));
	ck_assert_uint_eq(rwy_blk_response_bytes(RWY_BLK_ABI_X86_32), 12);
	ck_assert_uint_eq(sizeof(struct i386_indirect), 64);
}
END_TEST

/* The same request in a foreign struct: our bytes must be its bytes, and come back as they went. */
#define EXPECT_SAME(abi, foreign, req)                                                      \
	do {                                                                                \
		uint8_t slot_[RWY_BLK_MAX_SLOT_BYTES], want_[RWY_BLK_MAX_SLOT_BYTES] = {0}; \
		struct rwy_blk_request back_;                                               \
                                                                                            \
		memcpy(want_, &(foreign), sizeof(foreign));                                 \
		memset(slot_, 0xee, sizeof(slot_));                                         \
		ck_assert_int_eq(rwy_blk_encode_request(abi, &(req), slot_),                \
				 (int)rwy_blk_slot_bytes(abi));                             \
		ck_assert_mem_eq(slot_, want_, sizeof(slot_));                              \
		rwy_blk_decode_request(abi, slot_, &back_);                                 \
		expect_equal(&back_, &(req));                                               \
	} while (0)

static void expect_equal(const struct rwy_blk_request *a, const struct rwy_blk_request *b)
{
	ck_assert_int_eq(a->op, b->op);
	ck_assert_int_eq(a->inner, b->inner);
	ck_assert_uint_eq(a->wire_op, b->wire_op);
	ck_assert_uint_eq(a->handle, b->handle);
	ck_assert_uint_eq(a->id, b->id);
	ck_assert_uint_eq(a->sector, b->sector);
	ck_assert_uint_eq(a->nr_sect, b->nr_sect);
	ck_assert_uint_eq(a->nr_segs, b->nr_segs);
	ck_assert_uint_eq(a->flag, b->flag);
	for (uint32_t i = 0; i < RWY_BLK_MAX_DIRECT_SEGS; i++) {
		ck_assert_uint_eq(a->seg[i].gref, b->seg[i].gref);
		ck_assert_uint_eq(a->seg[i].first_sect, b->seg[i].first_sect);
		ck_assert_uint_eq(a->seg[i].last_sect, b->seg[i].last_sect);
	}
	for (uint32_t i = 0; i < RWY_BLK_MAX_INDIRECT_PAGES; i++)
		ck_assert_uint_eq(a->indirect_gref[i], b->indirect_gref[i]);
}

#define FILL_RW(foreign, req)                                                                  \
	do {                                                                                   \
		(foreign).operation = BLKIF_OP_WRITE;                                          \
		(foreign).nr_segments = 11;                                                    \
		(foreign).handle = HANDLE;                                                     \
		(foreign).id = ID;                                                             \
		(foreign).sector_number = SECTOR;                                              \
		for (uint32_t i_ = 0; i_ < 11; i_++) {                                         \
			(foreign).seg[i_].gref = (req).seg[i_].gref = 0xf0000000u + i_;        \
			(foreign).seg[i_].first_sect = (req).seg[i_].first_sect = (uint8_t)i_; \
			(foreign).seg[i_].last_sect = (req).seg[i_].last_sect = 250 - i_;      \
		}                                                                              \
	} while (0)

START_TEST(blk_read_write_layout)
{
	struct rwy_blk_request req = {.op = RWY_BLK_OP_WRITE,
				      .wire_op = BLKIF_OP_WRITE,
				      .handle = HANDLE,
				      .id = ID,
				      .sector = SECTOR,
				      .nr_segs = 11};
	struct blkif_request native;
	struct i386_request i386;

	memset(&native, 0, sizeof(native));
	memset(&i386, 0, sizeof(i386));
	FILL_RW(native, req);
	FILL_RW(i386, req);
	EXPECT_SAME(RWY_BLK_ABI_NATIVE, native, req);
	EXPECT_SAME(RWY_BLK_ABI_X86_64, native, req);
	EXPECT_SAME(RWY_BLK_ABI_X86_32, i386, req);
}
END_TEST

#define FILL_DISCARD(foreign)                           \
	do {                                            \
		(foreign).operation = BLKIF_OP_DISCARD; \
		(foreign).flag = BLKIF_DISCARD_SECURE;  \
		(foreign).handle = HANDLE;              \
		(foreign).id = ID;                      \
		(foreign).sector_number = SECTOR;       \
		(foreign).nr_sectors = NR;              \
	} while (0)

START_TEST(blk_discard_layout)
{
	struct rwy_blk_request req = {.op = RWY_BLK_OP_DISCARD,
				      .wire_op = BLKIF_OP_DISCARD,
				      .handle = HANDLE,
				      .id = ID,
				      .sector = SECTOR,
				      .nr_sect = NR,
				      .flag = BLKIF_DISCARD_SECURE};
	struct blkif_request_discard native;
	struct i386_discard i386;

	memset(&native, 0, sizeof(native));
	memset(&i386, 0, sizeof(i386));
	FILL_DISCARD(native);
	FILL_DISCARD(i386);
	EXPECT_SAME(RWY_BLK_ABI_NATIVE, native, req);
	EXPECT_SAME(RWY_BLK_ABI_X86_64, native, req);
	EXPECT_SAME(RWY_BLK_ABI_X86_32, i386, req);
}
END_TEST

#define FILL_INDIRECT(foreign, req)                                                                \
	do {                                                                                       \
		(foreign).operation = BLKIF_OP_INDIRECT;                                           \
		(foreign).indirect_op = BLKIF_OP_WRITE;                                            \
		(foreign).nr_segments = 4096;                                                      \
		(foreign).handle = HANDLE;                                                         \
		(foreign).id = ID;                                                                 \
		(foreign).sector_number = SECTOR;                                                  \
		for (uint32_t i_ = 0; i_ < 8; i_++)                                                \
			(foreign).indirect_grefs[i_] = (req).indirect_gref[i_] = 0xabcd0000u + i_; \
	} while (0)

START_TEST(blk_indirect_layout)
{
	struct rwy_blk_request req = {.op = RWY_BLK_OP_INDIRECT,
				      .inner = RWY_BLK_OP_WRITE,
				      .wire_op = BLKIF_OP_WRITE,
				      .handle = HANDLE,
				      .id = ID,
				      .sector = SECTOR,
				      .nr_segs = 4096};
	struct blkif_request_indirect native;
	struct i386_indirect i386;

	memset(&native, 0, sizeof(native));
	memset(&i386, 0, sizeof(i386));
	FILL_INDIRECT(native, req);
	FILL_INDIRECT(i386, req);
	EXPECT_SAME(RWY_BLK_ABI_NATIVE, native, req);
	EXPECT_SAME(RWY_BLK_ABI_X86_64, native, req);
	EXPECT_SAME(RWY_BLK_ABI_X86_32, i386, req);
}
END_TEST

static uint64_t random64(void)
{
	return (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand();
}

static void random_request(struct rwy_blk_request *req)
{
	static const uint8_t wire[] = {BLKIF_OP_READ,	       BLKIF_OP_WRITE,
				       BLKIF_OP_WRITE_BARRIER, BLKIF_OP_FLUSH_DISKCACHE,
				       BLKIF_OP_DISCARD,       BLKIF_OP_INDIRECT};

	memset(req, 0, sizeof(*req));
	req->op = (enum rwy_blk_op)(rand() % RWY_BLK_OP_UNKNOWN);
	req->wire_op = wire[req->op];
	req->handle = (uint16_t)rand();
	req->id = random64();
	if (req->op == RWY_BLK_OP_FLUSH)
		return;
	if (req->op == RWY_BLK_OP_DISCARD) {
		req->sector = random64();
		req->nr_sect = random64();
		req->flag = rand() & 1;
		return;
	}
	if (req->op == RWY_BLK_OP_INDIRECT) {
		req->sector = random64();
		req->nr_segs = (uint16_t)(rand() % 4097);
		req->inner = rand() & 1 ? RWY_BLK_OP_WRITE : RWY_BLK_OP_READ;
		req->wire_op = wire[req->inner];
		for (uint32_t i = 0; i < rwy_blk_indirect_pages(req->nr_segs); i++)
			req->indirect_gref[i] = (uint32_t)random64();
		return;
	}
	req->nr_segs = (uint16_t)(rand() % 12);
	req->sector = req->nr_segs ? random64() : 0;
	for (uint32_t i = 0; i < req->nr_segs; i++) {
		req->seg[i].gref = (uint32_t)random64();
		req->seg[i].first_sect = (uint8_t)rand();
		req->seg[i].last_sect = (uint8_t)rand();
	}
}

START_TEST(blk_request_round_trip)
{
	srand(20240912 + (unsigned int)_i);
	for (int n = 0; n < 500; n++) {
		uint8_t slot[RWY_BLK_MAX_SLOT_BYTES];
		struct rwy_blk_request req, back;

		random_request(&req);
		memset(slot, 0xee, sizeof(slot));
		ck_assert_int_eq(rwy_blk_encode_request(abis[_i], &req, slot),
				 (int)rwy_blk_slot_bytes(abis[_i]));
		rwy_blk_decode_request(abis[_i], slot, &back);
		expect_equal(&back, &req);
	}
}
END_TEST

START_TEST(blk_encode_refuses_what_wire_cannot_say)
{
	static const struct rwy_blk_request bad[] = {
		{.op = RWY_BLK_OP_UNKNOWN},
		{.op = (enum rwy_blk_op)77},
		{.op = RWY_BLK_OP_READ, .nr_segs = 12},
		{.op = RWY_BLK_OP_WRITE, .nr_segs = 256},
		{.op = RWY_BLK_OP_BARRIER, .nr_segs = UINT16_MAX},
		{.op = RWY_BLK_OP_FLUSH, .nr_segs = 1},
		{.op = RWY_BLK_OP_INDIRECT, .inner = RWY_BLK_OP_READ, .nr_segs = 4097},
		{.op = RWY_BLK_OP_INDIRECT, .inner = RWY_BLK_OP_FLUSH, .nr_segs = 1},
		{.op = RWY_BLK_OP_INDIRECT, .inner = RWY_BLK_OP_UNKNOWN, .nr_segs = 1},
	};
	uint8_t slot[RWY_BLK_MAX_SLOT_BYTES];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(rwy_blk_encode_request(abis[_i], &bad[i], slot), -EINVAL);
}
END_TEST

/* A slot of random bytes, with each operation: fields that it does not use stay zero. */
START_TEST(blk_decode_zeroes_unused_fields)
{
	srand(7);
	for (int n = 0; n < 2000; n++) {
		uint8_t slot[RWY_BLK_MAX_SLOT_BYTES];
		struct rwy_blk_request req;

		for (size_t i = 0; i < sizeof(slot); i++)
			slot[i] = (uint8_t)rand();
		slot[0] = (uint8_t)(n % 8);
		memset(&req, 0xee, sizeof(req));
		rwy_blk_decode_request(abis[_i], slot, &req);
		if (slot[0] == BLKIF_OP_INDIRECT) {
			if (slot[1] != BLKIF_OP_READ && slot[1] != BLKIF_OP_WRITE &&
			    req.inner != RWY_BLK_OP_UNKNOWN)
				ck_abort_msg("inner operation %u decoded as %d", slot[1],
					     req.inner);
		} else if (req.inner != RWY_BLK_OP_READ || req.indirect_gref[0]) {
			ck_abort_msg("operation %u has indirect fields", slot[0]);
		}
		if (slot[0] != BLKIF_OP_DISCARD && (req.flag || req.nr_sect))
			ck_abort_msg("operation %u has discard fields", slot[0]);
		if (slot[0] == BLKIF_OP_DISCARD && req.flag & ~BLKIF_DISCARD_SECURE)
			ck_abort_msg("discard has flag %u", req.flag);
		if (slot[0] > BLKIF_OP_FLUSH_DISKCACHE && req.seg[0].gref)
			ck_abort_msg("operation %u has segments", slot[0]);
		if (slot[0] == BLKIF_OP_FLUSH_DISKCACHE && (req.sector || req.seg[0].gref))
			ck_abort_msg("flush has a sector or segments");
		if (req.op == RWY_BLK_OP_UNKNOWN && (req.sector || req.nr_segs || req.handle))
			ck_abort_msg("unknown operation %u has fields", slot[0]);
	}
}
END_TEST

/* xen-blkfront sends a bare barrier or flush with whatever sector its request had. */
START_TEST(blk_decode_drops_sector_without_data)
{
	static const uint8_t wire[] = {BLKIF_OP_WRITE_BARRIER, BLKIF_OP_FLUSH_DISKCACHE};

	for (size_t i = 0; i < sizeof(wire); i++) {
		uint8_t slot[RWY_BLK_MAX_SLOT_BYTES];
		struct rwy_blk_request req;

		memset(slot, 0xff, sizeof(slot));
		slot[0] = wire[i];
		slot[1] = 0;
		rwy_blk_decode_request(abis[_i], slot, &req);
		ck_assert_uint_eq(req.sector, 0);
		ck_assert_uint_eq(req.id, UINT64_MAX);
	}
}
END_TEST

/* Every operation byte is known or UNKNOWN, and comes back in the response. */
START_TEST(blk_decodes_every_operation_byte)
{
	uint8_t slot[RWY_BLK_MAX_SLOT_BYTES] = {0};
	struct rwy_blk_request req;

	for (uint32_t wire = 0; wire < 256; wire++) {
		bool known = wire <= BLKIF_OP_INDIRECT && wire != BLKIF_OP_RESERVED_1;

		slot[0] = (uint8_t)wire;
		rwy_blk_decode_request(abis[_i], slot, &req);
		ck_assert_int_eq(req.op != RWY_BLK_OP_UNKNOWN, known);
		if (wire != BLKIF_OP_INDIRECT)
			ck_assert_uint_eq(req.wire_op, wire);
	}
}
END_TEST

/* xen-blkfront compares a response's operation with the inner one: a mismatch disables the disk. */
START_TEST(blk_indirect_is_answered_with_inner_op)
{
	uint8_t slot[RWY_BLK_MAX_SLOT_BYTES] = {BLKIF_OP_INDIRECT};
	struct rwy_blk_request req;

	for (uint32_t inner = 0; inner < 256; inner++) {
		slot[1] = (uint8_t)inner;
		rwy_blk_decode_request(abis[_i], slot, &req);
		ck_assert_uint_eq(req.wire_op, inner);
		ck_assert_int_eq(req.op, RWY_BLK_OP_INDIRECT);
	}
}
END_TEST

/* A decoder that reads past the slot of its ABI meets a page that faults. */
START_TEST(blk_decode_stays_in_slot)
{
	uint8_t *pages =
		mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t bytes = rwy_blk_slot_bytes(abis[_i]);
	struct rwy_blk_request req;

	ck_assert_ptr_ne(pages, MAP_FAILED);
	ck_assert_int_eq(mprotect(pages + 4096, 4096, PROT_NONE), 0);
	srand(11);
	for (int n = 0; n < 200000; n++) {
		uint8_t *slot = pages + 4096 - bytes;

		for (uint32_t i = 0; i < 8; i++)
			slot[(uint32_t)rand() % bytes] = (uint8_t)rand();
		slot[0] &= 7;
		rwy_blk_decode_request(abis[_i], slot, &req);
	}
	munmap(pages, 8192);
}
END_TEST

START_TEST(blk_response_padding_is_zero)
{
	struct rwy_blk_response rsp = {.id = ID, .wire_op = 0x5a, .status = BLKIF_RSP_EOPNOTSUPP};
	uint8_t buf[RWY_BLK_MAX_SLOT_BYTES], want[RWY_BLK_MAX_SLOT_BYTES];
	struct i386_response i386;
	struct blkif_response native;
	uint32_t bytes = rwy_blk_response_bytes(abis[_i]);

	memset(&i386, 0, sizeof(i386));
	memset(&native, 0, sizeof(native));
	i386.id = native.id = ID;
	i386.operation = native.operation = 0x5a;
	i386.status = native.status = BLKIF_RSP_EOPNOTSUPP;
	memcpy(want, abis[_i] == RWY_BLK_ABI_X86_32 ? (void *)&i386 : (void *)&native, bytes);
	memset(buf, 0xff, sizeof(buf));
	ck_assert_uint_eq(rwy_blk_encode_response(abis[_i], &rsp, buf), bytes);
	ck_assert_mem_eq(buf, want, bytes);
}
END_TEST

START_TEST(blk_response_round_trip)
{
	static const int16_t status[] = {BLKIF_RSP_OKAY, BLKIF_RSP_ERROR, BLKIF_RSP_EOPNOTSUPP, 77,
					 INT16_MIN};
	uint8_t buf[RWY_BLK_MAX_SLOT_BYTES];

	srand(3);
	for (int n = 0; n < 500; n++) {
		struct rwy_blk_response back, rsp = {.id = random64(),
						     .wire_op = (uint8_t)rand(),
						     .status = status[n % 5]};

		memset(&back, 0xee, sizeof(back));
		rwy_blk_encode_response(abis[_i], &rsp, buf);
		rwy_blk_decode_response(abis[_i], buf, &back);
		ck_assert_uint_eq(back.id, rsp.id);
		ck_assert_uint_eq(back.wire_op, rsp.wire_op);
		ck_assert_int_eq(back.status, rsp.status);
	}
}
END_TEST

START_TEST(blk_segment_page_round_trip)
{
	static struct rwy_blk_seg seg[RWY_BLK_SEGS_PER_PAGE], back[RWY_BLK_SEGS_PER_PAGE];
	static struct blkif_request_segment page[RWY_BLK_SEGS_PER_PAGE + 1];

	ck_assert_uint_eq(RWY_BLK_SEGS_PER_PAGE * sizeof(page[0]), 4096);
	for (uint32_t i = 0; i < RWY_BLK_SEGS_PER_PAGE; i++)
		seg[i] = (struct rwy_blk_seg){.gref = ~i, .first_sect = (uint8_t)i, .last_sect = 9};
	memset(&page[RWY_BLK_SEGS_PER_PAGE], 0x77, sizeof(page[0]));
	rwy_blk_encode_segs(seg, RWY_BLK_SEGS_PER_PAGE, page);
	for (uint32_t i = 0; i < RWY_BLK_SEGS_PER_PAGE; i++) {
		ck_assert_uint_eq(page[i].gref, ~i);
		ck_assert_uint_eq(page[i].first_sect, (uint8_t)i);
		ck_assert_uint_eq(page[i].last_sect, 9);
	}
	ck_assert_uint_eq(page[RWY_BLK_SEGS_PER_PAGE].gref, 0x77777777);
	rwy_blk_decode_segs(page, 3, back);
	ck_assert_uint_eq(back[2].gref, seg[2].gref);
	ck_assert_uint_eq(back[3].gref, 0);
	rwy_blk_decode_segs(page, RWY_BLK_SEGS_PER_PAGE, back);
	ck_assert_mem_eq(back, seg, sizeof(seg));
}
END_TEST

START_TEST(blk_indirect_pages_round_up)
{
	static const uint32_t want[][2] = {{0, 0},    {1, 1},	       {512, 1},
					   {513, 2},  {1024, 2},       {4095, 8},
					   {4096, 8}, {UINT32_MAX, 8}, {65535, 8}};

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		ck_assert_uint_eq(rwy_blk_indirect_pages(want[i][0]), want[i][1]);
}
END_TEST

START_TEST(blk_abi_parses_protocol_node)
{
	static const char *bad[] = {"",		  "x86",     "x86_64-ab", "x86_64-abi ",
				    "X86_64-abi", "ia64-abi"};
	enum rwy_blk_abi abi;

	ck_assert_int_eq(rwy_blk_abi_parse(NULL, &abi), 0);
	ck_assert_int_eq(abi, RWY_BLK_ABI_NATIVE);
	ck_assert_int_eq(rwy_blk_abi_parse("x86_32-abi", &abi), 0);
	ck_assert_int_eq(abi, RWY_BLK_ABI_X86_32);
	ck_assert_int_eq(rwy_blk_abi_parse("x86_64-abi", &abi), 0);
	ck_assert_int_eq(abi, RWY_BLK_ABI_X86_64);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(rwy_blk_abi_parse(bad[i], &abi), -EINVAL);
	for (size_t i = 0; i < NR_ABIS; i++) {
		ck_assert_int_eq(rwy_blk_abi_parse(rwy_blk_abi_name(abis[i]), &abi), 0);
		ck_assert_uint_eq(rwy_blk_slot_bytes(abi), rwy_blk_slot_bytes(abis[i]));
	}
}
END_TEST

static Suite *blk_wire_suite(void)
{
	Suite *s = suite_create("blk_wire");
	TCase *tc = tcase_create("blk_wire");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, blk_sizes_are_those_of_the_abis);
	tcase_add_test(tc, blk_read_write_layout);
	tcase_add_test(tc, blk_discard_layout);
	tcase_add_test(tc, blk_indirect_layout);
	tcase_add_loop_test(tc, blk_request_round_trip, 0, NR_ABIS);
	tcase_add_loop_test(tc, blk_encode_refuses_what_wire_cannot_say, 0, NR_ABIS);
	tcase_add_loop_test(tc, blk_decode_zeroes_unused_fields, 0, NR_ABIS);
	tcase_add_loop_test(tc, blk_decode_drops_sector_without_data, 0, NR_ABIS);
	tcase_add_loop_test(tc, blk_decodes_every_operation_byte, 0, NR_ABIS);
	tcase_add_loop_test(tc, blk_indirect_is_answered_with_inner_op, 0, NR_ABIS);
	tcase_add_loop_test(tc, blk_decode_stays_in_slot, 0, NR_ABIS);
	tcase_add_loop_test(tc, blk_response_padding_is_zero, 0, NR_ABIS);
	tcase_add_loop_test(tc, blk_response_round_trip, 0, NR_ABIS);
	tcase_add_test(tc, blk_segment_page_round_trip);
	tcase_add_test(tc, blk_indirect_pages_round_up);
	tcase_add_test(tc, blk_abi_parses_protocol_node);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(blk_wire_suite)
