/* SPDX-License-Identifier: MIT */
/*
 * File descriptors of the test's process: how many there are, and none to be had. For tests of what
 * is left behind, and of what fails without one.
 */
#pragma once
#include <check.h>
#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

/* Only to be compared: the one that looks is among them. */
static inline int descriptors_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int nr = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

/* From now on the process can have those that are open, and nr_more; the limit there was. Where numbers below others
 * are free, these count among nr_more. */
static inline rlim_t descriptors_leave(unsigned int nr_more)
{
	int free_fd[64];
	struct rlimit limit;

	ck_assert_uint_lt(nr_more, 64);
	for (unsigned int i = 0; i <= nr_more; i++)
		ck_assert_int_ge(free_fd[i] = dup(STDERR_FILENO), 0);
	for (unsigned int i = 0; i <= nr_more; i++)
		close(free_fd[i]);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	rlim_t before = limit.rlim_cur;

	limit.rlim_cur = (rlim_t)free_fd[nr_more];
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return before;
}

static inline void descriptors_give_back(rlim_t before)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = before;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}
