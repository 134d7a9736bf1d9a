// SPDX-License-Identifier: MIT
/*
 * Taking a disk from xen-blkback, on a made-up sysfs and with a made-up modprobe.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/cli/cli_blkback.h"
#include "tests/check_main.h"

static char dir[64], why[256];

static void run(const char *format)
{
	char command[1024];

	snprintf(command, sizeof(command), "cd %s && { %s; }", dir, format);
	ck_assert_int_eq(system(command), 0);
}

static void setup(void)
{
	char path[128];

	strcpy(dir, "/tmp/check_cli_blkback.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	run("mkdir -p bin bus/xen-backend/devices bus/xen-backend/drivers");
	setenv(CLI_BLKBACK_SYSFS_ENV, dir, 1);
	snprintf(path, sizeof(path), "%s/bin:/usr/bin:/bin", dir);
	setenv("PATH", path, 1);
	why[0] = '\0';
}

static void teardown(void)
{
	char command[sizeof(dir) + 16];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static void load_driver(void)
{
	run("mkdir bus/xen-backend/drivers/vbd && : >bus/xen-backend/drivers/vbd/unbind");
}

static void bind_driver(const char *device)
{
	char command[256];

	snprintf(command, sizeof(command),
		 "mkdir -p bus/xen-backend/devices/%s && ln -s ../../drivers/vbd "
		 "bus/xen-backend/devices/%s/driver",
		 device, device);
	run(command);
}

static void make_modprobe(const char *what)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "printf '#!/bin/sh\\ncd %s\\necho \"$*\" >asked\\n%s\\n' >bin/modprobe && chmod "
		 "+x bin/modprobe",
		 dir, what);
	run(command);
}

static void assert_content(const char *file, const char *expected)
{
	char path[256], text[256] = "";

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	FILE *f = fopen(path, "r");
	ck_assert_msg(f != NULL, "there is no %s", path);
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	ck_assert_str_eq(text, expected);
}

static bool is_there(const char *file)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	return !access(path, F_OK);
}

START_TEST(without_the_bus_there_is_nothing_to_do)
{
	run("rm -r bus");
	ck_assert_int_eq(cli_blkback_let_go(3, 51712, why, sizeof(why)), 0);
}
END_TEST

START_TEST(a_disk_that_the_kernel_has_not_is_left_alone)
{
	make_modprobe("true");
	ck_assert_int_eq(cli_blkback_let_go(3, 51712, why, sizeof(why)), 0);
	ck_assert(!is_there("asked"));
}
END_TEST

START_TEST(a_bound_disk_is_unbound_and_no_other)
{
	load_driver();
	bind_driver("vbd-3-51712");
	bind_driver("vbd-3-51728");
	ck_assert_int_eq(cli_blkback_let_go(3, 51712, why, sizeof(why)), 0);
	assert_content("bus/xen-backend/drivers/vbd/unbind", "vbd-3-51712");
}
END_TEST

START_TEST(a_driver_that_is_loaded_without_the_disk_is_left_alone)
{
	load_driver();
	run("mkdir bus/xen-backend/devices/vbd-3-51712");
	make_modprobe("true");
	ck_assert_int_eq(cli_blkback_let_go(3, 51712, why, sizeof(why)), 0);
	assert_content("bus/xen-backend/drivers/vbd/unbind", "");
	ck_assert(!is_there("asked"));
}
END_TEST

START_TEST(a_driver_that_may_yet_come_is_loaded_and_told)
{
	run("mkdir bus/xen-backend/devices/vbd-3-51712");
	make_modprobe(
		"mkdir bus/xen-backend/drivers/vbd; : >bus/xen-backend/drivers/vbd/unbind; ln "
		"-s ../../drivers/vbd bus/xen-backend/devices/vbd-3-51712/driver");
	ck_assert_int_eq(cli_blkback_let_go(3, 51712, why, sizeof(why)), 0);
	assert_content("asked", "-b -q xen-backend:vbd\n");
	assert_content("bus/xen-backend/drivers/vbd/unbind", "vbd-3-51712");
}
END_TEST

START_TEST(a_host_without_the_driver_is_fine)
{
	run("mkdir bus/xen-backend/devices/vbd-3-51712");
	make_modprobe("exit 1");
	ck_assert_int_eq(cli_blkback_let_go(3, 51712, why, sizeof(why)), 0);
	run("rm bin/modprobe");
	ck_assert_int_eq(cli_blkback_let_go(3, 51712, why, sizeof(why)), 0);
}
END_TEST

START_TEST(a_driver_that_does_not_let_go_is_said)
{
	load_driver();
	bind_driver("vbd-3-51712");
	run("rm bus/xen-backend/drivers/vbd/unbind && mkdir bus/xen-backend/drivers/vbd/unbind");
	ck_assert_int_eq(cli_blkback_let_go(3, 51712, why, sizeof(why)), -EISDIR);
	ck_assert_ptr_nonnull(strstr(why, "xen-blkback has vbd-3-51712"));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("cli_blkback");
	TCase *tc = tcase_create("let_go");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, without_the_bus_there_is_nothing_to_do);
	tcase_add_test(tc, a_disk_that_the_kernel_has_not_is_left_alone);
	tcase_add_test(tc, a_bound_disk_is_unbound_and_no_other);
	tcase_add_test(tc, a_driver_that_is_loaded_without_the_disk_is_left_alone);
	tcase_add_test(tc, a_driver_that_may_yet_come_is_loaded_and_told);
	tcase_add_test(tc, a_host_without_the_driver_is_fine);
	tcase_add_test(tc, a_driver_that_does_not_let_go_is_said);
	suite_add_tcase(suite, tc);
	return suite;
}

CHECK_MAIN(make_suite)
