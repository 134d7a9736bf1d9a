// SPDX-License-Identifier: MIT
/*
 * Unit suite of ring/blk_wire.c: the rules. Every fault, in all three ABIs, from the wire through
 * decoding to the verdict, with the last good value beside the first bad one.
 */
#include "ring/blk_wire.h"
#include "tests/check_main.h"

static const enum rwy_blk_abi abis[] = {RWY_BLK_ABI_NATIVE, RWY_BLK_ABI_X86_32, RWY_BLK_ABI_X86_64};
#define NR_ABIS 3

/* A device that offers everything, 1000 sectors long. */
#define CAPACITY 1000
static const struct rwy_blk_limits offers_all = {
	.capacity_sect = CAPACITY,
	.flush = true,
	.barrier = true,
	.discard = true,
	.indirect_segs = 256,
};

/* One request on the wire; `operand` follows the operation: segments, flag or inner operation. */
struct wire {
	uint8_t operation;
	uint8_t operand;
	uint16_t nr_indirect;
	uint8_t first_sect, last_sect; /* of every segment */
	uint64_t sector;
	uint64_t nr_sect; /* discard */
};

/* Written at the offsets of the protocol's description, apart from the encoder. */
static void to_slot(enum rwy_blk_abi abi, const struct wire *w, uint8_t *slot)
{
	uint32_t at = abi == RWY_BLK_ABI_X86_32 ? 4 : 8;

	memset(slot, 0, RWY_BLK_MAX_SLOT_BYTES);
	slot[0] = w->operation;
	slot[1] = w->operand;
	if (w->operation == BLKIF_OP_INDIRECT)
		memcpy(slot + 2, &w->nr_indirect, 2);
	memset(slot + at, 0x42, 8);
	memcpy(slot + at + 8, &w->sector, 8);
	if (w->operation == BLKIF_OP_DISCARD) {
		memcpy(slot + at + 16, &w->nr_sect, 8);
	} else if (w->operation != BLKIF_OP_INDIRECT) {
		for (uint32_t i = 0; i < 11; i++) {
			slot[at + 16 + i * 8 + 4] = w->first_sect;
			slot[at + 16 + i * 8 + 5] = w->last_sect;
		}
	}
}

static enum rwy_blk_fault verdict(enum rwy_blk_abi abi, const struct wire *w,
				  const struct rwy_blk_limits *lim, struct rwy_blk_request *req)
{
	uint8_t slot[RWY_BLK_MAX_SLOT_BYTES];

	to_slot(abi, w, slot);
	rwy_blk_decode_request(abi, slot, req);
	ck_assert_uint_eq(req->id, 0x4242424242424242);
	return rwy_blk_validate(req, lim);
}

struct rule {
	const char *what;
	struct wire wire;
	enum rwy_blk_fault fault;
};

static void expect_rules(enum rwy_blk_abi abi, const struct rule *rules, size_t nr,
			 const struct rwy_blk_limits *lim)
{
	for (size_t i = 0; i < nr; i++) {
		struct rwy_blk_request req;
		enum rwy_blk_fault fault = verdict(abi, &rules[i].wire, lim, &req);

		ck_assert_msg(fault == rules[i].fault, "%s: got \"%s\", want \"%s\"", rules[i].what,
			      rwy_blk_fault_text(fault), rwy_blk_fault_text(rules[i].fault));
	}
}

#define EXPECT_RULES(rules, lim) \
	expect_rules(abis[_i], rules, sizeof(rules) / sizeof(rules[0]), lim)

#define READ	 BLKIF_OP_READ
#define WRITE	 BLKIF_OP_WRITE
#define BARRIER	 BLKIF_OP_WRITE_BARRIER
#define FLUSH	 BLKIF_OP_FLUSH_DISKCACHE
#define DISCARD	 BLKIF_OP_DISCARD
#define INDIRECT BLKIF_OP_INDIRECT

START_TEST(blk_rejects_unknown_operations)
{
	for (uint32_t op = 0; op < 256; op++) {
		struct wire w = {.operation = (uint8_t)op, .operand = 0, .nr_indirect = 1};
		struct rwy_blk_request req;
		bool known = op <= INDIRECT && op != 4;

		ck_assert_int_eq(verdict(abis[_i], &w, &offers_all, &req) == RWY_BLK_BAD_OP,
				 !known);
	}
}
END_TEST

START_TEST(blk_rejects_what_was_not_offered)
{
	static const struct rwy_blk_limits offers_none = {.capacity_sect = CAPACITY};
	static const struct rule rules[] = {
		{"read", {READ, 1, 0, 0, 7, 0, 0}, RWY_BLK_OK},
		{"write", {WRITE, 1, 0, 0, 7, 0, 0}, RWY_BLK_OK},
		{"barrier", {BARRIER, 1, 0, 0, 7, 0, 0}, RWY_BLK_NOT_OFFERED},
		{"bare barrier", {BARRIER, 0, 0, 0, 0, 0, 0}, RWY_BLK_NOT_OFFERED},
		{"flush", {FLUSH, 0, 0, 0, 0, 0, 0}, RWY_BLK_NOT_OFFERED},
		{"discard", {DISCARD, 0, 0, 0, 0, 0, 1}, RWY_BLK_NOT_OFFERED},
		{"indirect", {INDIRECT, READ, 1, 0, 0, 0, 0}, RWY_BLK_NOT_OFFERED},
	};
	static const struct rule offered[] = {
		{"barrier", {BARRIER, 1, 0, 0, 7, 0, 0}, RWY_BLK_OK},
		{"flush", {FLUSH, 0, 0, 0, 0, 0, 0}, RWY_BLK_OK},
		{"discard", {DISCARD, 0, 0, 0, 0, 0, 1}, RWY_BLK_OK},
		{"indirect", {INDIRECT, READ, 1, 0, 0, 0, 0}, RWY_BLK_OK},
	};

	EXPECT_RULES(rules, &offers_none);
	EXPECT_RULES(offered, &offers_all);
}
END_TEST

/* Each feature is asked for by its own operation, not by another's flag. */
START_TEST(blk_offers_are_independent)
{
	static const struct wire wires[] = {{BARRIER, 1, 0, 0, 7, 0, 0},
					    {FLUSH, 0, 0, 0, 0, 0, 0},
					    {DISCARD, 0, 0, 0, 0, 0, 1},
					    {INDIRECT, READ, 1, 0, 0, 0, 0}};

	for (int offer = 0; offer < 4; offer++) {
		struct rwy_blk_limits lim = {.capacity_sect = CAPACITY,
					     .barrier = offer == 0,
					     .flush = offer == 1,
					     .discard = offer == 2,
					     .indirect_segs = offer == 3 ? 1 : 0};

		for (int op = 0; op < 4; op++) {
			struct rwy_blk_request req;

			ck_assert_int_eq(verdict(abis[_i], &wires[op], &lim, &req),
					 op == offer ? RWY_BLK_OK : RWY_BLK_NOT_OFFERED);
		}
	}
}
END_TEST

START_TEST(blk_rejects_writes_when_read_only)
{
	static const struct rule rules[] = {
		{"read", {READ, 1, 0, 0, 7, 0, 0}, RWY_BLK_OK},
		{"flush", {FLUSH, 0, 0, 0, 0, 0, 0}, RWY_BLK_OK},
		{"indirect read", {INDIRECT, READ, 1, 0, 0, 0, 0}, RWY_BLK_OK},
		{"write", {WRITE, 1, 0, 0, 7, 0, 0}, RWY_BLK_READ_ONLY},
		{"barrier", {BARRIER, 1, 0, 0, 7, 0, 0}, RWY_BLK_READ_ONLY},
		{"bare barrier", {BARRIER, 0, 0, 0, 0, 0, 0}, RWY_BLK_READ_ONLY},
		{"discard", {DISCARD, 0, 0, 0, 0, 0, 1}, RWY_BLK_READ_ONLY},
		{"indirect write", {INDIRECT, WRITE, 1, 0, 0, 0, 0}, RWY_BLK_READ_ONLY},
	};
	struct rwy_blk_limits lim = offers_all;

	lim.read_only = true;
	EXPECT_RULES(rules, &lim);
}
END_TEST

START_TEST(blk_rejects_segment_counts)
{
	static const struct rule rules[] = {
		{"read of none", {READ, 0, 0, 0, 0, 0, 0}, RWY_BLK_NO_SEGMENTS},
		{"write of none", {WRITE, 0, 0, 0, 0, 0, 0}, RWY_BLK_NO_SEGMENTS},
		{"bare barrier", {BARRIER, 0, 0, 0, 0, 0, 0}, RWY_BLK_OK},
		{"indirect of none", {INDIRECT, READ, 0, 0, 0, 0, 0}, RWY_BLK_NO_SEGMENTS},
		{"read of 11", {READ, 11, 0, 0, 7, 0, 0}, RWY_BLK_OK},
		{"read of 12", {READ, 12, 0, 0, 7, 0, 0}, RWY_BLK_TOO_MANY_SEGMENTS},
		{"write of 255", {WRITE, 255, 0, 0, 7, 0, 0}, RWY_BLK_TOO_MANY_SEGMENTS},
		{"barrier of 12", {BARRIER, 12, 0, 0, 7, 0, 0}, RWY_BLK_TOO_MANY_SEGMENTS},
		{"flush with data", {FLUSH, 1, 0, 0, 7, 0, 0}, RWY_BLK_TOO_MANY_SEGMENTS},
		{"indirect of 256", {INDIRECT, READ, 256, 0, 0, 0, 0}, RWY_BLK_OK},
		{"indirect of 257", {INDIRECT, READ, 257, 0, 0, 0, 0}, RWY_BLK_TOO_MANY_SEGMENTS},
		{"indirect of 65535",
		 {INDIRECT, READ, 65535, 0, 0, 0, 0},
		 RWY_BLK_TOO_MANY_SEGMENTS},
	};

	EXPECT_RULES(rules, &offers_all);
}
END_TEST

/* Eight pages hold 4096 segments, whatever was offered by mistake. */
START_TEST(blk_rejects_more_segments_than_pages_hold)
{
	static const struct rule rules[] = {
		{"indirect of 4096", {INDIRECT, READ, 4096, 0, 0, 0, 0}, RWY_BLK_OK},
		{"indirect of 4097", {INDIRECT, READ, 4097, 0, 0, 0, 0}, RWY_BLK_TOO_MANY_SEGMENTS},
	};
	struct rwy_blk_limits lim = offers_all;

	lim.indirect_segs = UINT16_MAX;
	lim.capacity_sect = 100000;
	EXPECT_RULES(rules, &lim);
}
END_TEST

START_TEST(blk_rejects_bad_inner_operation)
{
	for (uint32_t inner = 0; inner < 256; inner++) {
		struct wire w = {INDIRECT, (uint8_t)inner, 1, 0, 0, 0, 0};
		struct rwy_blk_request req;

		ck_assert_int_eq(verdict(abis[_i], &w, &offers_all, &req),
				 inner <= WRITE ? RWY_BLK_OK : RWY_BLK_BAD_INNER_OP);
	}
}
END_TEST

/* All 65536 pairs of bytes, direct and in indirect pages. */
START_TEST(blk_rejects_segment_past_page_or_backwards)
{
	for (uint32_t pair = 0; pair < 65536; pair++) {
		uint8_t first = (uint8_t)pair, last = (uint8_t)(pair >> 8);
		struct rwy_blk_seg seg = {.first_sect = first, .last_sect = last};
		struct rwy_blk_request req = {.op = RWY_BLK_OP_READ, .nr_segs = 1, .seg = {seg}};
		struct rwy_blk_request indirect = {.op = RWY_BLK_OP_INDIRECT, .nr_segs = 1};
		enum rwy_blk_fault want = last > 7	 ? RWY_BLK_SEGMENT_PAST_PAGE
					  : first > last ? RWY_BLK_SEGMENT_BACKWARDS
							 : RWY_BLK_OK;

		if (rwy_blk_validate(&req, &offers_all) != want)
			ck_abort_msg("direct segment %u to %u", first, last);
		if (rwy_blk_validate_segs(&indirect, &seg, &offers_all) != want)
			ck_abort_msg("indirect segment %u to %u", first, last);
		if (!want && (req.nr_sect != last - first + 1u || indirect.nr_sect != req.nr_sect))
			ck_abort_msg("segment %u to %u has %lu sectors", first, last, req.nr_sect);
	}
}
END_TEST

/* The last segment is judged as well as the first, in every ABI. */
START_TEST(blk_judges_every_segment)
{
	for (uint32_t bad = 0; bad < 11; bad++) {
		struct wire w = {READ, 11, 0, 0, 7, 0, 0};
		uint8_t slot[RWY_BLK_MAX_SLOT_BYTES];
		struct rwy_blk_request req;
		uint32_t at = abis[_i] == RWY_BLK_ABI_X86_32 ? 20 : 24;

		to_slot(abis[_i], &w, slot);
		slot[at + bad * 8 + 5] = 8;
		rwy_blk_decode_request(abis[_i], slot, &req);
		ck_assert_int_eq(rwy_blk_validate(&req, &offers_all), RWY_BLK_SEGMENT_PAST_PAGE);
		slot[at + bad * 8 + 5] = 2;
		slot[at + bad * 8 + 4] = 3;
		rwy_blk_decode_request(abis[_i], slot, &req);
		ck_assert_int_eq(rwy_blk_validate(&req, &offers_all), RWY_BLK_SEGMENT_BACKWARDS);
	}
}
END_TEST

START_TEST(blk_rejects_past_end)
{
	static const struct rule rules[] = {
		{"last sector", {READ, 1, 0, 7, 7, CAPACITY - 1, 0}, RWY_BLK_OK},
		{"first sector past the end", {READ, 1, 0, 7, 7, CAPACITY, 0}, RWY_BLK_PAST_END},
		{"last page", {WRITE, 1, 0, 0, 7, CAPACITY - 8, 0}, RWY_BLK_OK},
		{"page across the end", {WRITE, 1, 0, 0, 7, CAPACITY - 7, 0}, RWY_BLK_PAST_END},
		{"last 88 sectors", {BARRIER, 11, 0, 0, 7, CAPACITY - 88, 0}, RWY_BLK_OK},
		{"88 across the end", {BARRIER, 11, 0, 0, 7, CAPACITY - 87, 0}, RWY_BLK_PAST_END},
		{"sector that wraps", {READ, 1, 0, 0, 7, UINT64_MAX, 0}, RWY_BLK_PAST_END},
		{"sum that wraps to 0", {READ, 1, 0, 0, 7, UINT64_MAX - 7, 0}, RWY_BLK_PAST_END},
		{"sector times 512 wraps", {READ, 1, 0, 0, 7, 1ull << 55, 0}, RWY_BLK_PAST_END},
		{"flush of any sector", {FLUSH, 0, 0, 0, 0, UINT64_MAX, 0}, RWY_BLK_OK},
		{"bare barrier of any sector", {BARRIER, 0, 0, 0, 0, UINT64_MAX, 0}, RWY_BLK_OK},
		{"discard of all", {DISCARD, 0, 0, 0, 0, 0, CAPACITY}, RWY_BLK_OK},
		{"discard of more", {DISCARD, 0, 0, 0, 0, 0, CAPACITY + 1}, RWY_BLK_PAST_END},
		{"discard of the last", {DISCARD, 0, 0, 0, 0, CAPACITY - 1, 1}, RWY_BLK_OK},
		{"discard across", {DISCARD, 0, 0, 0, 0, CAPACITY - 1, 2}, RWY_BLK_PAST_END},
		{"discard that wraps", {DISCARD, 0, 0, 0, 0, 2, UINT64_MAX}, RWY_BLK_PAST_END},
		{"discard of sector that wraps",
		 {DISCARD, 0, 0, 0, 0, UINT64_MAX, 1},
		 RWY_BLK_PAST_END},
		{"discard of nothing at the end", {DISCARD, 0, 0, 0, 0, CAPACITY, 0}, RWY_BLK_OK},
		{"discard of nothing past it",
		 {DISCARD, 0, 0, 0, 0, CAPACITY + 1, 0},
		 RWY_BLK_PAST_END},
		{"indirect that can't fit",
		 {INDIRECT, READ, 256, 0, 0, CAPACITY - 255, 0},
		 RWY_BLK_PAST_END},
		{"indirect that may", {INDIRECT, READ, 256, 0, 0, CAPACITY - 256, 0}, RWY_BLK_OK},
	};

	EXPECT_RULES(rules, &offers_all);
}
END_TEST

START_TEST(blk_judges_range_at_both_ends_of_capacity)
{
	static const struct rule empty[] = {
		{"read of an empty device", {READ, 1, 0, 0, 0, 0, 0}, RWY_BLK_PAST_END},
		{"discard of an empty device", {DISCARD, 0, 0, 0, 0, 0, 1}, RWY_BLK_PAST_END},
		{"flush of an empty device", {FLUSH, 0, 0, 0, 0, 0, 0}, RWY_BLK_OK},
	};
	static const struct rule largest[] = {
		{"end", {READ, 1, 0, 0, 7, RWY_BLK_MAX_CAPACITY_SECT - 8, 0}, RWY_BLK_OK},
		{"past", {READ, 1, 0, 0, 7, RWY_BLK_MAX_CAPACITY_SECT - 7, 0}, RWY_BLK_PAST_END},
		{"all", {DISCARD, 0, 0, 0, 0, 0, RWY_BLK_MAX_CAPACITY_SECT}, RWY_BLK_OK},
		{"wrap",
		 {DISCARD, 0, 0, 0, 0, RWY_BLK_MAX_CAPACITY_SECT, UINT64_MAX},
		 RWY_BLK_PAST_END},
	};
	struct rwy_blk_limits lim = offers_all;

	lim.capacity_sect = 0;
	EXPECT_RULES(empty, &lim);
	lim.capacity_sect = RWY_BLK_MAX_CAPACITY_SECT;
	EXPECT_RULES(largest, &lim);
}
END_TEST

START_TEST(blk_validate_fills_nr_sect)
{
	struct wire w = {WRITE, 5, 0, 2, 6, 100, 0}, discard = {DISCARD, 0, 0, 0, 0, 3, 17};
	struct wire bare = {BARRIER, 0, 0, 0, 0, 99, 0};
	struct rwy_blk_request req;

	ck_assert_int_eq(verdict(abis[_i], &w, &offers_all, &req), RWY_BLK_OK);
	ck_assert_uint_eq(req.nr_sect, 25);
	ck_assert_int_eq(verdict(abis[_i], &discard, &offers_all, &req), RWY_BLK_OK);
	ck_assert_uint_eq(req.nr_sect, 17);
	ck_assert_int_eq(verdict(abis[_i], &bare, &offers_all, &req), RWY_BLK_OK);
	ck_assert_uint_eq(req.nr_sect, 0);
}
END_TEST

START_TEST(blk_judges_indirect_segments)
{
	static struct rwy_blk_seg seg[RWY_BLK_MAX_INDIRECT_SEGS];
	struct rwy_blk_limits lim = offers_all;
	struct rwy_blk_request req = {.op = RWY_BLK_OP_INDIRECT, .sector = 10, .nr_segs = 4096};

	for (uint32_t i = 0; i < RWY_BLK_MAX_INDIRECT_SEGS; i++)
		seg[i].last_sect = 7;
	lim.capacity_sect = 10 + 32768;
	ck_assert_int_eq(rwy_blk_validate_segs(&req, seg, &lim), RWY_BLK_OK);
	ck_assert_uint_eq(req.nr_sect, 32768);
	lim.capacity_sect--;
	ck_assert_int_eq(rwy_blk_validate_segs(&req, seg, &lim), RWY_BLK_PAST_END);
	seg[4095].last_sect = 8;
	ck_assert_int_eq(rwy_blk_validate_segs(&req, seg, &lim), RWY_BLK_SEGMENT_PAST_PAGE);
	seg[4095].last_sect = 0;
	seg[4095].first_sect = 1;
	ck_assert_int_eq(rwy_blk_validate_segs(&req, seg, &lim), RWY_BLK_SEGMENT_BACKWARDS);
	req.nr_segs = 4095;
	ck_assert_int_eq(rwy_blk_validate_segs(&req, seg, &lim), RWY_BLK_OK);
}
END_TEST

/* Random slots: whatever passes keeps every promise the header makes to the handlers. */
START_TEST(blk_valid_requests_are_bounded)
{
	uint32_t passed = 0;

	srand(20160909);
	for (int n = 0; n < 500000; n++) {
		struct wire w = {(uint8_t)(rand() % 8),	       (uint8_t)(rand() % 16),
				 (uint16_t)(rand() % 300),     (uint8_t)(rand() % 9),
				 (uint8_t)(rand() % 9),	       (uint64_t)(rand() % (CAPACITY + 9)),
				 (uint64_t)(rand() % CAPACITY)};
		uint8_t slot[RWY_BLK_MAX_SLOT_BYTES];
		struct rwy_blk_request req;

		to_slot(abis[_i], &w, slot);
		rwy_blk_decode_request(abis[_i], slot, &req);
		if (rwy_blk_validate(&req, &offers_all))
			continue;
		passed++;
		if (req.sector > CAPACITY || req.nr_sect > CAPACITY - req.sector)
			ck_abort_msg("sectors %lu + %lu passed", req.sector, req.nr_sect);
		if (req.op == RWY_BLK_OP_INDIRECT) {
			if (!req.nr_segs || req.nr_segs > 256 || req.inner > RWY_BLK_OP_WRITE)
				ck_abort_msg("indirect of %u segments passed", req.nr_segs);
			continue;
		}
		if (req.op == RWY_BLK_OP_UNKNOWN || req.nr_segs > RWY_BLK_MAX_DIRECT_SEGS)
			ck_abort_msg("operation %d of %u segments passed", req.op, req.nr_segs);
		for (uint32_t i = 0; i < req.nr_segs; i++)
			if (req.seg[i].last_sect > 7 ||
			    req.seg[i].first_sect > req.seg[i].last_sect)
				ck_abort_msg("segment %u passed", i);
	}
	ck_assert_uint_gt(passed, 50000);
}
END_TEST

START_TEST(blk_fault_texts_are_distinct)
{
	for (int a = 0; a < RWY_BLK_NR_FAULTS; a++) {
		const char *text = rwy_blk_fault_text((enum rwy_blk_fault)a);

		ck_assert_uint_gt(strlen(text), 10);
		ck_assert_str_ne(text, "unknown fault");
		for (int b = 0; b < a; b++)
			ck_assert_str_ne(text, rwy_blk_fault_text((enum rwy_blk_fault)b));
	}
	ck_assert_str_eq(rwy_blk_fault_text(RWY_BLK_NR_FAULTS), "unknown fault");
	ck_assert_str_eq(rwy_blk_fault_text((enum rwy_blk_fault) - 5), "unknown fault");
}
END_TEST

START_TEST(blk_fault_status_is_eopnotsupp_for_operations)
{
	for (int f = 1; f <= RWY_BLK_NR_FAULTS; f++) {
		bool unsupported = f == RWY_BLK_BAD_OP || f == RWY_BLK_NOT_OFFERED;

		ck_assert_int_eq(rwy_blk_fault_status((enum rwy_blk_fault)f),
				 unsupported ? BLKIF_RSP_EOPNOTSUPP : BLKIF_RSP_ERROR);
	}
	ck_assert_int_eq(rwy_blk_fault_status(RWY_BLK_OK), BLKIF_RSP_OKAY);
}
END_TEST

static Suite *blk_wire_rules_suite(void)
{
	Suite *s = suite_create("blk_wire_rules");
	TCase *tc = tcase_create("blk_wire_rules");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, blk_rejects_unknown_operations, 0, NR_ABIS);
	tcase_add_loop_test(tc, blk_rejects_what_was_not_offered, 0, NR_ABIS);
	tcase_add_loop_test(tc, blk_offers_are_independent, 0, NR_ABIS);
	tcase_add_loop_test(tc, blk_rejects_writes_when_read_only, 0, NR_ABIS);
	tcase_add_loop_test(tc, blk_rejects_segment_counts, 0, NR_ABIS);
	tcase_add_loop_test(tc, blk_rejects_more_segments_than_pages_hold, 0, NR_ABIS);
	tcase_add_loop_test(tc, blk_rejects_bad_inner_operation, 0, NR_ABIS);
	tcase_add_test(tc, blk_rejects_segment_past_page_or_backwards);
	tcase_add_loop_test(tc, blk_judges_every_segment, 0, NR_ABIS);
	tcase_add_loop_test(tc, blk_rejects_past_end, 0, NR_ABIS);
	tcase_add_loop_test(tc, blk_judges_range_at_both_ends_of_capacity, 0, NR_ABIS);
	tcase_add_loop_test(tc, blk_validate_fills_nr_sect, 0, NR_ABIS);
	tcase_add_test(tc, blk_judges_indirect_segments);
	tcase_add_loop_test(tc, blk_valid_requests_are_bounded, 0, NR_ABIS);
	tcase_add_test(tc, blk_fault_texts_are_distinct);
	tcase_add_test(tc, blk_fault_status_is_eopnotsupp_for_operations);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(blk_wire_rules_suite)
