/* SPDX-License-Identifier: MIT */
/*
 * The main function of every unit-test program: run one Check suite, print Check's summary, fail when a test failed.
 */
#pragma once
#include <check.h>
#include <stdlib.h>

#define CHECK_MAIN(make_suite)                                  \
	int main(void)                                          \
	{                                                       \
		SRunner *runner = srunner_create(make_suite()); \
		srunner_run_all(runner, CK_ENV);                \
		int failed = srunner_ntests_failed(runner);     \
		srunner_free(runner);                           \
		return failed ? EXIT_FAILURE : EXIT_SUCCESS;    \
	}
