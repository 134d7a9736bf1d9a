// SPDX-License-Identifier: MIT
/*
 * Unit tests of virtual device names: the encodings of xen-vbd-interface(7), every bound of each,
 * and that formatting is undone by parsing over all xvd disks and all short ids.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/vdev.h"
#include "tests/check_main.h"

struct known {
	const char *name;
	uint32_t devid;
};

static void assert_parses(const char *name, uint32_t devid)
{
	uint32_t got = 0;
	int err = rwy_vdev_parse(name, &got);

	ck_assert_msg(err == 0, "%s: %s", name, strerror(-err));
	ck_assert_msg(got == devid, "%s: %u, not %u", name, got, devid);
}

static void assert_round_trip(uint32_t devid)
{
	char name[RWY_VDEV_NAME_BYTES];
	uint32_t got = 0;
	size_t len = rwy_vdev_format(devid, name);

	if (len != strlen(name) || rwy_vdev_parse(name, &got) != 0 || got != devid)
		ck_abort_msg("%u formats to \"%s\" (length %zu), which parses to %u", devid, name,
			     len, got);
}

/* Names that are also what formatting gives. */
static const struct known canonical[] = {
	{"xvda", 51712},
	{"xvda1", 51713},
	{"xvda15", 51727},
	{"xvdb", 51728},
	{"xvdp15", 51967},
	{"xvda16", 0x10000010},
	{"xvda255", 0x100000ff},
	{"xvdp16", 0x10000f10},
	{"xvdq", 0x10001000},
	{"xvdq1", 0x10001001},
	{"xvdz", 0x10001900},
	{"xvdaa", 0x10001a00},
	{"xvdaz", 0x10003300},
	{"xvdba", 0x10003400},
	{"xvdzz", 0x1002bd00},
	{"xvdaaa", 0x1002be00},
	{"xvdtq37", 1u << 28 | 536u << 8 | 37},
	{"xvdbgqcv", 0x10000000 | 0xfffffu << 8},
	{"xvdbgqcv255", 0x1fffffff},
	{"sda", 2048},
	{"sdb3", 2067},
	{"sdp15", 2303},
	{"hda", 768},
	{"hda63", 831},
	{"hdb1", 833},
	{"hdb63", 895},
	{"hdc", 5632},
	{"hdd63", 5759},
	{"0", 0},
	{"767", 767},
	{"896", 896},
	{"5760", 5760},
	{"268435456", 1u << 28},
};

START_TEST(vdev_knows_the_documented_encodings)
{
	char name[RWY_VDEV_NAME_BYTES];

	for (size_t i = 0; i < sizeof(canonical) / sizeof(canonical[0]); i++) {
		assert_parses(canonical[i].name, canonical[i].devid);
		rwy_vdev_format(canonical[i].devid, name);
		ck_assert_str_eq(name, canonical[i].name);
	}
}
END_TEST

START_TEST(vdev_accepts_disk_numbers_and_ids)
{
	assert_parses("d0", 51712);
	assert_parses("d0p0", 51712);
	assert_parses("d1p2", 51730);
	assert_parses("d15p15", 51967);
	assert_parses("d16", 0x10001000);
	assert_parses("d0p16", 0x10000010);
	assert_parses("d536p37", 1u << 28 | 536u << 8 | 37);
	assert_parses("d1048575p255", 0x1fffffff);
	assert_parses("51712", 51712);
	assert_parses("0xca00", 51712);
	assert_parses("0x1fffffff", 0x1fffffff);
	assert_parses("536870911", 0x1fffffff);
}
END_TEST

START_TEST(vdev_refuses_what_is_no_name)
{
	static const char *const bad[] = {
		"",	   "xvd",    "xvd1",   "xvdA",	"XVDA",	   "xvda0",   "xvda01", "xvda-1",
		"xvda1x",  "xvda 1", "xvda1 ", " xvda", "xvda1p1", "xvd/a",   "sd",	"sd1",
		"sda0",	   "hd",     "hda0",   "hda00", "d",	   "d1p",     "dp1",	"d01",
		"d1p01",   "d-1",    "d1p2x",  "da",	"vda",	   "nvme0n1", "0x",	"0xCA00",
		"0x0ca00", "051712", "+1",     "-1",	"1 ",	   "1x",      "x",	"\xff",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint32_t devid = 12345;

		ck_assert_msg(rwy_vdev_parse(bad[i], &devid) == -EINVAL, "\"%s\" is no -EINVAL",
			      bad[i]);
		ck_assert_uint_eq(devid, 12345);
	}
}
END_TEST

START_TEST(vdev_refuses_what_has_no_encoding)
{
	static const char *const beyond[] = {
		"xvdbgqcw",
		"xvda256",
		"xvdzzzzzzzzzzzzzzzzzzzz",
		"xvda4294967297",
		"sdq",
		"sda16",
		"hde",
		"hda64",
		"d1048576",
		"d0p256",
		"d4294967296",
		"536870912",
		"0x20000000",
		"4294967296",
		"18446744073709551617",
		"0xffffffffffffffffffff",
	};

	for (size_t i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
		uint32_t devid = 12345;

		ck_assert_msg(rwy_vdev_parse(beyond[i], &devid) == -ERANGE, "%s is no -ERANGE",
			      beyond[i]);
		ck_assert_uint_eq(devid, 12345);
	}
}
END_TEST

START_TEST(vdev_encode_uses_extended_ids_only_where_needed)
{
	uint32_t devid;

	for (uint32_t disk = 0; disk <= 20; disk++) {
		for (uint32_t partition = 0; partition <= RWY_VDEV_MAX_PARTITION; partition++) {
			ck_assert_int_eq(rwy_vdev_encode_xvd(disk, partition, &devid), 0);
			ck_assert_int_eq(devid >> 28, disk > 15 || partition > 15);
		}
	}
	ck_assert_int_eq(rwy_vdev_encode_xvd(RWY_VDEV_MAX_DISK + 1, 0, &devid), -ERANGE);
	ck_assert_int_eq(rwy_vdev_encode_xvd(0, RWY_VDEV_MAX_PARTITION + 1, &devid), -ERANGE);
}
END_TEST

START_TEST(vdev_round_trips_every_xvd_disk)
{
	static const uint32_t partitions[] = {0, 1, 15, 16, 255};
	uint32_t devid;

	for (uint32_t disk = 0; disk <= RWY_VDEV_MAX_DISK; disk++) {
		for (size_t i = 0; i < sizeof(partitions) / sizeof(partitions[0]); i++) {
			rwy_vdev_encode_xvd(disk, partitions[i], &devid);
			assert_round_trip(devid);
		}
	}
}
END_TEST

START_TEST(vdev_round_trips_every_xvd_partition)
{
	uint32_t devid;

	for (uint32_t disk = 0; disk <= 1000; disk++) {
		for (uint32_t partition = 0; partition <= RWY_VDEV_MAX_PARTITION; partition++) {
			rwy_vdev_encode_xvd(disk, partition, &devid);
			assert_round_trip(devid);
		}
	}
}
END_TEST

START_TEST(vdev_round_trips_ids_without_a_name)
{
	for (uint32_t devid = 0; devid < 1u << 17; devid++)
		assert_round_trip(devid);
	for (uint32_t devid = 1u << 28; devid < (1u << 28) + (1u << 17); devid++)
		assert_round_trip(devid);
	assert_round_trip((1u << 28) - 1);
	assert_round_trip(RWY_VDEV_MAX_ID);
}
END_TEST

START_TEST(vdev_formats_reserved_ids_as_numbers)
{
	char name[RWY_VDEV_NAME_BYTES];

	rwy_vdev_format(RWY_VDEV_MAX_ID + 1, name);
	ck_assert_str_eq(name, "536870912");
	ck_assert_uint_eq(rwy_vdev_format(UINT32_MAX, name), 10);
	ck_assert_str_eq(name, "4294967295");
}
END_TEST

static Suite *vdev_suite(void)
{
	Suite *suite = suite_create("vdev");
	TCase *tcase = tcase_create("names");

	tcase_add_test(tcase, vdev_knows_the_documented_encodings);
	tcase_add_test(tcase, vdev_accepts_disk_numbers_and_ids);
	tcase_add_test(tcase, vdev_refuses_what_is_no_name);
	tcase_add_test(tcase, vdev_refuses_what_has_no_encoding);
	tcase_add_test(tcase, vdev_encode_uses_extended_ids_only_where_needed);
	tcase_add_test(tcase, vdev_formats_reserved_ids_as_numbers);
	suite_add_tcase(suite, tcase);

	tcase = tcase_create("exhaustive");
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, vdev_round_trips_every_xvd_disk);
	tcase_add_test(tcase, vdev_round_trips_every_xvd_partition);
	tcase_add_test(tcase, vdev_round_trips_ids_without_a_name);
	suite_add_tcase(suite, tcase);
	return suite;
}

CHECK_MAIN(vdev_suite)
