/* SPDX-License-Identifier: MIT */
/*
 * The main function of every unit-test program: run one Check suite, print Check's summary, fail when a test failed.
 */
#pragma once
#include <check.h>
#include <stdlib.h>

/* A sanitizer's runtime makes calls of its own, and would be killed for them in a sandbox. */
#ifdef __has_feature
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#define CHECK_MAIN(make_suite)                                  \
	int main(void)                                          \
	{                                                       \
		SRunner *runner = srunner_create(make_suite()); \
		srunner_run_all(runner, CK_ENV);                \
		int failed = srunner_ntests_failed(runner);     \
		srunner_free(runner);                           \
		return failed ? EXIT_FAILURE : EXIT_SUCCESS;    \
	}
