// SPDX-License-Identifier: MIT
/*
 * The queues of a device are one device to the rest of control: attached when all are, not at all
 * when one is not, detached when none is left.
 */
#include "backend/control/worker_queues.h"
#include "tests/check_main.h"
#include <errno.h>
#include <string.h>

static struct worker_lease lease;
static struct reason none, first, second;

static void setup(void)
{
	memset(&lease, 0, sizeof(lease));
	reason_set(&first, 0, "first");
	reason_set(&second, 0, "second");
}

static void attach_all(unsigned int nr)
{
	worker_queues_begin(&lease, nr);
	for (unsigned int i = 0; i < nr; i++)
		ck_assert_int_eq(worker_queues_attached(&lease, i, 0, &none),
				 i + 1 < nr ? WORKER_QUEUES_PENDING : WORKER_QUEUES_ATTACHED);
}

static unsigned int take_all_out(void)
{
	unsigned int queue, nr = 0;

	while (worker_queues_take_out(&lease, &queue))
		nr++;
	return nr;
}

START_TEST(all_are_attached_before_the_device_is)
{
	attach_all(1);
	attach_all(4);
	ck_assert_int_eq(lease.err, 0);
}
END_TEST

START_TEST(one_that_fails_takes_the_others_out)
{
	worker_queues_begin(&lease, 3);
	ck_assert_int_eq(worker_queues_attached(&lease, 0, 0, &none), WORKER_QUEUES_PENDING);
	ck_assert_int_eq(worker_queues_attached(&lease, 1, -EPROTO, &first), WORKER_QUEUES_PENDING);
	ck_assert_int_eq(worker_queues_attached(&lease, 2, 0, &none), WORKER_QUEUES_UNDO);
	ck_assert_uint_eq(take_all_out(), 2);
	ck_assert_int_eq(worker_queues_detached(&lease, 0, 0, &none), WORKER_QUEUES_PENDING);
	ck_assert_int_eq(worker_queues_detached(&lease, 2, -EIO, &second), WORKER_QUEUES_FAILED);
	ck_assert_int_eq(lease.err, -EPROTO);
	ck_assert_str_eq(lease.why.text, "first");
}
END_TEST

START_TEST(all_that_fail_leave_nothing_to_undo)
{
	worker_queues_begin(&lease, 2);
	ck_assert_int_eq(worker_queues_attached(&lease, 1, -EINVAL, &second),
			 WORKER_QUEUES_PENDING);
	ck_assert_int_eq(worker_queues_attached(&lease, 0, -EPROTO, &first), WORKER_QUEUES_FAILED);
	ck_assert_int_eq(lease.err, -EINVAL);
}
END_TEST

START_TEST(the_last_to_be_detached_ends_it)
{
	attach_all(3);
	ck_assert_uint_eq(take_all_out(), 3);
	ck_assert_int_eq(worker_queues_detached(&lease, 2, 0, &none), WORKER_QUEUES_PENDING);
	ck_assert_int_eq(worker_queues_detached(&lease, 0, -EIO, &first), WORKER_QUEUES_PENDING);
	ck_assert_int_eq(worker_queues_detached(&lease, 1, 0, &none), WORKER_QUEUES_DETACHED);
	ck_assert_int_eq(lease.err, -EIO);
}
END_TEST

START_TEST(one_that_breaks_is_passed_on_once_all_are_in)
{
	attach_all(2);
	ck_assert_int_eq(worker_queues_broken(&lease, 1, -EPROTO, &first), WORKER_QUEUES_BROKEN);
	ck_assert_uint_eq(take_all_out(), 2);
	ck_assert_int_eq(worker_queues_broken(&lease, 0, -EPROTO, &first), WORKER_QUEUES_CROSSED);
}
END_TEST

START_TEST(one_that_breaks_while_others_attach_undoes_it)
{
	worker_queues_begin(&lease, 2);
	ck_assert_int_eq(worker_queues_attached(&lease, 0, 0, &none), WORKER_QUEUES_PENDING);
	ck_assert_int_eq(worker_queues_broken(&lease, 0, -EPROTO, &first), WORKER_QUEUES_PENDING);
	ck_assert_int_eq(worker_queues_attached(&lease, 1, 0, &none), WORKER_QUEUES_UNDO);
	ck_assert_uint_eq(take_all_out(), 2);
	ck_assert_int_eq(worker_queues_detached(&lease, 0, 0, &none), WORKER_QUEUES_PENDING);
	ck_assert_int_eq(worker_queues_detached(&lease, 1, 0, &none), WORKER_QUEUES_FAILED);
	ck_assert_str_eq(lease.why.text, "first");
}
END_TEST

START_TEST(what_was_not_asked_changes_nothing)
{
	worker_queues_begin(&lease, 2);
	ck_assert_int_eq(worker_queues_detached(&lease, 0, 0, &none), WORKER_QUEUES_UNASKED);
	ck_assert_int_eq(worker_queues_broken(&lease, 0, -EPROTO, &first), WORKER_QUEUES_UNASKED);
	ck_assert_int_eq(worker_queues_attached(&lease, 0, 0, &none), WORKER_QUEUES_PENDING);
	ck_assert_int_eq(worker_queues_attached(&lease, 0, -EIO, &first), WORKER_QUEUES_UNASKED);
	ck_assert_int_eq(worker_queues_attached(&lease, 1, 0, &none), WORKER_QUEUES_ATTACHED);
}
END_TEST

START_TEST(a_device_begins_anew)
{
	worker_queues_begin(&lease, 1);
	ck_assert_int_eq(worker_queues_attached(&lease, 0, -EPROTO, &first), WORKER_QUEUES_FAILED);
	attach_all(2);
	ck_assert_uint_eq(take_all_out(), 2);
	ck_assert_int_eq(worker_queues_detached(&lease, 0, 0, &none), WORKER_QUEUES_PENDING);
	ck_assert_int_eq(worker_queues_detached(&lease, 1, 0, &none), WORKER_QUEUES_DETACHED);
	ck_assert_int_eq(lease.err, 0);
}
END_TEST

START_TEST(counters_are_summed_up)
{
	const struct ctl_stats stats = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};

	attach_all(2);
	for (int round = 0; round < 2; round++) {
		ck_assert(!worker_queues_add_stats(&lease, &stats));
		ck_assert(worker_queues_add_stats(&lease, &stats));
		ck_assert(!lease.stats_lost);
		ck_assert_uint_eq(lease.stats.read_requests, 2);
		ck_assert_uint_eq(lease.stats.write_requests, 4);
		ck_assert_uint_eq(lease.stats.flush_requests, 6);
		ck_assert_uint_eq(lease.stats.read_sect, 8);
		ck_assert_uint_eq(lease.stats.write_sect, 10);
		ck_assert_uint_eq(lease.stats.bad_requests, 12);
		ck_assert_uint_eq(lease.stats.io_errors, 14);
		ck_assert_uint_eq(lease.stats.events, 16);
		ck_assert_uint_eq(lease.stats.notifies, 18);
		ck_assert_uint_eq(lease.stats.in_flight, 20);
	}
	ck_assert(!worker_queues_add_stats(&lease, NULL));
	ck_assert(worker_queues_add_stats(&lease, &stats));
	ck_assert(lease.stats_lost);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("control_queues");
	TCase *tc = tcase_create("queues");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, all_are_attached_before_the_device_is);
	tcase_add_test(tc, one_that_fails_takes_the_others_out);
	tcase_add_test(tc, all_that_fail_leave_nothing_to_undo);
	tcase_add_test(tc, the_last_to_be_detached_ends_it);
	tcase_add_test(tc, one_that_breaks_is_passed_on_once_all_are_in);
	tcase_add_test(tc, one_that_breaks_while_others_attach_undoes_it);
	tcase_add_test(tc, what_was_not_asked_changes_nothing);
	tcase_add_test(tc, a_device_begins_anew);
	tcase_add_test(tc, counters_are_summed_up);
	suite_add_tcase(suite, tc);
	return suite;
}

CHECK_MAIN(make_suite)
