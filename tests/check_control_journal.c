// SPDX-License-Identifier: MIT
/* Journals as control keeps them: made in one piece, found again for the same ring alone, swept. */
#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "backend/control/journal_file.h"
#include "backend/ctl_msg.h"
#include "ring/blk_wire.h"
#include "ring/ring.h"
#include "tests/check_main.h"
#include "tests/descriptors.h"

static char rundir[64];
static int dir_fd;
static struct reason why;

static const struct journal_identity ring = {
	.vm_uuid = {1, 2, 3},
	.domid = 7,
	.devid = 51712,
	.queue = 1,
	.nr_queues = 2,
	.abi = CTL_ABI_X86_64,
	.evtchn = 17,
	.nr_ring_pages = 4,
	.ring_gref = {8, 9, 10, 11},
	.target_dev = 0x801,
	.target_ino = 4711,
	.capacity_sect = 2048,
};

static void set_up(void)
{
	strcpy(rundir, "/tmp/check_journal.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(rundir));
	dir_fd = journal_file_open_dir(rundir);
	ck_assert_int_ge(dir_fd, 0);
	why.text[0] = '\0';
}

static void tear_down(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/journal", rundir);
	close(dir_fd);
	ck_assert_int_eq(rmdir(path), 0); /* nothing is left in it */
	ck_assert_int_eq(rmdir(rundir), 0);
}

static void make(const struct journal_identity *identity)
{
	int fd = journal_file_create(dir_fd, identity, &why);

	ck_assert_msg(fd >= 0, "%s", why.text);
	close(fd);
}

static int find(const struct journal_identity *identity)
{
	int fd = journal_file_find(dir_fd, identity, &why);

	if (fd >= 0)
		close(fd);
	return fd >= 0 ? 0 : fd;
}

static unsigned int nr_files(void)
{
	char path[96];
	struct dirent *entry;
	unsigned int nr = 0;

	snprintf(path, sizeof(path), "%s/journal", rundir);
	DIR *dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)))
		nr += entry->d_name[0] != '.';
	closedir(dir);
	return nr;
}

/* The ring says how many requests can be in flight; control does not know rings, and must agree. */
START_TEST(journal_has_an_entry_for_every_request_in_flight)
{
	for (uint32_t pages = 1; pages <= RWY_RING_MAX_PAGES; pages *= 2) {
		for (int abi = RWY_BLK_ABI_NATIVE; abi <= RWY_BLK_ABI_X86_64; abi++) {
			uint32_t slot_bytes = rwy_blk_slot_bytes((enum rwy_blk_abi)abi);

			ck_assert_uint_eq(journal_file_entries(pages),
					  rwy_ring_slots(pages, slot_bytes));
			ck_assert_uint_le(slot_bytes, JOURNAL_SLOT_BYTES);
		}
	}
}
END_TEST

START_TEST(new_journal_is_whole_and_roots_alone)
{
	struct journal_header h;
	struct stat st;
	char path[96];
	int fd = journal_file_create(dir_fd, &ring, &why);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(st.st_size, (off_t)journal_file_bytes(128));
	ck_assert_int_ge(st.st_blocks * 512, st.st_size); /* it has its room */
	ck_assert_int_eq(pread(fd, &h, sizeof(h), 0), sizeof(h));
	ck_assert_uint_eq(h.magic, JOURNAL_MAGIC);
	ck_assert_uint_eq(h.version, JOURNAL_VERSION);
	ck_assert_uint_eq(h.nr_entries, 128);
	ck_assert_uint_eq(h.entry_bytes, JOURNAL_ENTRY_BYTES);
	ck_assert_uint_eq(h.state, JOURNAL_NEW);
	ck_assert_int_eq(memcmp(&h.identity, &ring, sizeof(ring)), 0);
	close(fd);
	snprintf(path, sizeof(path), "%s/journal", rundir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0700);
	journal_file_remove(dir_fd, 7, 51712);
}
END_TEST

/* One that a dying process may still have mapped is left to it. */
START_TEST(new_journal_takes_the_place_of_another)
{
	struct journal_identity other = ring;
	int old = journal_file_create(dir_fd, &ring, &why);
	struct journal_header h;
	struct stat st;

	other.evtchn++;
	make(&other);
	ck_assert_int_eq(find(&other), 0);
	ck_assert_int_eq(find(&ring), -ESTALE);
	ck_assert_int_eq(pread(old, &h, sizeof(h), 0), sizeof(h));
	ck_assert_uint_eq(h.identity.evtchn, ring.evtchn);
	ck_assert_int_eq(fstat(old, &st), 0);
	ck_assert_int_eq((int)st.st_nlink, 0);
	close(old);
	journal_file_remove(dir_fd, 7, 51712);
}
END_TEST

/* Whatever a data process has made of all but its identity. */
START_TEST(journal_is_found_again_for_the_same_ring)
{
	int before = descriptors_open();
	int fd = journal_file_create(dir_fd, &ring, &why);
	const uint32_t seven = 7;
	char byte;

	ck_assert_int_eq(pwrite(fd, &seven, 4, offsetof(struct journal_header, state)), 4);
	ck_assert_int_eq(pwrite(fd, &seven, 4, offsetof(struct journal_header, version)), 4);
	ck_assert_int_eq(pwrite(fd, "x", 1, JOURNAL_HEADER_BYTES), 1);
	close(fd);
	fd = journal_file_find(dir_fd, &ring, &why);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, &byte, 1, JOURNAL_HEADER_BYTES), 1);
	ck_assert_int_eq(byte, 'x');
	ck_assert_int_eq(pwrite(fd, "y", 1, JOURNAL_HEADER_BYTES), 1);
	close(fd);
	ck_assert_int_eq(descriptors_open(), before);
	journal_file_remove(dir_fd, 7, 51712);
}
END_TEST

/* Whoever died last, it is somebody else's turn to be blamed. */
START_TEST(journal_that_is_handed_out_blames_nobody)
{
	int fd = journal_file_create(dir_fd, &ring, &why);
	const uint32_t yes = 1;
	struct journal_header h;

	ck_assert_int_eq(pwrite(fd, &yes, 4, offsetof(struct journal_header, busy)), 4);
	close(fd);
	ck_assert_int_eq(journal_file_read(dir_fd, 7, 51712, ring.queue, &h), 0);
	ck_assert_uint_eq(h.busy, 1);
	ck_assert_int_eq(find(&ring), 0);
	ck_assert_int_eq(journal_file_read(dir_fd, 7, 51712, ring.queue, &h), 0);
	ck_assert_uint_eq(h.busy, 0);
	journal_file_remove(dir_fd, 7, 51712);
}
END_TEST

START_TEST(target_may_have_grown_but_not_shrunk)
{
	struct journal_identity now = ring;

	make(&ring);
	now.capacity_sect++;
	ck_assert_int_eq(find(&now), 0);
	now.capacity_sect -= 2;
	ck_assert_int_eq(find(&now), -ESTALE);
	ck_assert_ptr_nonnull(strstr(why.text, "size"));
	journal_file_remove(dir_fd, 7, 51712);
}
END_TEST

/* One that another version made for smaller entries. */
START_TEST(journal_that_is_too_short_is_made_longer)
{
	int fd = journal_file_create(dir_fd, &ring, &why);
	struct stat st;

	ck_assert_int_eq(ftruncate(fd, JOURNAL_HEADER_BYTES), 0);
	ck_assert_int_eq(find(&ring), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq((uint64_t)st.st_size,
			  journal_file_bytes(journal_file_entries(ring.nr_ring_pages)));
	close(fd);
	journal_file_remove(dir_fd, 7, 51712);
}
END_TEST

static const struct {
	size_t at;
	const char *what;
} fields[] = {
	{offsetof(struct journal_identity, vm_uuid) + 15, "uuid"},
	{offsetof(struct journal_identity, domid), "domain"},
	{offsetof(struct journal_identity, devid), "device"},
	{offsetof(struct journal_identity, queue), "queue"},
	{offsetof(struct journal_identity, nr_queues), "multi-queue-num-queues"},
	{offsetof(struct journal_identity, abi), "protocol"},
	{offsetof(struct journal_identity, evtchn), "event-channel"},
	{offsetof(struct journal_identity, nr_ring_pages), "number of ring pages"},
	{offsetof(struct journal_identity, ring_gref), "ring-ref"},
	{offsetof(struct journal_identity, ring_gref) + 63, "ring-ref"},
	{offsetof(struct journal_identity, read_only), "mode"},
	{offsetof(struct journal_identity, target_dev), "target's device"},
	{offsetof(struct journal_identity, target_ino), "target's inode"},
	{offsetof(struct journal_identity, capacity_sect) + 7, "target's size"},
};

START_TEST(journal_of_another_ring_is_told_by_each_field)
{
	int fd = journal_file_create(dir_fd, &ring, &why);
	off_t at = (off_t)(offsetof(struct journal_header, identity) + fields[_i].at);
	unsigned char byte;

	ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
	byte ^= 0x80;
	ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
	close(fd);
	ck_assert_int_eq(find(&ring), -ESTALE);
	ck_assert_msg(strstr(why.text, "another ring: ") && strstr(why.text, fields[_i].what), "%s",
		      why.text);
	journal_file_remove(dir_fd, 7, 51712);
}
END_TEST

START_TEST(journal_that_is_missing_or_unfinished_is_none)
{
	struct journal_header h;

	ck_assert_int_eq(find(&ring), -ENOENT);
	ck_assert_ptr_nonnull(strstr(why.text, "missing"));
	ck_assert_int_eq(journal_file_read(dir_fd, 7, 51712, 1, &h), -ENOENT);

	int fd = journal_file_create(dir_fd, &ring, &why);
	ck_assert_int_eq(pwrite(fd, "\0\0\0", 4, 0), 4);
	ck_assert_int_eq(find(&ring), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(why.text, "damaged"));
	ck_assert_int_eq(journal_file_read(dir_fd, 7, 51712, 1, &h), -EBADMSG);
	ck_assert_int_eq(ftruncate(fd, 100), 0);
	ck_assert_int_eq(find(&ring), -EBADMSG);
	close(fd);
	journal_file_remove(dir_fd, 7, 51712);
}
END_TEST

START_TEST(header_is_read_whosever_ring_it_is)
{
	int fd = journal_file_create(dir_fd, &ring, &why);
	const uint32_t one = 1;
	struct journal_header h;

	ck_assert_int_eq(pwrite(fd, &one, 4, offsetof(struct journal_header, busy)), 4);
	close(fd);
	ck_assert_int_eq(journal_file_read(dir_fd, 7, 51712, 1, &h), 0);
	ck_assert_uint_eq(h.busy, 1);
	ck_assert_int_eq(journal_file_read(dir_fd, 7, 51712, 0, &h), -ENOENT);
	journal_file_remove(dir_fd, 7, 51712);
}
END_TEST

START_TEST(removing_takes_all_queues_of_one_disk)
{
	struct journal_identity id = ring;

	for (id.queue = 0; id.queue < 16; id.queue++)
		make(&id);
	id.devid = 51728;
	id.queue = 0;
	make(&id);
	journal_file_remove(dir_fd, 7, 51712);
	ck_assert_uint_eq(nr_files(), 1);
	ck_assert_int_eq(find(&id), 0);
	journal_file_remove(dir_fd, 7, 51728);
}
END_TEST

static bool is_of_domain_7(void *ctx, uint32_t domid, uint32_t devid)
{
	ck_assert_ptr_eq(ctx, &ring);
	ck_assert_uint_eq(devid, 51712);
	return domid == 7;
}

START_TEST(journals_of_disks_that_are_gone_are_swept_away)
{
	struct journal_identity id = ring;

	make(&id);
	id.domid = 8;
	make(&id);
	id.domid = 77;
	make(&id);
	journal_file_sweep(dir_fd, is_of_domain_7, (void *)&ring);
	ck_assert_uint_eq(nr_files(), 1);
	ck_assert_int_eq(find(&ring), 0);
	journal_file_remove(dir_fd, 7, 51712);
}
END_TEST

START_TEST(journal_that_cannot_be_made_says_why)
{
	int closed = dup(dir_fd);

	close(closed);
	ck_assert_int_eq(journal_file_create(closed, &ring, &why), -EBADF);
	ck_assert_ptr_nonnull(strstr(why.text, "can't be made"));
	ck_assert_int_eq(journal_file_find(closed, &ring, &why), -EBADF);
	ck_assert_ptr_nonnull(strstr(why.text, "can't be read"));
	ck_assert_int_eq(journal_file_open_dir("/nowhere/at/all"), -ENOENT);
}
END_TEST

static Suite *control_journal_suite(void)
{
	Suite *s = suite_create("control_journal");
	TCase *tc = tcase_create("journal");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, journal_has_an_entry_for_every_request_in_flight);
	tcase_add_test(tc, new_journal_is_whole_and_roots_alone);
	tcase_add_test(tc, new_journal_takes_the_place_of_another);
	tcase_add_test(tc, journal_is_found_again_for_the_same_ring);
	tcase_add_test(tc, journal_that_is_handed_out_blames_nobody);
	tcase_add_test(tc, target_may_have_grown_but_not_shrunk);
	tcase_add_test(tc, journal_that_is_too_short_is_made_longer);
	tcase_add_loop_test(tc, journal_of_another_ring_is_told_by_each_field, 0,
			    (int)(sizeof(fields) / sizeof(fields[0])));
	tcase_add_test(tc, journal_that_is_missing_or_unfinished_is_none);
	tcase_add_test(tc, header_is_read_whosever_ring_it_is);
	tcase_add_test(tc, removing_takes_all_queues_of_one_disk);
	tcase_add_test(tc, journals_of_disks_that_are_gone_are_swept_away);
	tcase_add_test(tc, journal_that_cannot_be_made_says_why);
	suite_add_tcase(s, tc);
	return s;
}

CHECK_MAIN(control_journal_suite)
