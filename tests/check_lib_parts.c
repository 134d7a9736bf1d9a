// SPDX-License-Identifier: MIT
/*
 * libringway's pure parts: the backend's features, the pool of granted pages, and requests cut into
 * parts. Grants are those of lib_grants.h.
 */
#include "frontend/user/lib_part.h"
#include "frontend/user/lib_features.h"
#include "tests/lib_grants.h"

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

#define NR(table) ((int)(sizeof(table) / sizeof((table)[0])))

static Suite *lib_parts_suite(void)
{
	Suite *suite = suite_create("lib_parts");
	TCase *tc = tcase_create("parts");

	tcase_add_test(tc, features_have_defaults);
	tcase_add_test(tc, features_are_read);
	tcase_add_loop_test(tc, senseless_features_are_refused_by_name, 0, NR(bad_features));
	tcase_add_test(tc, pool_is_zeroed_and_hands_out_each_page_once);
	tcase_add_loop_test(tc, pool_takes_what_the_system_grants, 0, NR(pool_limits));
	tcase_add_loop_test(tc, requests_are_cut_into_parts_of_eleven_pages, 0, NR(cuts));
	tcase_add_test(tc, flush_is_one_part_without_pages);
	suite_add_tcase(suite, tc);
	return suite;
}

CHECK_MAIN(lib_parts_suite)
