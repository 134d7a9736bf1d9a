// SPDX-License-Identifier: MIT
/*
 * Finding and opening of disks: what is taken, what is refused and why, sizes, real paths, locks,
 * double writers.
 */
#include "backend/control/target.h"
#include "tests/check_main.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[64], dir[72]; /* of all tests, and of this one */
static struct target target, other;
static struct reason why;

/* In the runner's process, whatever becomes of the tests'. */
static void make_top(void)
{
	strcpy(top, "/tmp/check_control_target.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
}

static void remove_top(void)
{
	char command[sizeof(top) + 16];

	snprintf(command, sizeof(command), "rm -rf %s", top);
	ck_assert_int_eq(system(command), 0);
}

static void setup(void)
{
	snprintf(dir, sizeof(dir), "%s/XXXXXX", top);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	target_init(&target);
	target_init(&other);
	why.text[0] = '\0';
}

static void teardown(void)
{
	char command[PATH_MAX + 16];

	target_fini(&target);
	target_fini(&other);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static const char *path_of(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static const char *make_file(const char *name, off_t bytes)
{
	const char *path = path_of(name);
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, bytes), 0);
	close(fd);
	return path;
}

static void assert_refused(const char *params, int err, const char *word)
{
	ck_assert_int_eq(target_resolve(&target, params, &why), err);
	ck_assert_msg(strstr(why.text, word) != NULL, "\"%s\" is not in: %s", word, why.text);
	ck_assert_int_eq(target.kind, TARGET_NONE);
	ck_assert_int_eq(target.fd, -1);
}

START_TEST(file_is_opened_to_write)
{
	const char *path = make_file("disk", 1 << 20);

	ck_assert_int_eq(target_resolve(&target, path, &why), 0);
	ck_assert_str_eq(target.name, path);
	ck_assert(!target.open);
	ck_assert_int_eq(target_open(&target, true, &why), 0);
	ck_assert_uint_eq(target.capacity_sect, 2048);
	ck_assert(target.writable);
	ck_assert_int_eq(fcntl(target.fd, F_GETFL) & O_ACCMODE, O_RDWR);
	ck_assert_int_eq(!!(fcntl(target.fd, F_GETFL) & O_DIRECT), target.direct);
	ck_assert_int_eq(fcntl(target.fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(fcntl(target.fd, F_GETFD), FD_CLOEXEC);
}
END_TEST

START_TEST(read_only_fd_can_not_write)
{
	char params[PATH_MAX + 8];

	snprintf(params, sizeof(params), "file:%s", make_file("disk", 4096));
	ck_assert_int_eq(target_resolve(&target, params, &why), 0);
	ck_assert_int_eq(target_open(&target, false, &why), 0);
	ck_assert_int_eq(fcntl(target.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	ck_assert_int_eq(pwrite(target.fd, "x", 1, 0), -1);
	ck_assert_int_eq(errno, EBADF);
}
END_TEST

START_TEST(odd_size_is_rounded_down)
{
	ck_assert_int_eq(target_resolve(&target, make_file("disk", 4096 + 511), &why), 0);
	ck_assert_int_eq(target_open(&target, true, &why), 0);
	ck_assert_uint_eq(target.capacity_sect, 8);
}
END_TEST

START_TEST(less_than_a_sector_is_refused)
{
	ck_assert_int_eq(target_resolve(&target, make_file("disk", 511), &why), 0);
	ck_assert_int_eq(target_open(&target, true, &why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why.text, "too small"));
	ck_assert(!target.open);
	target_fini(&target);
	ck_assert_int_eq(target_resolve(&target, make_file("empty", 0), &why), 0);
	ck_assert_int_eq(target_open(&target, false, &why), -EINVAL);
}
END_TEST

START_TEST(what_is_no_disk_is_refused)
{
	assert_refused(path_of("missing"), -ENOENT, "No such file");
	assert_refused(dir, -EINVAL, "a directory");
	assert_refused("/dev/null", -EINVAL, "a character device");
	assert_refused("disk.img", -EINVAL, "unknown kind");
	assert_refused("file:disk.img", -EINVAL, "from / on");
	assert_refused("qcow2:/srv/a", -EINVAL, "file:/PATH, /PATH and null:SIZE");
	assert_refused("", -EINVAL, "unknown kind");
}
END_TEST

/* Opening a FIFO would block until somebody writes to it. */
START_TEST(fifo_is_refused_without_blocking)
{
	ck_assert_int_eq(mkfifo(path_of("fifo"), 0600), 0);
	assert_refused(path_of("fifo"), -EINVAL, "a FIFO, neither");
}
END_TEST

START_TEST(symlink_shows_the_real_path)
{
	char real[PATH_MAX];

	strcpy(real, make_file("disk", 4096));
	ck_assert_int_eq(symlink(real, path_of("link")), 0);
	ck_assert_int_eq(target_resolve(&target, path_of("link"), &why), 0);
	ck_assert_str_eq(target.name, real);
}
END_TEST

/* Judged is one file, and whatever becomes of its path, that one is opened. */
START_TEST(swapped_path_does_not_change_the_target)
{
	char disk[PATH_MAX], victim[PATH_MAX];

	strcpy(disk, make_file("disk", 4096));
	strcpy(victim, make_file("victim", 8192));
	ck_assert_int_eq(target_resolve(&target, disk, &why), 0);
	ck_assert_int_eq(rename(disk, path_of("elsewhere")), 0);
	ck_assert_int_eq(rename(victim, disk), 0);
	ck_assert_int_eq(target_open(&target, true, &why), 0);
	ck_assert_uint_eq(target.capacity_sect, 8);
}
END_TEST

START_TEST(null_has_the_size_it_says)
{
	ck_assert_int_eq(target_resolve(&target, "null:64k", &why), 0);
	ck_assert_str_eq(target.name, "null:");
	ck_assert_int_eq(target_open(&target, true, &why), 0);
	ck_assert_uint_eq(target.capacity_sect, 128);
	ck_assert_int_eq(target.fd, -1);
	target_fini(&target);
	assert_refused("null:", -EINVAL, "not a size");
	assert_refused("null:511", -EINVAL, "too small");
	assert_refused("null:1x", -EINVAL, "not a size");
}
END_TEST

START_TEST(sizes_parse)
{
	uint64_t n;

	ck_assert_int_eq(target_parse_size("512", &n), 0);
	ck_assert_uint_eq(n, 512);
	ck_assert_int_eq(target_parse_size("3K", &n), 0);
	ck_assert_uint_eq(n, 3072);
	ck_assert_int_eq(target_parse_size("2m", &n), 0);
	ck_assert_uint_eq(n, 2097152);
	ck_assert_int_eq(target_parse_size("8388607T", &n), 0);
	ck_assert_uint_eq(n, 8388607ull << 40);
	ck_assert_int_eq(target_parse_size("8388608T", &n), -ERANGE);
	ck_assert_int_eq(target_parse_size("9223372036854775808", &n), -ERANGE);
	ck_assert_int_eq(target_parse_size("0", &n), -ERANGE);
	ck_assert_int_eq(target_parse_size("", &n), -EINVAL);
	ck_assert_int_eq(target_parse_size("G", &n), -EINVAL);
	ck_assert_int_eq(target_parse_size("-1", &n), -EINVAL);
	ck_assert_int_eq(target_parse_size("1GG", &n), -EINVAL);
	ck_assert_int_eq(target_parse_size("1 G", &n), -EINVAL);
}
END_TEST

START_TEST(second_writer_clashes)
{
	char path[PATH_MAX];

	strcpy(path, make_file("disk", 4096));
	ck_assert_int_eq(link(path, path_of("hard")), 0);
	ck_assert_int_eq(target_resolve(&target, path, &why), 0);
	ck_assert_int_eq(target_resolve(&other, path_of("hard"), &why), 0);
	ck_assert(target_clashes(&target, true, &other, true));
	ck_assert(target_clashes(&target, true, &other, false));
	ck_assert(target_clashes(&target, false, &other, true));
	ck_assert(!target_clashes(&target, false, &other, false));
	target_fini(&other);
	ck_assert_int_eq(target_resolve(&other, make_file("another", 4096), &why), 0);
	ck_assert(!target_clashes(&target, true, &other, true));
	target_fini(&other);
	ck_assert_int_eq(target_resolve(&other, "null:1M", &why), 0);
	ck_assert(!target_clashes(&other, true, &other, true));
}
END_TEST

START_TEST(lock_lasts_as_long_as_any_copy_of_the_fd)
{
	char path[PATH_MAX];

	strcpy(path, make_file("disk", 4096));
	ck_assert_int_eq(target_resolve(&target, path, &why), 0);
	ck_assert_int_eq(target_open(&target, true, &why), 0);
	int copy = dup(target.fd); /* as a data process has one */
	target_fini(&target);

	ck_assert_int_eq(target_resolve(&other, path, &why), 0);
	ck_assert_int_eq(target_open(&other, false, &why), -EAGAIN);
	ck_assert_ptr_nonnull(strstr(why.text, "locked"));
	close(copy);
	ck_assert_int_eq(target_open(&other, true, &why), 0);
}
END_TEST

START_TEST(readers_share)
{
	const char *path = make_file("disk", 4096);

	ck_assert_int_eq(target_resolve(&target, path, &why), 0);
	ck_assert_int_eq(target_open(&target, false, &why), 0);
	ck_assert_int_eq(target_resolve(&other, path, &why), 0);
	ck_assert_int_eq(target_open(&other, false, &why), 0);
}
END_TEST

START_TEST(file_on_a_read_only_mount_opens_to_read)
{
	struct stat st;

	if (stat("/proc/version", &st) || !S_ISREG(st.st_mode))
		return;
	/* A regular file of size 0: resolved, and refused for its size, not for its kind. */
	ck_assert_int_eq(target_resolve(&target, "/proc/version", &why), 0);
	ck_assert_int_eq(target_open(&target, false, &why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why.text, "too small"));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("control_target");
	TCase *tc = tcase_create("target");

	tcase_add_unchecked_fixture(tc, make_top, remove_top);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, file_is_opened_to_write);
	tcase_add_test(tc, read_only_fd_can_not_write);
	tcase_add_test(tc, odd_size_is_rounded_down);
	tcase_add_test(tc, less_than_a_sector_is_refused);
	tcase_add_test(tc, what_is_no_disk_is_refused);
	tcase_add_test(tc, fifo_is_refused_without_blocking);
	tcase_add_test(tc, symlink_shows_the_real_path);
	tcase_add_test(tc, swapped_path_does_not_change_the_target);
	tcase_add_test(tc, null_has_the_size_it_says);
	tcase_add_test(tc, sizes_parse);
	tcase_add_test(tc, second_writer_clashes);
	tcase_add_test(tc, lock_lasts_as_long_as_any_copy_of_the_fd);
	tcase_add_test(tc, readers_share);
	tcase_add_test(tc, file_on_a_read_only_mount_opens_to_read);
	suite_add_tcase(suite, tc);
	return suite;
}

CHECK_MAIN(make_suite)
