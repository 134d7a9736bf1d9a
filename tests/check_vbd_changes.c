// SPDX-License-Identifier: MIT
/*
 * libringway where something is not as it was, or not there: a disk that changes under way, a
 * backend that comes back as another, a process without descriptors, a guest without xenstore. The
 * request or the disk ends with a reason, and the next open starts from nothing.
 */
#include "tests/vbd_disk.h"
#include "tests/descriptors.h"
static const struct rwy_vbd_options bad_options[] = {
	{.max_ring_pages = RWY_RING_MAX_PAGES + 1},
	{.max_ring_pages = UINT32_MAX},
	{.max_data_pages = 10},
	{.max_data_pages = 4097},
	{.max_data_pages = UINT32_MAX},
	{.reserved = {1}},
};

START_TEST(option_out_of_range_is_refused)
{
	begin();
	ck_assert_int_eq(open_disk("xvda", &bad_options[_i]), -EINVAL);
	ck_assert_str_eq(why, "an option is out of range");
	ck_assert_ptr_null(vbd);
	ck_assert_int_eq(front_state(), XenbusStateInitialising);
}
END_TEST

START_TEST(version_is_the_projects)
{
	ck_assert_str_eq(rwy_vbd_version(), RINGWAY_VERSION);
	begin();
}
END_TEST

START_TEST(guest_without_xenstore_is_told_so)
{
	begin();
	setenv("XENSTORED_PATH", "/nonexistent", 1);
	ck_assert_int_lt(open_disk("xvda", NULL), 0);
	ck_assert_ptr_nonnull(strstr(why, "cannot reach xenstore: "));
	ck_assert_ptr_null(vbd);
	become(world.a);
	must_open(NULL);
	rwy_vbd_close(vbd);
}
END_TEST

/* The children of our directory of disks are ours to write, and so is nonsense in it. */
START_TEST(what_is_no_disk_is_not_counted_as_one)
{
	char path[128];

	begin();
	snprintf(path, sizeof(path), "/local/domain/%u/device/vbd/rubbish", world.a);
	ck_assert_int_eq(rwy_xenbus_write(dom0, RWY_XENBUS_NO_TX, path, "1"), 0);
	ck_assert_int_eq(open_disk(NULL, NULL), 0);
	rwy_vbd_close(vbd);
	rwy_xenbus_remove(dom0, RWY_XENBUS_NO_TX, "%s", path);
}
END_TEST

/* With one descriptor more each time, until there are enough. */
START_TEST(open_without_descriptors_says_so_and_leaves_none)
{
	int err = -1;
	unsigned int nr;

	begin();
	must_open(NULL); /* the backend keeps what it opens now */
	rwy_vbd_close(vbd);
	int open_before = descriptors_open();

	for (nr = 0; err && nr < 64; nr++) {
		rlim_t before = descriptors_leave(nr);

		err = open_disk("xvda", &impatient);
		descriptors_give_back(before);
		if (!err)
			break;
		ck_assert_msg(strstr(why, strerror(EMFILE)), "with %u: %d %s", nr, err, why);
		ck_assert_int_eq(descriptors_open(), open_before);
	}
	ck_assert_int_eq(err, 0);
	ck_assert_uint_ge(nr, 4); /* xenstore, the ring's grants and events, a wake-up */
	write_and_read_back(1);
	rwy_vbd_close(vbd);
	ck_assert_int_eq(descriptors_open(), open_before);
}
END_TEST

START_TEST(backend_that_comes_back_with_another_disk_is_left)
{
	begin();
	must_open(&few_pages);
	submit_held();
	vbd_backend_lock(&b);
	b.hold = false;
	b.nr_held = 0;
	b.sector_size = "4096";
	b.restart = true;
	vbd_backend_order(&b);
	all_must_end(-EPROTO, "come back with another disk");
	rwy_vbd_close(vbd);
	ck_assert_uint_eq(b.disk[0], 0); /* nothing was written by the sectors of the old one */
}
END_TEST

START_TEST(disk_that_moved_to_another_domain_is_left)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/backend-id", b.front);
	begin();
	must_open(&few_pages);
	submit_held();
	vbd_backend_lock(&b);
	ck_assert_int_eq(rwy_xenbus_write(dom0, RWY_XENBUS_NO_TX, path, "%u", world.b), 0);
	b.restart = true;
	vbd_backend_order(&b);
	/* Its pages are granted to the old one. */
	all_must_end(-ESHUTDOWN, "moved to another backend domain");
	rwy_vbd_close(vbd);
}
END_TEST

START_TEST(resize_that_makes_no_sense_ends_the_disk)
{
	static const char *const why_is[] = {"backend's node sectors", "sector size has changed"};

	begin();
	must_open(&few_pages);
	submit_held();
	vbd_backend_lock(&b);
	if (_i)
		b.sector_size = "1024";
	else
		b.sectors_text = "many";
	b.resized = true;
	vbd_backend_order(&b);
	all_must_end(-EPROTO, why_is[_i]);
	AWAIT(front_state() == XenbusStateInitialising);
	ck_assert_uint_eq(b.disconnects, 1);
	rwy_vbd_close(vbd);
}
END_TEST

/* Taken when the disk was larger, and never answered: those past the new end fail, the others are
 * done by the new backend. */
START_TEST(requests_past_the_end_of_a_smaller_disk_fail)
{
	begin();
	must_open(&(struct rwy_vbd_options){.max_data_pages = 176});
	submit_held();
	vbd_backend_lock(&b);
	b.hold = false;
	b.nr_held = 0;
	b.sectors = 512; /* two of the six */
	b.restart = true;
	vbd_backend_order(&b);
	AWAIT(nr_done == 6);
	for (int k = 0; k < 6; k++)
		ck_assert_int_eq(pending[k].result, k < 2 ? 0 : -EINVAL);
	ck_assert_int_eq(memcmp(b.disk, pending[0].buf, sizeof(pending[0].buf)), 0);
	ck_assert_int_eq(
		memcmp(b.disk + sizeof(pending[0].buf), pending[1].buf, sizeof(pending[1].buf)), 0);
	ck_assert_uint_eq(b.disk[2 * sizeof(pending[0].buf) + 1], 0);
	ck_assert_int_eq(rwy_vbd_status(vbd, NULL, 0), 0);
	rwy_vbd_close(vbd);
}
END_TEST

#define NR(table) ((int)(sizeof(table) / sizeof((table)[0])))

static Suite *vbd_changes_suite(void)
{
	Suite *suite = suite_create("vbd_changes");
	TCase *tcase = tcase_create("vbd_changes");

	tcase_set_timeout(tcase, 30);
	tcase_add_unchecked_fixture(tcase, world_up, world_down);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, option_out_of_range_is_refused, 0, NR(bad_options));
	tcase_add_test(tcase, version_is_the_projects);
	tcase_add_test(tcase, guest_without_xenstore_is_told_so);
	tcase_add_test(tcase, what_is_no_disk_is_not_counted_as_one);
	tcase_add_test(tcase, open_without_descriptors_says_so_and_leaves_none);
	tcase_add_test(tcase, backend_that_comes_back_with_another_disk_is_left);
	tcase_add_test(tcase, disk_that_moved_to_another_domain_is_left);
	tcase_add_loop_test(tcase, resize_that_makes_no_sense_ends_the_disk, 0, 2);
	tcase_add_test(tcase, requests_past_the_end_of_a_smaller_disk_fail);
	suite_add_tcase(suite, tcase);
	return suite;
}

CHECK_MAIN(vbd_changes_suite)
