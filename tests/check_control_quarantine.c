// SPDX-License-Identifier: MIT
/* How many processes may die of one device, and how soon after each other. */
#include "backend/control/quarantine.h"
#include "tests/check_main.h"

#define SECOND_NS 1000000000ull

START_TEST(third_death_within_a_minute_is_one_too_many)
{
	struct quarantine q = {0};

	ck_assert(!quarantine_charge(&q, 5 * SECOND_NS));
	ck_assert(!quarantine_charge(&q, 6 * SECOND_NS));
	ck_assert(quarantine_charge(&q, 65 * SECOND_NS));
	ck_assert(quarantine_charge(&q, 66 * SECOND_NS));
}
END_TEST

START_TEST(deaths_that_are_rare_are_borne_for_ever)
{
	struct quarantine q = {0};

	for (unsigned int i = 1; i < 100; i++)
		ck_assert(!quarantine_charge(&q, i * 31 * SECOND_NS));
	/* Two at once are a third within a minute of the last but one. */
	ck_assert(quarantine_charge(&q, 99 * 31 * SECOND_NS + 1));
}
END_TEST

START_TEST(deaths_at_the_very_start_of_the_clock_count)
{
	struct quarantine q = {0};

	ck_assert(!quarantine_charge(&q, 0));
	ck_assert(!quarantine_charge(&q, 0));
	ck_assert(quarantine_charge(&q, 0));
}
END_TEST

static Suite *control_quarantine_suite(void)
{
	Suite *s = suite_create("control_quarantine");
	TCase *tc = tcase_create("quarantine");

	tcase_add_test(tc, third_death_within_a_minute_is_one_too_many);
	tcase_add_test(tc, deaths_that_are_rare_are_borne_for_ever);
	tcase_add_test(tc, deaths_at_the_very_start_of_the_clock_count);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(control_quarantine_suite)
