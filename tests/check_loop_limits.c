// SPDX-License-Identifier: MIT
/*
 * The event loop at its limits: a process without descriptors, a round within a round, times that
 * no wait can be told.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "common/loop.h"
#include "tests/check_main.h"
#include "tests/descriptors.h"

START_TEST(loop_without_a_descriptor_is_not_made)
{
	struct rwy_loop *loop = NULL;

	rlim_t before = descriptors_leave(0);

	ck_assert_int_eq(rwy_loop_create(&loop, NULL, NULL), -EMFILE);
	ck_assert_ptr_null(loop);
	descriptors_give_back(before);
	rwy_loop_destroy(NULL);
}
END_TEST

static void no_signal(void *ctx, int signal)
{
	(void)ctx;
	ck_abort_msg("signal %d", signal);
}

START_TEST(signals_without_a_descriptor_are_refused)
{
	struct rwy_loop_source *source = NULL;
	struct rwy_loop *loop;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ck_assert_int_eq(rwy_loop_create(&loop, NULL, NULL), 0);
	rlim_t before = descriptors_leave(0);

	ck_assert_int_eq(rwy_loop_add_signals(loop, &set, no_signal, NULL, &source), -EMFILE);
	descriptors_give_back(before);
	ck_assert_ptr_null(source);
	ck_assert_int_eq(rwy_loop_run_once(loop, 0), 0);
	rwy_loop_destroy(loop);
}
END_TEST

static struct rwy_loop *nested;
static char calls[8];

static void note(const char *letter)
{
	ck_assert_uint_lt(strlen(calls), sizeof(calls) - 1);
	strcat(calls, letter);
}

static void run_a_round(void *ctx)
{
	(void)ctx;
	note("(");
	/* Would wait for ever for fds, if what is due already did not end the wait. */
	ck_assert_int_eq(rwy_loop_run_once(nested, UINT64_MAX), 0);
	note(")");
}

static void fire(void *ctx)
{
	(void)ctx;
	note("b");
}

START_TEST(nested_round_fires_what_the_outer_one_found_due)
{
	struct rwy_loop_timer *first, *second;

	ck_assert_int_eq(rwy_loop_create(&nested, NULL, NULL), 0);
	ck_assert_int_eq(rwy_loop_add_timer(nested, run_a_round, NULL, &first), 0);
	ck_assert_int_eq(rwy_loop_add_timer(nested, fire, NULL, &second), 0);
	rwy_loop_arm_timer(first, 1);
	rwy_loop_arm_timer(second, 1);
	ck_assert_int_eq(rwy_loop_run_once(nested, 0), 0);
	ck_assert_str_eq(calls, "(b)"); /* once */
	rwy_loop_destroy(nested);
}
END_TEST

static void expired(void *ctx, uint32_t epoll_events)
{
	(void)ctx;
	(void)epoll_events;
	note("x");
}

static uint64_t no_time(void *ctx)
{
	(void)ctx;
	return 0;
}

/* 2^32 milliseconds are more than epoll can be told, and would be none at all in an int. */
START_TEST(time_too_far_for_one_wait_does_not_spin)
{
	const struct itimerspec soon = {.it_value = {.tv_nsec = 1000000}};
	struct rwy_loop_source *source;
	struct rwy_loop_timer *timer;
	struct rwy_loop *loop;
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	ck_assert_int_eq(rwy_loop_create(&loop, no_time, NULL), 0);
	ck_assert_int_eq(rwy_loop_add_timer(loop, fire, NULL, &timer), 0);
	rwy_loop_arm_timer(timer, ((uint64_t)1 << 32) * 1000000);
	ck_assert_int_eq(rwy_loop_add_fd(loop, fd, EPOLLIN, expired, NULL, &source), 0);
	ck_assert_int_eq(timerfd_settime(fd, 0, &soon, NULL), 0);
	/* One round, which ends because of the fd and not by itself. */
	ck_assert_int_eq(rwy_loop_run_once(loop, UINT64_MAX), 0);
	ck_assert_str_eq(calls, "x");
	rwy_loop_destroy(loop);
	close(fd);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("loop_limits");
	TCase *tc = tcase_create("limits");

	tcase_add_test(tc, loop_without_a_descriptor_is_not_made);
	tcase_add_test(tc, signals_without_a_descriptor_are_refused);
	tcase_add_test(tc, nested_round_fires_what_the_outer_one_found_due);
	tcase_add_test(tc, time_too_far_for_one_wait_does_not_spin);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(suite)
