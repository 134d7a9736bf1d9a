// SPDX-License-Identifier: MIT
/*
 * The allowance of log lines that a guest has: one per device number, and no new one for a frontend
 * that comes back. On the fake Xen of data_world.h.
 */
#include <stdio.h>
#include "tests/data_device.h"

static struct guestlog_set set;

static void setup_set(void)
{
	guestlog_init(&set);
}

static void teardown_set(void)
{
	guestlog_fini(&set);
}

START_TEST(guestlog_outlives_its_device)
{
	struct guestlog *log = guestlog_get(&set, 3, 51712, 100);

	log->limit.left_out = 5;
	guestlog_put(log, 200);
	ck_assert_ptr_eq(guestlog_get(&set, 3, 51712, 300), log);
	ck_assert_uint_eq(log->limit.left_out, 5);
	ck_assert_str_eq(log->limit.name, "vbd 3/51712");
	guestlog_put(log, 400);
}
END_TEST

START_TEST(guestlog_is_each_devices_own)
{
	struct guestlog *log = guestlog_get(&set, 3, 51712, 0);

	ck_assert_ptr_ne(guestlog_get(&set, 3, 51728, 0), log);
	ck_assert_ptr_ne(guestlog_get(&set, 4, 51712, 0), log);
	ck_assert_ptr_eq(guestlog_get(&set, 3, 51712, 0), log);
}
END_TEST

static unsigned int count_logs(void)
{
	struct guestlog *log;
	unsigned int n = 0;

	LIST_FOREACH(log, &set.logs, link)
	n++;
	return n;
}

START_TEST(guestlog_forgets_devices_that_are_gone_for_long)
{
	guestlog_put(guestlog_get(&set, 1, 1, 0), 1000);
	struct guestlog *used = guestlog_get(&set, 1, 2, 1000);

	guestlog_get(&set, 1, 3, 2 * RWY_LOG_WINDOW_NS + 999);
	ck_assert_uint_eq(count_logs(), 3);
	guestlog_get(&set, 1, 4, 2 * RWY_LOG_WINDOW_NS + 1000);
	ck_assert_uint_eq(count_logs(), 3);
	ck_assert_ptr_eq(guestlog_get(&set, 1, 2, 10 * RWY_LOG_WINDOW_NS), used);
}
END_TEST

static FILE *log_file;
static int real_stderr;

/* Standard error goes to a file until count_lines. */
static void catch_lines(void)
{
	rwy_log_init("check", RWY_LOG_WARNING);
	log_file = tmpfile();
	ck_assert_ptr_nonnull(log_file);
	real_stderr = dup(STDERR_FILENO);
	ck_assert_int_ge(dup2(fileno(log_file), STDERR_FILENO), 0);
}

static unsigned int count_lines(void)
{
	unsigned int n = 0;
	int c;

	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	rewind(log_file);
	while ((c = fgetc(log_file)) != EOF)
		n += c == '\n';
	fclose(log_file);
	return n;
}

START_TEST(blkback_gives_no_new_allowance_to_a_frontend_that_comes_back)
{
	catch_lines();
	world.now_ns = 1;
	for (int i = 0; i < 50; i++) {
		struct guest g;

		guest_init(&g, 0, 1, 1);
		struct blkback *dev = attach(&g, CTL_ENGINE_FILE);

		for (int n = 0; n < 5; n++)
			run_pages(&g, RWY_BLK_OP_READ, DISK_SECT, DATA, 1);
		detach(dev);
	}
	ck_assert_uint_eq(count_lines(), RWY_LOG_BURST_LINES);
}
END_TEST

/* What broke is told to control, whose line it is: a second one would say the same. */
START_TEST(blkback_leaves_the_line_about_a_broken_ring_to_control)
{
	struct guest g;

	catch_lines();
	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_FILE);

	round_of_lane();
	g.ring.sring->req_prod = 1000;
	world_kick(g.port);
	for (int i = 0; i < MAX_ROUNDS && !nr_broken; i++)
		round_of_lane();
	ck_assert_int_eq(nr_broken, 1);
	detach(dev);
	ck_assert_uint_eq(count_lines(), 0);
}
END_TEST

/* Nothing else would show that a guest's pages stay mapped, or its port bound. */
START_TEST(blkback_says_what_it_could_not_give_back)
{
	struct guest g;

	catch_lines();
	guest_init(&g, 0, 1, 1);
	struct blkback *dev = attach(&g, CTL_ENGINE_FILE);

	world.release_errno = EINVAL;
	detach(dev);
	world.release_errno = 0;
	ck_assert_uint_eq(count_lines(), 2);
	xenevtchn_unbind(lane->evtchn, g.port + WORLD_PORT_BASE);
	xengnttab_unmap(lane->gnttab, NULL, 1);
}
END_TEST

static Suite *data_guestlog_suite(void)
{
	Suite *s = suite_create("data_guestlog");
	TCase *tc = tcase_create("set");

	tcase_add_checked_fixture(tc, setup_set, teardown_set);
	tcase_add_test(tc, guestlog_outlives_its_device);
	tcase_add_test(tc, guestlog_is_each_devices_own);
	tcase_add_test(tc, guestlog_forgets_devices_that_are_gone_for_long);
	suite_add_tcase(s, tc);

	tc = tcase_create("device");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, blkback_gives_no_new_allowance_to_a_frontend_that_comes_back);
	tcase_add_test(tc, blkback_leaves_the_line_about_a_broken_ring_to_control);
	tcase_add_test(tc, blkback_says_what_it_could_not_give_back);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(data_guestlog_suite)
