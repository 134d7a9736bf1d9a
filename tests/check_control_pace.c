// SPDX-License-Identifier: MIT
/* How often a frontend's state is looked at: a burst, then one in an interval. */
#include "tests/check_main.h"
#include "backend/control/pace.h"

static unsigned int granted(struct pace *pace, uint64_t now_ns)
{
	unsigned int n = 0;

	while (!pace_ask(pace, now_ns))
		ck_assert_uint_lt(n++, 1000);
	return n;
}

START_TEST(pace_lets_a_burst_through)
{
	struct pace pace = {0};

	ck_assert_uint_eq(granted(&pace, 5), PACE_BURST);
}
END_TEST

START_TEST(pace_lets_one_through_in_an_interval)
{
	struct pace pace = {0};
	uint64_t now_ns = 77;

	granted(&pace, now_ns);
	for (int i = 0; i < 10; i++) {
		uint64_t wait_ns = pace_ask(&pace, now_ns);

		ck_assert_uint_gt(wait_ns, 0);
		ck_assert_uint_le(wait_ns, PACE_INTERVAL_NS);
		ck_assert_uint_eq(granted(&pace, now_ns + wait_ns - 1), 0);
		now_ns += wait_ns;
		ck_assert_uint_eq(granted(&pace, now_ns), 1);
	}
	ck_assert_uint_eq(now_ns, 77 + 10 * PACE_INTERVAL_NS);
}
END_TEST

START_TEST(pace_gives_the_burst_back_with_time)
{
	struct pace pace = {0};

	granted(&pace, 1);
	ck_assert_uint_eq(granted(&pace, 1 + 3 * PACE_INTERVAL_NS), 3);
	ck_assert_uint_eq(granted(&pace, 1 + 1000 * PACE_INTERVAL_NS), PACE_BURST);
}
END_TEST

static Suite *control_pace_suite(void)
{
	Suite *s = suite_create("control_pace");
	TCase *tc = tcase_create("pace");

	tcase_add_test(tc, pace_lets_a_burst_through);
	tcase_add_test(tc, pace_lets_one_through_in_an_interval);
	tcase_add_test(tc, pace_gives_the_burst_back_with_time);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(control_pace_suite)
