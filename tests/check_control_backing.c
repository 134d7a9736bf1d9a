// SPDX-License-Identifier: MIT
/*
 * Two names for the same data: links, loop devices, partitions and what lies on them. And the
 * kernel's texts about mounts and locks.
 */
#include "backend/control/backing.h"
#include "backend/control/rivals.h"
#include "backend/control/target_lock.h"
#include "tests/check_main.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DISK 0x100ull

static char dir[64];
static int loop_fd = -1;

static void setup(void)
{
	strcpy(dir, "/tmp/check_control_backing.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void teardown(void)
{
	char command[sizeof(dir) + 16];

	if (loop_fd >= 0)
		close(loop_fd);
	loop_fd = -1;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static const char *path_of(const char *name)
{
	static char path[2][128];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

static void make_file(const char *name)
{
	int fd = open(path_of(name), O_RDWR | O_CREAT, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	close(fd);
}

static struct backing backing_at(const char *path)
{
	struct backing b;

	ck_assert_int_eq(backing_of_path(&b, path), 0);
	return b;
}

/* As the kernel would have it: the first nr_same are the same data. */
static struct backing made_of(unsigned int nr_same, unsigned int nr_layers, const dev_t *devs)
{
	struct backing b = {.nr_same = nr_same, .nr_layers = nr_layers};

	for (unsigned int i = 0; i < nr_layers; i++)
		b.layers[i] = (struct backing_layer){.is_block = true, .dev = devs[i]};
	return b;
}

START_TEST(links_are_the_same_and_copies_are_not)
{
	make_file("a");
	make_file("b");
	ck_assert_int_eq(link(path_of("a"), path_of("hard")), 0);
	ck_assert_int_eq(symlink(path_of("a"), path_of("soft")), 0);

	struct backing a = backing_at(path_of("a")), b = backing_at(path_of("b"));
	struct backing hard = backing_at(path_of("hard")), soft = backing_at(path_of("soft"));

	ck_assert(backing_overlaps(&a, &hard));
	ck_assert(backing_overlaps(&soft, &a));
	ck_assert(!backing_overlaps(&a, &b));
}
END_TEST

START_TEST(an_fd_and_a_path_agree)
{
	struct backing by_fd;

	make_file("a");
	int fd = open(path_of("a"), O_PATH);
	ck_assert_int_eq(backing_of_fd(&by_fd, fd), 0);
	close(fd);
	struct backing by_path = backing_at(path_of("a"));
	ck_assert(backing_overlaps(&by_fd, &by_path));
	ck_assert_uint_eq(by_fd.nr_layers, by_path.nr_layers);
}
END_TEST

START_TEST(what_is_no_disk_has_no_backing)
{
	struct backing b;

	ck_assert_int_eq(backing_of_path(&b, dir), -EINVAL);
	ck_assert_int_eq(backing_of_path(&b, path_of("none")), -ENOENT);
	ck_assert_int_eq(backing_of_path(&b, "/dev/null"), -EINVAL);
	ck_assert_int_eq(backing_of_fd(&b, -1), -EBADF);
}
END_TEST

START_TEST(nothing_overlaps_nothing)
{
	const dev_t devs[] = {1};
	struct backing none = {0}, one = made_of(1, 1, devs);

	ck_assert(!backing_overlaps(&none, &none));
	ck_assert(!backing_overlaps(&none, &one));
}
END_TEST

START_TEST(partitions_share_a_disk_and_no_data)
{
	const dev_t first[] = {DISK + 1, DISK}, second[] = {DISK + 2, DISK}, whole[] = {DISK};
	struct backing a = made_of(1, 2, first), b = made_of(1, 2, second),
		       disk = made_of(1, 1, whole);

	ck_assert(!backing_overlaps(&a, &b));
	ck_assert(backing_overlaps(&a, &disk));
	ck_assert(backing_overlaps(&disk, &b));
}
END_TEST

START_TEST(two_loop_devices_of_a_file_are_the_same)
{
	const dev_t first[] = {DISK + 1, DISK}, second[] = {DISK + 2, DISK};
	struct backing a = made_of(2, 2, first), b = made_of(2, 2, second);

	ck_assert(backing_overlaps(&a, &b));
}
END_TEST

/* A loop device that nobody uses, on the file; false: there are none here. */
static bool make_loop(const char *path, char *device, size_t size)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (control >= 0)
		close(control);
	snprintf(device, size, "/dev/loop%d", number);
	loop_fd = number < 0 ? -1 : open(device, O_RDWR | O_CLOEXEC);
	bool made = loop_fd >= 0 && !ioctl(loop_fd, LOOP_SET_FD, fd);
	struct loop_info64 info = {.lo_flags = LO_FLAGS_AUTOCLEAR};

	close(fd);
	if (made) /* whatever becomes of this test */
		ioctl(loop_fd, LOOP_SET_STATUS64, &info);
	return made;
}

START_TEST(a_loop_device_is_its_file)
{
	char device[32];

	make_file("a");
	make_file("b");
	if (!make_loop(path_of("a"), device, sizeof(device)))
		return;

	struct backing loop = backing_at(device), a = backing_at(path_of("a")),
		       b = backing_at(path_of("b"));

	ck_assert(loop.layers[0].is_block);
	ck_assert_uint_eq(loop.nr_same, 2);
	ck_assert(backing_overlaps(&loop, &a));
	ck_assert(backing_overlaps(&a, &loop));
	ck_assert(!backing_overlaps(&loop, &b));

	struct stat st;
	struct backing by_number;

	ck_assert_int_eq(stat(device, &st), 0);
	backing_of_device(&by_number, st.st_rdev);
	ck_assert(backing_overlaps(&by_number, &a));
}
END_TEST

static bool parse(const char *text, struct rivals_mount *mount)
{
	static char line[512];

	snprintf(line, sizeof(line), "%s", text);
	return rivals_parse_mount(line, mount);
}

START_TEST(mounts_of_devices_are_found)
{
	struct rivals_mount m;

	ck_assert(parse("36 35 98:1 /mnt1 /mnt2 rw,noatime master:1 shared:7 - ext3 /dev/root "
			"rw,errors=continue\n",
			&m));
	ck_assert_uint_eq(m.dev, makedev(98, 1));
	ck_assert_str_eq(m.folder, "/mnt2");
	ck_assert_str_eq(m.source, "/dev/root");
	ck_assert(m.writable);

	/* A read-only mount of a file system that is written elsewhere. */
	ck_assert(parse("36 35 98:1 / /mnt ro - ext3 /dev/sda1 rw\n", &m));
	ck_assert(m.writable);
	ck_assert(parse("36 35 98:1 / /mnt ro - ext3 /dev/sda1 ro,errors=continue\n", &m));
	ck_assert(!m.writable);

	/* btrfs has device numbers of its own. */
	ck_assert(parse("36 35 0:41 / /mnt rw - btrfs /dev/sdb rw\n", &m));
	ck_assert_uint_eq(m.dev, 0);
	ck_assert_str_eq(m.source, "/dev/sdb");
}
END_TEST

START_TEST(other_mounts_are_left_out)
{
	struct rivals_mount m;

	ck_assert(!parse("22 27 0:21 / /proc rw,relatime - proc proc rw\n", &m));
	ck_assert(!parse("22 27 0:21 / /tmp rw,relatime shared:2 - tmpfs tmpfs rw\n", &m));
	ck_assert(!parse("", &m));
	ck_assert(!parse("36 35 98:1 / /mnt rw", &m));
	ck_assert(!parse("36 35 98:1 / /mnt rw - ext3\n", &m));
	ck_assert(!parse("36 35 none / /mnt rw - ext3 /dev/sda1 rw\n", &m));
}
END_TEST

START_TEST(a_lock_names_its_process)
{
	const char *line = "3: FLOCK  ADVISORY  WRITE 1234 08:1f:131 0 EOF\n";

	ck_assert_int_eq(target_lock_parse(line, makedev(8, 31), 131), 1234);
	ck_assert_int_eq(target_lock_parse(line, makedev(8, 31), 132), 0);
	ck_assert_int_eq(target_lock_parse(line, makedev(8, 32), 131), 0);
	ck_assert_int_eq(target_lock_parse("3: POSIX  ADVISORY  WRITE 1234 08:1f:131 0 EOF\n",
					   makedev(8, 31), 131),
			 0);
	ck_assert_int_eq(target_lock_parse("3: -> FLOCK  ADVISORY  WRITE 1234 08:1f:131 0 EOF\n",
					   makedev(8, 31), 131),
			 0);
	ck_assert_int_eq(target_lock_parse("nonsense", makedev(8, 31), 131), 0);
}
END_TEST

START_TEST(a_taken_lock_is_said_with_who_has_it)
{
	struct reason why = {""};
	char pid[24];

	make_file("a");
	int fd = open(path_of("a"), O_RDWR), other = open(path_of("a"), O_RDWR);
	ck_assert_int_eq(flock(other, LOCK_SH), 0);

	ck_assert_int_eq(target_lock("THING", fd, true, &why), -EAGAIN);
	snprintf(pid, sizeof(pid), "process %d (", (int)getpid());
	ck_assert_msg(strstr(why.text, pid) != NULL, "%s is not in: %s", pid, why.text);
	ck_assert_ptr_nonnull(strstr(why.text, "THING"));
	ck_assert_int_eq(target_lock("THING", fd, false, &why), 0);
	close(other);
	ck_assert_int_eq(target_lock("THING", fd, true, &why), 0);
	close(fd);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("control_backing");
	TCase *tc = tcase_create("backing");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, links_are_the_same_and_copies_are_not);
	tcase_add_test(tc, an_fd_and_a_path_agree);
	tcase_add_test(tc, what_is_no_disk_has_no_backing);
	tcase_add_test(tc, nothing_overlaps_nothing);
	tcase_add_test(tc, partitions_share_a_disk_and_no_data);
	tcase_add_test(tc, two_loop_devices_of_a_file_are_the_same);
	tcase_add_test(tc, a_loop_device_is_its_file);
	suite_add_tcase(suite, tc);

	tc = tcase_create("kernel_texts");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, mounts_of_devices_are_found);
	tcase_add_test(tc, other_mounts_are_left_out);
	tcase_add_test(tc, a_lock_names_its_process);
	tcase_add_test(tc, a_taken_lock_is_said_with_who_has_it);
	suite_add_tcase(suite, tc);
	return suite;
}

CHECK_MAIN(make_suite)
